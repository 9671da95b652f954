"""What a script has found: its tables, and its goals beside what was seen."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence

import attrs

from .contenders import absent


@attrs.frozen
class Goal:
    """One claim: what is to be at most, or at least, ``limit``."""

    what: str
    seen: float
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.seen >= self.limit if self.at_least else self.seen <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        """It as a row of a table."""
        digits = 0 if self.limit >= 100 else 1 if self.limit >= 10 else 2  # noqa: PLR2004  as many as tell something
        sign = ">=" if self.at_least else "<="
        seen, limit = f"{self.seen:,.{digits}f}", f"{self.limit:,.{digits}f}"
        return (
            self.what,
            f"{sign} {limit}{self.unit}",
            f"{seen}{self.unit}",
            "yes" if self.is_met else "**no**",
        )


@attrs.frozen
class Section:
    """What one script says."""

    title: str
    text: str
    goals: Sequence[Goal] = ()


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that reads well as text and as Markdown."""
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    first, *others = widths
    rule = "|".join(["", "-" * (first + 2), *("-" * (width + 1) + ":" for width in others), ""])
    lines = [
        " | ".join(
            [row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))]
        )
        for row in cells
    ]
    lines = [f"| {line} |" for line in lines]
    return "\n".join([lines[0], rule, *lines[1:]])


def goals_table(goals: Iterable[Goal]) -> str:
    """All goals, one a row."""
    return table(("figure", "goal", "seen", "met"), [goal.row() for goal in goals])


def run(measure: Callable[[int], Section]) -> None:
    """Measure, and print what was found; it fails where a goal is not met."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="each figure is the median of so many (default 5)"
    )
    section = measure(parser.parse_args().rounds)
    print(f"{section.title}\n\n{section.text}")
    if section.goals:
        print(f"\n{goals_table(section.goals)}")
    if missing := absent():
        print(f"\n{missing}")
    if not all(goal.is_met for goal in section.goals):
        sys.exit(1)
