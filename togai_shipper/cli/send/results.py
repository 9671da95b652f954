"""What became of every line: counts and problems meanwhile, and the tally at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from togai_shipper import Stats

from .inputs import Input
from .line_fields import named
from .rejects import RejectsFile

LISTED = 1000  # problems of each kind that the summary repeats; all are printed when they occur
_REMEMBERED = 50_000  # events whose line numbers are kept, in case they are refused: at most 15 MB


@attrs.frozen(kw_only=True)
class Tally:
    """The counts at the end.

    Attributes:
        lines: lines that were read, without blank lines and headers.
        bad: lines among them that are no events.
        delivered: events that were delivered.
        refused: events that Togai has refused for good.
        recovered: events that an earlier run had left on disk; they are also counted as delivered, refused
            or undelivered.
        undelivered: events, read now or left by an earlier run, that are neither delivered nor refused.
        complete: whether every input was read to its end.
        stopped_by: why it was stopped before, if not by the user.
        dry_run: whether nothing was to be sent.
        seconds: how long it took.

    """

    lines: int = 0
    bad: int = 0
    delivered: int = 0
    refused: int = 0
    recovered: int = 0
    undelivered: int = 0
    complete: bool = True
    stopped_by: str | None = None
    dry_run: bool = False
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 if everything is delivered, or would have been; else 1."""
        return 0 if self.complete and not (self.bad or self.refused or self.undelivered) else 1

    @property
    def can_go_on(self) -> bool:
        """Whether there is anything left to do for the same command, run again."""
        return not self.dry_run and (self.undelivered > 0 or not self.complete)


@attrs.frozen
class Problem:
    """A line that was not delivered, and why.

    Attributes:
        file: the input's name; ``None`` if it is not known any more.
        line: the line's number.
        reason: what is wrong with it, or what Togai replied.
        id: the event's id, if Togai has refused it.

    """

    file: str | None
    line: int | None
    reason: str
    id: str | None = None

    def __str__(self) -> str:
        where = "" if self.file is None else f"{self.file}:{self.line}: "
        return where + (self.reason if self.id is None else f"event {named(self.id)}: {self.reason}")


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
        self.bad = 0
        self.accepted = 0  # by track(); the library also counts what earlier runs have left
        self.incomplete: set[str] = set()  # names of inputs that could not be read to their end
        self.stopped_by: str | None = None
        self.bad_lines: list[Problem] = []
        self.refused_events: list[Problem] = []

    def note_bad(self, source: Input, number: int, line: bytes | None, why: object) -> None:
        """Note a line that is no event."""
        self.bad += 1
        if self._rejects is not None:
            self._rejects.write(line, source.header)
        self._list(self.bad_lines, Problem(source.name, number, str(why)))

    def note_unreadable(self, source: Input, number: int, why: object) -> None:
        """Note that the input cannot be read beyond this line."""
        self.incomplete.add(source.name)
        self._list(self.bad_lines, Problem(source.name, number + 1, f"cannot be read any further: {why}"))

    def note_accepted(self, event_id: str, source: str, number: int) -> None:
        """Note that an event was accepted, and which line it came from."""
        self.accepted += 1
        self._recent.put(event_id, (source, number))

    def note_refused(self, event_id: str, why: object) -> None:
        """Note that Togai has refused an event for good."""
        file, line = self._recent.get(event_id)
        self._list(self.refused_events, Problem(file, line, f"refused by Togai: {why}", event_id))

    def _list(self, problems: list[Problem], problem: Problem) -> None:
        with self._lock:
            if len(problems) < LISTED:
                problems.append(problem)
        self._say(str(problem))

    def close(self, stats: Stats, *, complete: bool, dry_run: bool, seconds: float) -> Tally:
        """Return the tally."""
        left = self.accepted + stats.recovered - stats.delivered - stats.rejected
        return Tally(
            lines=self.lines,
            bad=self.bad,
            delivered=stats.delivered,
            refused=stats.rejected,
            recovered=stats.recovered,
            # Ctrl-C between the library's count of an event and ours would make it -1.
            undelivered=0 if dry_run else max(left, 0),
            complete=complete and not self.incomplete,
            stopped_by=self.stopped_by,
            dry_run=dry_run,
            seconds=seconds,
        )


class _RecentLines:
    """Keeps the lines of the most recent events: at least half of ``most``, at most all of it."""

    def __init__(self, most: int) -> None:
        self._most = most // 2
        self._new: dict[str, tuple[str, int]] = {}
        self._old: dict[str, tuple[str, int]] = {}

    def put(self, key: str, value: tuple[str, int]) -> None:
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def get(self, key: str) -> tuple[str, int] | tuple[None, None]:
        return self._new.get(key) or self._old.get(key) or (None, None)
