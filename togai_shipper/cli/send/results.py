"""What became of every line: counted while it goes on, and the tally at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

from togai_shipper import Stats

from .inputs import Input
from .line_fields import named
from .rejects import RejectsFile

LISTED = 1000  # problems that the summary repeats, of each kind; all are told when they turn up
_REMEMBERED = 50_000  # lines whose numbers are known should their events be refused: some 15 MB at most


@attrs.frozen(kw_only=True)
class Tally:
    """How it ended.

    Attributes:
        lines: read, blank ones and headers excepted.
        bad: of them, no events.
        delivered: events that Togai has taken.
        refused: events that Togai has refused for good.
        recovered: events that an earlier run had left on disk; they count as delivered, refused or
            undelivered, too, beside the lines.
        undelivered: events read, or left by an earlier run, and neither delivered nor refused.
        complete: whether every input was read to its end.
        stopped_by: why it was stopped before, if not by the user.
        dry_run: whether nothing was to be sent.
        seconds: that it took.

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
        """0 if everything is delivered, or would be; else 1."""
        return 0 if self.complete and not (self.bad or self.refused or self.undelivered) else 1

    @property
    def can_go_on(self) -> bool:
        """Whether the same command again would get further."""
        return not self.dry_run and (self.undelivered > 0 or not self.complete)


@attrs.frozen
class Problem:
    """A line that was not delivered, and why.

    Attributes:
        file: the input's name; ``None`` where it is not known any more.
        line: its number there.
        reason: what is wrong with it, or what Togai said.
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
    """What came of every line. Written by the reading thread, and by flushers for what Togai refuses.

    Args:
        say: tells a problem when it turns up.
        rejects: where bad lines are kept.

    """

    def __init__(self, say: Callable[[str], None], rejects: RejectsFile | None = None) -> None:
        self._say = say
        self._rejects = rejects
        self._lock = threading.Lock()
        self._recent = _RecentLines(_REMEMBERED)
        self.lines = 0
        self.bad = 0
        self.accepted = 0  # handed over; counted here, since the library counts what earlier runs left, too
        self.incomplete: set[str] = set()  # names of inputs that could not be read to their end
        self.stopped_by: str | None = None
        self.bad_lines: list[Problem] = []
        self.refused_events: list[Problem] = []

    def note_bad(self, source: Input, number: int, line: bytes | None, why: object) -> None:
        """This line is no event."""
        self.bad += 1
        if self._rejects is not None:
            self._rejects.write(line, source.header)
        self._list(self.bad_lines, Problem(source.name, number, str(why)))

    def note_unreadable(self, source: Input, number: int, why: object) -> None:
        """The input cannot be read beyond this line."""
        self.incomplete.add(source.name)
        self._list(self.bad_lines, Problem(source.name, number + 1, f"cannot be read any further: {why}"))

    def note_accepted(self, event_id: str, source: str, number: int) -> None:
        """An event is handed over; where it came from."""
        self.accepted += 1
        self._recent.put(event_id, (source, number))

    def note_refused(self, event_id: str, why: object) -> None:
        """Togai has refused this event for good."""
        file, line = self._recent.get(event_id)
        self._list(self.refused_events, Problem(file, line, f"refused by Togai: {why}", event_id))

    def _list(self, problems: list[Problem], problem: Problem) -> None:
        with self._lock:
            if len(problems) < LISTED:
                problems.append(problem)
        self._say(str(problem))

    def close(self, stats: Stats, *, complete: bool, dry_run: bool, seconds: float) -> Tally:
        """The tally."""
        left = self.accepted + stats.recovered - stats.delivered - stats.rejected
        return Tally(
            lines=self.lines,
            bad=self.bad,
            delivered=stats.delivered,
            refused=stats.rejected,
            recovered=stats.recovered,
            # Ctrl-C between the library's count of an event and ours makes it -1.
            undelivered=0 if dry_run else max(left, 0),
            complete=complete and not self.incomplete,
            stopped_by=self.stopped_by,
            dry_run=dry_run,
            seconds=seconds,
        )


class _RecentLines:
    """The last so many entries, and perhaps as many before them."""

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
