"""Draw a line for all processes together, and one for each, the worst first; below it what to do; or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

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

NAME_MOST = 24  # columns of the name of a process
MOST_TOLD = 3  # troubles that are told below the table, with what to do


def picture(rows: Sequence[Row], sight: Sight, place: str, now_ms: int) -> RenderableType:
    """Return all of it."""
    texts = [styled(line) for line in below(rows, sight, place, now_ms)]
    return Group(_table(rows, now_ms), *texts)


def below(rows: Sequence[Row], sight: Sight, place: str, now_ms: int) -> Iterator[str]:
    """Say what the lines have no room for: the worst troubles, and what to do about each."""
    living = [row.process for row in rows if row.process.is_alive]
    bad = [each for each in grouped(living, now_ms) if word(each[0], now_ms) in (*FAILURES, *WARNINGS)]
    for alike in bad[:MOST_TOLD]:
        yield ""
        yield f"{sentence(alike, now_ms)}."
        yield from (f"  {line}" for line in remedy(alike[0], place, now_ms).splitlines())
    if any(word(row.process, now_ms) == "gone" for row in rows):
        yield ""
        yield "What is gone has left events. The next process that starts sends them, or:"
        yield f"  togai-shipper drain {place}"
    for line in (*sight.remarks, *sight.problems):
        yield ""
        yield line


def _table(rows: Sequence[Row], now_ms: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style="dim")
    table.add_column("state", no_wrap=True)
    table.add_column("process", no_wrap=True, max_width=NAME_MOST, overflow="ellipsis")
    for name in ("in/s", "out/s", "pending", "oldest"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_row(*_all(rows, now_ms), style="bold")
    known = {row.process: row for row in rows}
    for process in by_trouble(known, now_ms):
        table.add_row(*_cells(known[process], now_ms), style=_style(known[process], now_ms))
    return table


def _all(rows: Sequence[Row], now_ms: int) -> Iterator[Text]:
    """Say in one line how all of them stand together."""
    counted = _counted(rows)
    pending = sum(row.process.pending for row in counted)
    bad = sum(word(row.process, now_ms) in (*FAILURES, *WARNINGS, "gone") for row in rows)
    dead = sum(row.process.dead for row in counted)
    yield styled("all")
    yield styled(plural(len(rows), "process", "processes"))
    yield styled(_rate(_sum(rows, "coming")))
    yield styled(_rate(_sum(rows, "going")))
    yield styled(f"{pending:,}")
    yield styled(age(max(row.process.oldest(now_ms) for row in rows)) if pending else "")
    told = [f"{bad} in trouble"] * bool(bad) + [plural(dead, "dead letter")] * bool(dead)
    yield styled(", ".join(told))


def _cells(row: Row, now_ms: int) -> Iterator[Text]:
    process = row.process
    yield styled(word(process, now_ms))
    yield styled(process.name)
    yield styled(_rate(row.coming))
    yield styled(_rate(row.going))
    yield styled(f"{process.pending:,}")
    yield styled(age(process.oldest(now_ms)) if process.pending else "")
    yield styled(why(process, now_ms))


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


def as_json(rows: Sequence[Row], sight: Sight, place: str, now_ms: int) -> dict[str, Any]:
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
