"""How processes stand, in words: what each says of itself, and what its lock says of it. Pure.

Whether a process lives is what its lock says, never a clock: what one that hangs or was killed has said last
stays as it is, and is shown with its age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import attrs

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.relay.notes import MISSED
from togai_shipper.relay.url import is_url

from .formats import age, moment, plural
from .remedies import FULL, OLDEST_WAITS, SPOOL_FAILS, remedy_by_words

OLD = 300.0  # seconds; an event that waits for longer may come after its cycle's grace period at Togai
SILENT = 60.0  # seconds; a process in which events wait says something every 10
SILENT_PRODUCER = MISSED  # of one that notes it in a relay
SOME_RELAY = "redis://..."  # in a remedy, where it is not known which
MOST_NAMED = 3  # of the processes with the same trouble

#: In one word how a process stands, the worst first. ``gone``: nobody sends what it has left.
Word: TypeAlias = Literal[
    "parked",
    "refusing",
    "not durable",
    "gone",
    "unwell",
    "old events",
    "silent",
    "unknown",
    "closing",
    "ok",
    "ended",
]
WORDS: tuple[Word, ...] = get_args(Word)
FAILURES: tuple[Word, ...] = ("parked", "refusing", "not durable")
WARNINGS: tuple[Word, ...] = ("unwell", "old events", "silent")
COUNTS = ("accepted", "delivered", "relayed", "rejected", "dropped", "retries", "requests", "refused_full")
_FIGURES = re.compile("[0-9]+")  # by which processes with the same trouble differ
_STANDS: dict[Word, str] = {
    "old events": "has old events|have old events",
    "unknown": "says nothing of itself|say nothing of themselves",
}


@attrs.frozen(kw_only=True)
class Process:
    """One process: what has its file, or has left it; or what works on a relay.

    Attributes:
        name: how it is called: ``pid 4711``.
        is_alive: whether it has its file.
        report: what it says of itself; ``None`` where it says nothing: an older version.
        held: how many pending events its file has.
        held_oldest_ms: when the oldest of these was accepted.
        dead: how many dead letters its file has.
        version: of this library, as its file says.
        file: the name of its file; a process with two shippers has two.
        is_counted: what it has is no part of what another one has, and counts in the sum.
        is_producer: it hands over to a relay, where what it lets go is counted once more.
        is_drainer: it drains a relay, where what waits in it stays until it is delivered.

    """

    name: str
    is_alive: bool
    report: SelfReport | None = None
    held: int = 0
    held_oldest_ms: int | None = None
    dead: int = 0
    version: str = ""
    file: str = ""
    is_counted: bool = True
    is_producer: bool = False
    is_drainer: bool = False

    @property
    def said(self) -> SelfReport | None:
        """What it says of itself, while it lives."""
        return self.report if self.is_alive else None

    @property
    def pending(self) -> int:
        """How many events wait in it, on disk or not: what is in its file waits, whatever it says."""
        return max(self.said.pending if self.said else 0, self.held)

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest of them was accepted."""
        known = (self.said.oldest_ms if self.said else None, self.held_oldest_ms)
        return min((each for each in known if each is not None), default=None)

    def oldest(self, now_ms: int) -> float:
        """Seconds for which that one waits; 0 without any."""
        return 0.0 if self.oldest_ms is None else max(0.0, (now_ms - self.oldest_ms) / 1000)


def word(process: Process, now_ms: int) -> Word:
    """Return how it stands."""
    said = process.said
    if not process.is_alive:
        return "gone" if process.held else "ended"
    if said is not None and said.trouble:
        return said.trouble
    if said is not None and said.pending and abs(now_ms - said.at_ms) > _silent_ms(process):
        return "silent"
    if process.pending and process.oldest(now_ms) > OLD:
        return "old events"
    if said is None:
        return "unknown"
    return "closing" if said.state in ("closing", "closed") else "ok"


def why(process: Process, now_ms: int) -> str:
    """Say why it stands so, in a few words; empty where all is well."""
    report, said = process.report, process.said
    match word(process, now_ms):
        case "gone":
            before = f"; before: {report.why}" if report and report.why else ""
            return f"its process is gone{before}"
        case "unknown":
            return f"an older version{process.version and f' ({process.version})'}"
        case "silent" if said:
            ahead = f"its clock is {_since(now_ms, said.at_ms)} ahead of ours, or was set back"
            full = "" if process.is_producer else ", or its disk full"
            silent = f"has said nothing for {_since(said.at_ms, now_ms)}: is it stopped{full}?"
            return ahead if said.at_ms > now_ms else silent
        case "refusing" if said and not said.why:
            return f"its buffer is full, {plural(said.refused_full, 'event')} refused until now"
        case "old events" if not said or not said.why:
            return f"the oldest event waits for {age(process.oldest(now_ms))}"
    return said.why.removeprefix("parked: ") if said else ""


def sentence(alike: Sequence[Process], now_ms: int) -> str:
    """Say how processes stand that stand alike: which they are, since when, why, and what waits in them."""
    first = alike[0]
    what, said = word(first, now_ms), first.said
    text = f"{_named(alike)} {_STANDS.get(what, f'is {what}|are {what}').split('|')[len(alike) > 1]}"
    if said and said.trouble == what and said.since_ms:  # of a relay as a whole it is not known
        text += f" for {_since(min(each.said.since_ms for each in alike if each.said), now_ms)}"
    if reason := why(first, now_ms):
        text += f": {reason}"
    if pending := sum(each.pending for each in alike):
        oldest = max(each.oldest(now_ms) for each in alike)
        text += f"; {plural(pending, 'event waits', 'events wait')}, the oldest for {age(oldest)}"
    if said and what != "silent" and now_ms - said.at_ms > _silent_ms(first):
        text += f" (it said so {_since(said.at_ms, now_ms)} ago)"
    return text


def _silent_ms(process: Process) -> float:
    return 1000 * (SILENT_PRODUCER if process.is_producer else SILENT)


def remedy(process: Process, place: str, now_ms: int) -> str:
    """Say what to do, with the next command; lines."""
    said, what = process.said, word(process, now_ms)
    if process.is_producer and (text := _remedy_of_a_producer(what, place)):
        return text
    match what:
        case "parked":
            return _remedy_of_a_parked(process)
        case "refusing":
            return remedy_by_words(FULL, place)
        case "not durable":
            return remedy_by_words(SPOOL_FAILS, place)
        case "silent":
            return f"Look at the process (ps), and its log. Then: togai-shipper top {place}"
    text = remedy_by_words((said and said.why) or OLDEST_WAITS, place)
    return text.replace(SOME_RELAY, place if process.is_producer else _relay_of(said))


def _relay_of(said: SelfReport | None) -> str:
    return said.relay if said and is_url(said.relay) else SOME_RELAY


def _remedy_of_a_parked(process: Process) -> str:
    said = process.said
    if said and said.is_by_key and process.is_drainer:
        return (
            "Start it anew with a good key (TOGAI_API_KEY); all events stay in the relay.\n"
            "Is the key good that is set here? togai-shipper doctor --check-key"
        )
    if said and said.is_by_key:
        return (
            "A good key mends it, by set_api_key() or a restart; all events are kept.\n"
            "Is the application's own key good? togai-shipper doctor --check-key"
        )
    if said and said.relay:
        return (
            "It hands over again by itself once that is mended; all events are kept.\n"
            f"Does the relay answer, and for whom is it? togai-shipper doctor --relay {_relay_of(said)}"
        )
    return (
        "It tries again by itself, less and less often; all events are kept.\n"
        "What does the server answer now? togai-shipper doctor --check-key"
    )


def _remedy_of_a_producer(what: Word, place: str) -> str:
    match what:
        case "parked":
            return (
                "It hands over again by itself once that is mended; all its events are kept.\n"
                f"Look on its host: togai-shipper doctor --relay {place}"
            )
        case "not durable":
            return (
                "Until Redis has them its events are in memory alone. Look on its host: togai-shipper doctor"
            )
        case "silent":
            return (
                "If it was killed, these events are in its spool, or lost where it had none.\n"
                "Look on its host: at the process (ps), and at its log."
            )
    return ""


def grouped(processes: Iterable[Process], now_ms: int) -> list[list[Process]]:
    """Return processes that stand alike together, the worst first."""
    groups: dict[tuple[Word, str], list[Process]] = {}
    for process in by_trouble(processes, now_ms):
        what = word(process, now_ms)
        reason = _FIGURES.sub("", why(process, now_ms)) if what in ("parked", "unwell", "unknown") else ""
        groups.setdefault((what, reason), []).append(process)
    return list(groups.values())


def by_trouble(processes: Iterable[Process], now_ms: int) -> list[Process]:
    """Return them sorted: the worst first, and of those that stand alike, those with most events."""
    return sorted(processes, key=lambda each: (WORDS.index(word(each, now_ms)), -each.pending, each.name))


def _named(alike: Sequence[Process]) -> str:
    if len(alike) == 1:
        return alike[0].name
    names = [each.name for each in alike[:MOST_NAMED]]
    more = ", ..." if len(alike) > MOST_NAMED else ""
    return f"{len(alike)} processes ({', '.join(names)}{more})"


def _since(moment_ms: int, now_ms: int) -> str:
    return age((now_ms - moment_ms) / 1000)


def process_json(process: Process, now_ms: int) -> dict[str, Any]:
    """Return how it stands, for JSON."""
    said = process.report
    return {
        "name": process.name,
        "file": process.file or None,
        "alive": process.is_alive,
        "standing": word(process, now_ms),
        "why": why(process, now_ms) or None,
        "version": process.version or None,
        "pending": process.pending,
        "oldest": None if process.oldest_ms is None else moment(process.oldest_ms),
        "dead": process.dead,
        "since": moment(said.since_ms) if said and said.since_ms else None,
        "said": said and moment(said.at_ms),
        "state": said and said.state,
        "healthy": said and said.is_healthy,
        "durable": said and said.is_durable,
        "last_error": (said and said.why) or None,
        "counts": said and {name: getattr(said, name) for name in COUNTS},
    }
