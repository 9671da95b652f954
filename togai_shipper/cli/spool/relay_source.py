"""A relay as the commands work with it. Needs redis-py. All raise ``RelayError``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.terminal import print_json, print_lines
from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.link import Link
from togai_shipper.relay.survey import Clock, survey
from togai_shipper.relay.url import shown

from .causes import grouped
from .change_request import ChangeResult, WaitClock
from .events import Holder, StoredEvent
from .relay_changes import RelayChange
from .relay_reader import Key, RelayReader
from .relay_view import relay_json, relay_lines
from .verification import Findings
from .view import show_causes

TIMEOUT = 10.0  # seconds for each answer


class RelaySource:
    """One relay."""

    part = "key"

    def __init__(self, url: str, name: str, link: Link, clock: WaitClock) -> None:
        self.place = shown(url)
        self._name = name
        self._link = link
        self._clock = Clock(clock.now, clock.pause)
        self._letters = DeadLetters(link)
        self._reader = RelayReader(link, self._letters)
        self.problems = self._reader.problems
        self.dead = self._reader.dead
        self.pending = self._reader.pending

    @classmethod
    @contextmanager
    def opened(cls, url: str, name: str, clock: WaitClock) -> Iterator[RelaySource]:
        """Give the relay with this URL. Raises ``ConfigurationError``."""
        link = Link(url, name, TIMEOUT)
        try:
            yield cls(url, name, link, clock)
        finally:
            link.close()

    def of_unsure_age(self) -> Iterator[StoredEvent]:
        """None: the drainer judges by Togai's own time."""
        return iter(())

    def show(self, *, as_json: bool, most: int) -> None:  # noqa: ARG002  of a spool's files
        """Print what the relay holds, and who drains it."""
        found = survey(self._link, self._clock)
        is_readable = bool(found.dead) and self._link.keys["dead"] not in found.wrong_kinds
        groups = grouped(self._reader.dead() if is_readable else ())
        reasons = Counter[str]()
        for group in groups:
            reasons[group.cause.reason] += group.count
        if as_json:
            problems = [f"{key} is a {kind}" for key, kind in found.wrong_kinds.items()]
            print_json(
                relay_json(self.place, self._name, found, dict(reasons.most_common()), problems, now_ms()),
                indent=2,
            )
        else:
            print_lines(relay_lines(self.place, self._name, found, now_ms()))
            show_causes(Screen(), self.place, groups, now_ms())

    def findings(self) -> Iterator[Findings]:
        """Check every key, every entry and every letter."""
        return self._reader.findings(survey(self._link, None))

    def advice(self) -> Sequence[str]:
        """Say what becomes of what is not ours."""
        return (
            "No drainer sends or deletes what is",
            "not ours, nor what a newer version wrote: update the drainers, or delete it yourself.",
        )

    def change(
        self,
        what: str,
        numbers: Mapping[Holder, Sequence[int]],
        clock: WaitClock,  # noqa: ARG002  nobody is waited for
        *,
        is_risky: bool,
    ) -> list[ChangeResult]:
        """Change dead letters here: that is one step in Redis, whoever drains."""
        key = Key(self._link.keys["dead"])
        change = RelayChange(self._letters, key, what, now_ms(), is_risky)
        ids = [self._reader.ids[number - 1] for its in numbers.values() for number in its]
        return change.run(ids)

    def sent_by(self, results: Sequence[ChangeResult]) -> Iterator[str]:  # noqa: ARG002  the source's
        """Nobody has to be started: the drainer sends them."""
        return iter(())
