"""How many events a second come into each process, and leave it: from two of its reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.processes import Process
from togai_shipper.relay.notes import PACE

STILL = 2.0  # seconds after which a process that has said no more has nothing to say: nothing moves in it
STILL_PRODUCER = PACE.again  # of one that notes it in a relay


@attrs.frozen
class Row:
    """A process, and its rates, in events a second; ``None`` where they are not known."""

    process: Process
    coming: float | None = None
    going: float | None = None


LEAST = 0.05  # seconds between two reports of a process: it says nothing more often than every 0.1


@attrs.define
class _Past:
    """The last two reports of a process; ``seen_at``: when the last was first seen, in monotonic seconds."""

    last: SelfReport
    seen_at: float
    before: SelfReport | None = None


class Rates:
    """Remembers what each process has said."""

    def __init__(self) -> None:
        self._past: dict[tuple[str, str], _Past] = {}

    def rows(self, processes: Sequence[Process], now: float) -> list[Row]:
        """Return the processes with their rates; ``now``: monotonic seconds."""
        past, self._past = self._past, {}
        return [self._row(process, past.get(_key(process)), now) for process in processes]

    def _row(self, process: Process, past: _Past | None, now: float) -> Row:
        said = process.said
        if said is None:
            return Row(process)
        if past is None:
            past = _Past(said, now)
        elif past.last.at_ms != said.at_ms:
            past = _Past(said, now, past.last)
        self._past[_key(process)] = past
        if now - past.seen_at >= (STILL_PRODUCER if process.is_producer else STILL):
            return Row(process, 0.0, 0.0)
        if past.before is None:
            return Row(process)
        if said.at_ms < past.before.at_ms:  # its clock was set back
            return Row(process)
        seconds = max(LEAST, (said.at_ms - past.before.at_ms) / 1000)
        came = said.accepted - past.before.accepted
        went = _gone(said) - _gone(past.before)
        return Row(process, max(0.0, came / seconds), max(0.0, went / seconds))


def _key(process: Process) -> tuple[str, str]:
    return process.name, process.file


def _gone(report: SelfReport) -> int:
    return report.delivered + report.relayed + report.rejected + report.dropped
