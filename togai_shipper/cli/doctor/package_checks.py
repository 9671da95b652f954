"""Checks of the packages that we work with: which of them have security holes that were made public. Pure.

The table is what was public when this version was released; ``SECURITY.md`` has it, too. It decides nothing:
the library works with older versions as well, and distributions mend these without changing their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import attrs

from .check import Check


@attrs.frozen
class Floor:
    """The first version of a package in which everything that was made public is mended."""

    version: str
    advisories: str


FLOORS = {
    "requests": Floor("2.33.0", "CVE-2026-25645, CVE-2024-47081"),
    "urllib3": Floor("2.7.0", "CVE-2026-44432, CVE-2026-44431, CVE-2026-21441"),
    "idna": Floor("3.15", "CVE-2026-45409"),
    "click": Floor("8.3.3", "CVE-2026-7246"),
    "starlette": Floor("1.3.1", "CVE-2026-54283, CVE-2026-54282, CVE-2026-48710, CVE-2025-62727"),
    "h11": Floor("0.16.0", "CVE-2025-43859"),
}
# The numbers of a version, and what makes it one that comes before them: 2.7.0rc1.
_VERSION = re.compile(
    r"(?:0!)?(\d{1,9}(?:\.\d{1,9})*)([-_.]?(?:a|b|c|rc|alpha|beta|pre|preview|dev)[-_.]?\d*)?"
)


def packages(installed: Callable[[str], str | None]) -> Iterator[Check]:
    """Check all that are installed; ``installed`` returns a package's version, or ``None``."""
    found = {name: version for name in FLOORS if (version := installed(name))}
    warnings = [check for name, version in found.items() if (check := hole(name, version))]
    if warnings:
        yield from warnings
    else:
        have = ", ".join(f"{name} {version}" for name, version in found.items())
        yield Check("ok", "packages", f"none with a hole that we know: {have}")


def hole(name: str, version: str) -> Check | None:
    """Return a warning if this version has a hole that we know, ``None`` if it has none or cannot be read."""
    floor = FLOORS.get(name)
    have = _order(version)
    if floor is None or have is None or have >= (_order(floor.version) or have):
        return None
    advice = (
        f"Update it to {floor.version} or newer, unless your distribution mends older versions itself:\n"
        "SECURITY.md says what each hole is to this library."
    )
    return Check("warn", name, f"{version} has published security holes ({floor.advisories})", advice)


def _order(version: str) -> tuple[tuple[int, ...], bool] | None:
    """Return what versions are compared by: their numbers, then whether it is final."""
    found = _VERSION.match(version.strip().lower())
    if not found:
        return None
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), not found[2]
