"""One check of the doctor: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs


@attrs.frozen
class Check:
    """One line of the doctor's list.

    Attributes:
        level: how bad it is.
        name: what was checked.
        found: what was found.
        advice: what to do about it; empty if the level is ``ok``.

    """

    level: Literal["ok", "warn", "fail"]
    name: str
    found: str
    advice: str = ""


def has_failed(checks: Sequence[Check]) -> bool:
    """Whether any of these checks is a failure; warnings are none."""
    return any(check.level == "fail" for check in checks)
