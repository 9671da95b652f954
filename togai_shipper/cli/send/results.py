"""What became of every line: counts and problems meanwhile, and the tally at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs

from togai_shipper import Stats

from .bad_line import named
from .inputs import Input
from .rejects import RejectsFile

LISTED = 1000  # problems of each kind that the summary repeats; all are printed when they occur
_REMEMBERED = 50_000  # events whose line numbers are kept, in case they are refused: at most 15 MB


@attrs.frozen(kw_only=True)
class Tally:
    """The counts at the end.

    Attributes:
        lines: lines that were read, without blank lines and headers.
        bad: lines among them that are no events.
        unfinished: last lines among them that are left for the next run, since they may not be all there.
        grown: files to which something was appended since the command began, which is left for the next run.
        delivered: events that were delivered.
        refused: events that Togai has refused for good.
        recovered: events that an earlier run had left on disk; they are also counted as delivered, refused
            or undelivered.
        undelivered: events, read now or left by an earlier run, that are neither delivered nor refused.
        complete: whether every input was read to its end.
        stopped_by: why it was stopped before, if not by the user: the end of "Stopped, because …".
        dry_run: whether nothing was to be sent.
        seconds: how long it took.
        durable: whether all that was read was kept on disk until it was settled.
        kept: events that are left on disk.
        spool: the directory where they are; ``None`` if there is none.

    """

    lines: int = 0
    bad: int = 0
    unfinished: int = 0
    grown: int = 0
    delivered: int = 0
    refused: int = 0
    recovered: int = 0
    undelivered: int = 0
    complete: bool = True
    stopped_by: str | None = None
    dry_run: bool = False
    seconds: float = 0.0
    durable: bool = False
    kept: int = 0
    spool: str | None = None

    @property
    def exit_status(self) -> int:
        """0 if everything is delivered, or would have been; else 1."""
        left = self.bad or self.unfinished or self.grown or self.refused or self.undelivered
        return 0 if self.complete and not left else 1

    @property
    def can_go_on(self) -> bool:
        """Whether there is anything left to do for the same command, run again."""
        left = self.undelivered > 0 or self.unfinished > 0 or self.grown > 0
        return not self.dry_run and (left or not self.complete)


@attrs.frozen
class Problem:
    """A line that was not delivered, and why.

    Attributes:
        file: the input's name; ``None`` if it is not known any more.
        line: the line's number, or the object's.
        reason: what is wrong with it, or what Togai replied.
        id: the event's id, if Togai has refused it.
        is_object: whether the input is JSON that is not one object a line.

    """

    file: str | None
    line: int | None
    reason: str
    id: str | None = None
    is_object: bool = False

    @classmethod
    def of(cls, source: Input, number: int, reason: object, event_id: str | None = None) -> Problem:
        """Return what is wrong with a line, or an object, of an input."""
        return cls(source.name, number, str(reason), event_id, is_object=source.has_objects)

    def __str__(self) -> str:
        where = "" if self.file is None else f"{self.file}:{' object ' * self.is_object}{self.line}: "
        return where + (self.reason if self.id is None else f"event {named(self.id)}: {self.reason}")

    def as_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        told = {"file": self.file, "object" if self.is_object else "line": self.line, "reason": self.reason}
        return told if self.id is None else {**told, "id": self.id}


class LineResults:
    """What became of every line. The reading thread writes to it, and flushers do, for refused events.

    Args:
        say: prints a problem when it occurs.
        rejects: where bad lines are kept.

    """

    def __init__(self, say: Callable[[str], None], rejects: RejectsFile | None = None) -> None:
        self._say = say
        self._rejects = rejects
        self._lock = threading.Lock()
        self._recent = _RecentLines(_REMEMBERED)
        self.lines = 0
        self._begun: list[tuple[int, int]] = []  # how many lines were read, and accepted, before each input
        self.bad = 0
        self.unfinished_lines: list[Problem] = []
        self.accepted = 0  # by track(); the library also counts what earlier runs have left
        self.grown: list[str] = []  # names of inputs of which what was appended is left
        self.incomplete: set[str] = set()  # names of inputs that could not be read to their end
        self.stopped_by: str | None = None
        self.recorded = False  # whether the ids of the lines are in the record of jobs
        self.bad_lines: list[Problem] = []
        self.refused_events: list[Problem] = []

    def note_recorded(self) -> None:
        """Note that the ids of the lines are in the record of jobs."""
        self.recorded = True

    def note_input(self) -> None:
        """Note that the next lines are those of the next input."""
        self._begun.append((self.lines, self.accepted))

    def by_input(self) -> list[tuple[int, int]]:
        """Return how many lines were read, and how many accepted, of each input that was begun."""
        ends = [*self._begun[1:], (self.lines, self.accepted)]
        return [
            (lines - lines_before, accepted - accepted_before)
            for (lines_before, accepted_before), (lines, accepted) in zip(self._begun, ends, strict=False)
        ]

    def note_bad(self, source: Input, number: int, line: bytes | None, why: object) -> None:
        """Note a line that is no event. Raises ``BadLineLost``."""
        self.bad += 1
        self._list(self.bad_lines, Problem.of(source, number, why))
        if self._rejects is not None:
            self._rejects.write(line, source.header)

    def note_stopped(self, why: str) -> None:
        """Note that nothing more is read, and why."""
        self.stopped_by = why
        self._say(f"Stopping: {why}")

    def note_unfinished(self, source: Input, number: int, why: object) -> None:
        """Note that the last line of an input may not be all there, and is left."""
        self._list(self.unfinished_lines, Problem.of(source, number, why))

    def note_grown(self, source: Input) -> None:
        """Note that something was appended to an input since the command began."""
        self.grown.append(source.name)
        self._say(
            f"{source.name}: has grown since the command began; what was added is left for the next run"
        )

    def note_unreadable(self, source: Input, number: int, why: object) -> None:
        """Note that the input cannot be read beyond this line."""
        self.incomplete.add(source.name)
        self._list(self.bad_lines, Problem.of(source, number + 1, f"cannot be read any further: {why}"))

    def note_accepted(self, event_id: str, source: Input, number: int) -> None:
        """Note that an event was accepted, and which line it came from."""
        self.accepted += 1
        self._recent.put(event_id, (source, number))

    def note_refused(self, event_id: str, why: object) -> None:
        """Note that Togai has refused an event for good."""
        reason, found = f"refused by Togai: {why}", self._recent.get(event_id)
        problem = Problem.of(*found, reason, event_id) if found else Problem(None, None, reason, event_id)
        self._list(self.refused_events, problem)

    def _list(self, problems: list[Problem], problem: Problem) -> None:
        with self._lock:
            if len(problems) < LISTED:
                problems.append(problem)
        self._say(str(problem))

    def close(
        self,
        stats: Stats,
        *,
        complete: bool,
        dry_run: bool,
        seconds: float,
        spool: str | None = None,
        durable: bool = False,
    ) -> Tally:
        """Return the tally; ``stats`` are those of the end."""
        left = self.accepted + stats.recovered - stats.delivered - stats.rejected
        return Tally(
            lines=self.lines,
            bad=self.bad,
            unfinished=len(self.unfinished_lines),
            grown=len(self.grown),
            delivered=stats.delivered,
            refused=stats.rejected,
            recovered=stats.recovered,
            # Ctrl-C between the library's count of an event and ours would make it -1.
            undelivered=0 if dry_run else max(left, 0),
            complete=complete and not self.incomplete,
            stopped_by=self.stopped_by,
            dry_run=dry_run,
            seconds=seconds,
            durable=durable,
            kept=stats.spooled,
            spool=spool,
        )


class _RecentLines:
    """Keeps the lines of the most recent events: at least half of ``most``, at most all of it."""

    def __init__(self, most: int) -> None:
        self._most = most // 2
        self._new: dict[str, tuple[Input, int]] = {}
        self._old: dict[str, tuple[Input, int]] = {}

    def put(self, key: str, value: tuple[Input, int]) -> None:
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def get(self, key: str) -> tuple[Input, int] | None:
        return self._new.get(key) or self._old.get(key)
