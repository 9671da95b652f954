"""What producers say of themselves in a relay, as an operator reads it.

Whoever may write to that Redis may have written it, so all of it is checked. Moments are by the clock of the
producer that says them; Redis knows when they were said, so they are shown by the clock of who reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from togai_shipper._engine.self_report import SelfReport

from .answers import figure_of
from .link import Link
from .notes import MOST_PRODUCERS
from .scripts import SAID

LONGEST_NAME = 200  # bytes
LONGEST_TEXT = 8_000  # bytes; one has some 600, and where its reason is long, and in another script, 5,000
QUIET = 600.0  # seconds; one in which nothing waited then may have ended since, or has nothing to do


@attrs.frozen
class Producer:
    """A process that hands over, and how it stood when it said so."""

    name: str
    report: SelfReport


@attrs.frozen
class Producers:
    """All that say how they stand, the latest first.

    Attributes:
        now_ms: when that was read; it, and all moments, by the clock of Redis.
        known: each of them.
        is_full: there is no room for more of them.

    """

    now_ms: int
    known: Sequence[Producer] = ()
    is_full: bool = False

    def by_clock(self, now_ms: int) -> list[Producer]:
        """Return them with their moments by another clock, on which it is ``now_ms``."""
        ahead = now_ms - self.now_ms
        return [Producer(each.name, _shifted(each.report, each.report.at_ms + ahead)) for each in self.known]


def producers(link: Link) -> Producers:
    """Return what producers say. Raises ``RelayError``."""
    word, *said = link.run(
        SAID, ("producers", "producers:said"), [MOST_PRODUCERS, LONGEST_NAME, LONGEST_TEXT]
    )
    link.heed(word, said)
    return read(said)


def read(said: Sequence[str]) -> Producers:
    """Return what an answer of SAID says."""
    now, count, *rest = said
    found = (_producer(*each, int(now)) for each in zip(rest[::3], rest[1::3], rest[2::3], strict=True))
    known = [each for each in found if each and _is_news(each.report, int(now))]
    return Producers(int(now), known, is_full=int(count) >= MOST_PRODUCERS)


def _producer(name: str, said: str, text: str, now_ms: int) -> Producer | None:
    said_ms, report = figure_of(said), SelfReport.of_text(text)
    if said_ms is None or report is None or not name.isprintable():
        return None
    return Producer(name, _shifted(report, min(said_ms, now_ms)))


def _shifted(report: SelfReport, at_ms: int) -> SelfReport:
    """Return a report whose moments are those of another clock, by which it was made at ``at_ms``."""
    off = at_ms - report.at_ms
    oldest = None if report.oldest_ms is None else _moment(report.oldest_ms + off, at_ms)
    return attrs.evolve(report, at_ms=at_ms, since_ms=_moment(report.since_ms + off, at_ms), oldest_ms=oldest)


def _moment(moment_ms: int, at_ms: int) -> int:
    return max(0, min(moment_ms, at_ms))


def _is_news(report: SelfReport, now_ms: int) -> bool:
    return not report.is_calm or now_ms - report.at_ms <= QUIET * 1000
