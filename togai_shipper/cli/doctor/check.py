"""What the doctor reports: one check, with what was found and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs


@attrs.frozen
class Check:
    """One line of the list.

    Attributes:
        level: how it is.
        name: what was looked at.
        found: what was found.
        advice: what to do about it; empty where it is ``ok``.

    """

    level: Literal["ok", "warn", "fail"]
    name: str
    found: str
    advice: str = ""


def has_failed(checks: Sequence[Check]) -> bool:
    """Whether anything is wrong, rather than odd."""
    return any(check.level == "fail" for check in checks)
