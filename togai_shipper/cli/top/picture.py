"""Draw a line for all processes together, and one for each, the worst first; below it what to do; or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import attrs
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from togai_shipper._printable import printable
from togai_shipper.cli.formats import age, moment, plural
from togai_shipper.cli.processes import (
    FAILURES,
    WARNINGS,
    by_trouble,
    grouped,
    process_json,
    remedy,
    sentence,
    why,
    word,
)
from togai_shipper.cli.screen import styled

from .looking import Sight
from .rates import Row

HEADS = "state", "process", "in/s", "out/s", "pending", "oldest"
WHY = "why"
NAME = HEADS.index("process")  # it, and what is before it, begins at the left
NAME_LEAST = 12  # columns of it, however narrow the terminal is
INDENT = " " * 7  # of why, below its process
MOST_WHY = 3  # lines of it
LEAST_LINES = 6  # that are drawn, however low the terminal is
MOST_TOLD = 3  # troubles that are told below the table, with what to do


class Picture:
    """A line for each process, as wide as the terminal.

    Where it is drawn again and again, what stands below comes with it, and it is no higher than the terminal.
    """

    def __init__(
        self, rows: Sequence[Row], sight: Sight, place: str, now_ms: int, *, is_live: bool = False
    ) -> None:
        known = {row.process: row for row in rows}
        sorted_rows = [known[process] for process in by_trouble(known, now_ms)]
        self._lines = [
            _Line(HEADS, WHY, "dim"),
            _all(rows, now_ms),
            *(_line(row, now_ms) for row in sorted_rows),
        ]
        self._below = list(below(rows, sight, place, now_ms)) if is_live else []
        self._place = place
        self._is_live = is_live

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        width = options.max_width
        told = list(chain.from_iterable(styled(line).wrap(console, width) for line in self._below))
        room = max(LEAST_LINES, console.size.height - len(told) - 1) if self._is_live else None
        yield from _table(self._lines, console, width, room, self._place)
        yield from told


def below(rows: Sequence[Row], sight: Sight, place: str, now_ms: int) -> Iterator[str]:
    """Say what the lines have no room for: the worst troubles, and what to do about each."""
    living = [row.process for row in rows if row.process.is_alive]
    bad = [each for each in grouped(living, now_ms) if word(each[0], now_ms) in (*FAILURES, *WARNINGS)]
    for alike in bad[:MOST_TOLD]:
        yield ""
        yield f"{sentence(alike, now_ms)}."
        advice = remedy(alike[0], place, now_ms).splitlines()
        yield from (f"  {line}" for line in advice if not line.endswith(f"togai-shipper top {place}"))
    if any(word(row.process, now_ms) == "gone" for row in rows):
        yield ""
        yield "What is gone has left events. The next process that starts sends them, or:"
        yield f"  togai-shipper drain {place}"
    for line in (*sight.remarks, *sight.problems):
        yield from [] if line.startswith("  ") else [""]  # a command stands right below what it is for
        yield line


@attrs.frozen
class _Line:
    """One line: what stands in its columns, and why, which may need lines of its own."""

    cells: Sequence[str]
    why: str
    style: str = ""
    is_bad: bool = False


def _table(
    lines: Sequence[_Line], console: Console, width: int, room: int | None, place: str
) -> Iterator[Text]:
    """Draw lines; where there is not room for all, say how many there are."""
    sizes = [max(cell_len(line.cells[column]) for line in lines) for column in range(len(HEADS))]
    others = sum(sizes) - sizes[NAME] + len(HEADS) + len(WHY)  # with a space behind each
    sizes[NAME] = min(sizes[NAME], max(NAME_LEAST, width - others))
    drawn: list[Text] = []
    for number, line in enumerate(lines):
        more = _drawn(line, sizes, console, width)
        if room is not None and len(drawn) + len(more) >= room and number < len(lines) - 1:
            left = len(lines) - number
            drawn.append(styled(f"... {left:,} more: togai-shipper top --once {place}", "dim"))
            break
        drawn += more
    yield from drawn


def _drawn(line: _Line, sizes: Sequence[int], console: Console, width: int) -> list[Text]:
    """Return a line, with why at its end if there is room, else below it."""
    texts = []
    for column, (cell, size) in enumerate(zip(line.cells, sizes, strict=True)):
        short = cell if cell_len(cell) <= size else "..." + set_cell_size(cell[::-1], size - 3)[::-1]
        pad = " " * (size - cell_len(short))
        texts.append(short + pad if column <= NAME else pad + short)
    first, why = " ".join(texts), styled(line.why, line.style)
    left = width - cell_len(first) - 1
    if why.cell_len <= left:
        return [styled(f"{first} ", line.style).append_text(why)]
    if not line.is_bad:
        why.truncate(left, overflow="ellipsis")
        return [styled(f"{first} ", line.style).append_text(why)]
    below_it = list(why.wrap(console, max(NAME_LEAST, width - len(INDENT))))
    if len(below_it) > MOST_WHY:
        below_it[MOST_WHY - 1].truncate(width - len(INDENT) - 3)
        below_it[MOST_WHY - 1].append("...")
    return [
        styled(first, line.style),
        *(styled(INDENT, line.style).append_text(each) for each in below_it[:MOST_WHY]),
    ]


def _all(rows: Sequence[Row], now_ms: int) -> _Line:
    """Say in one line how all of them stand together."""
    counted = _counted(rows)
    pending = sum(row.process.pending for row in counted)
    bad = sum(_is_bad(row, now_ms) for row in rows)
    dead = sum(row.process.dead for row in counted)
    told = [f"{bad} in trouble"] * bool(bad) + [plural(dead, "dead letter")] * bool(dead)
    cells = (
        "all",
        plural(len(rows), "process", "processes"),
        _rate(_sum(rows, "coming")),
        _rate(_sum(rows, "going")),
        f"{pending:,}",
        age(max(row.process.oldest(now_ms) for row in rows)) if pending else "",
    )
    return _Line(cells, ", ".join(told), "bold", is_bad=bool(bad))


def _line(row: Row, now_ms: int) -> _Line:
    process = row.process
    cells = (
        word(process, now_ms),
        printable(process.name),
        _rate(row.coming),
        _rate(row.going),
        f"{process.pending:,}",
        age(process.oldest(now_ms)) if process.pending else "",
    )
    return _Line(cells, why(process, now_ms), _style(row, now_ms), _is_bad(row, now_ms))


def _is_bad(row: Row, now_ms: int) -> bool:
    return word(row.process, now_ms) in (*FAILURES, *WARNINGS, "gone")


def _style(row: Row, now_ms: int) -> str:
    what = word(row.process, now_ms)
    return "bold red" if what in FAILURES else "yellow" if what in (*WARNINGS, "gone") else ""


def _rate(rate: float | None) -> str:
    if rate is None:
        return ""
    return f"{rate:,.0f}" if rate >= 10 or rate == int(rate) else f"{rate:.1f}"  # noqa: PLR2004  two digits


def _counted(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.process.is_counted]


def _sum(all_rows: Sequence[Row], which: str) -> float | None:
    """Return how many come in, or go out, in all; what is handed over is counted where it is taken."""
    rows = [row for row in _counted(all_rows) if not row.process.is_producer]
    known = [rate for row in rows if (rate := getattr(row, which)) is not None]
    return sum(known) if known or not rows else None


def picture_json(rows: Sequence[Row], sight: Sight, place: str, now_ms: int) -> dict[str, Any]:
    """Return all of it, for JSON."""
    known, counted = {row.process: row for row in rows}, _counted(rows)
    ages = [row.process.oldest_ms for row in rows if row.process.oldest_ms is not None]
    return {
        "place": place,
        "at": moment(now_ms),
        "total": {
            "processes": len(rows),
            "in_per_second": _sum(rows, "coming"),
            "out_per_second": _sum(rows, "going"),
            "pending": sum(row.process.pending for row in counted),
            "oldest": moment(min(ages)) if ages else None,
            "dead": sum(row.process.dead for row in counted),
        },
        "processes": [
            {
                **process_json(process, now_ms),
                "in_per_second": known[process].coming,
                "out_per_second": known[process].going,
            }
            for process in by_trouble(known, now_ms)
        ],
        "remarks": list(sight.remarks),
        "problems": list(sight.problems),
    }
