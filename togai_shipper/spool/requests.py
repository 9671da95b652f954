"""What an operator asks of the process that owns a file: a small file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs


@attrs.frozen
class Request:
    """One of them."""

    path: Path
    what: Literal["replay", "purge"]
    numbers: Sequence[int]


def asked(db_path: Path) -> list[Request]:  # noqa: ARG001
    """Those for the owner of ``db_path``."""
    return []
