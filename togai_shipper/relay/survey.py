"""What is known of a relay and its Redis, as far as this user may see it; nothing in it is changed.

``None`` stands for what this user may not see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import attrs

from togai_shipper._engine.self_report import SelfReport

from .answers import figure_of
from .errors import RelayError
from .link import DRAINERS, Link
from .producers import Producers, producers
from .scripts import RIGHTS

KINDS = {"events": "stream", "relay": "hash", "dead": "hash", "lease": "string", "journal": "hash"}
FIGURES = ("v", "bytes", "events", "in", "out", "lost", "oldest", "dead")
FACTS = ("epoch", "base_url", "key", "trying", *FIGURES)
REPORT = "report"  # what who drains says of itself
RELEASED = "released"
RENEWED_WITHIN = 4.5  # seconds; the holder of the lease says every 2 s that it is there
PAUSE = 0.1  # seconds between two looks at the lease


@attrs.frozen
class Clock:
    """How time passes while the lease is watched; a test gives its own."""

    now: Callable[[], float]
    pause: Callable[[float], object]


@attrs.frozen
class Leader:
    """Who drains: ``owner`` (empty: nobody), and whether it has said so while it was watched."""

    owner: str = ""
    is_alive: bool = False


@attrs.frozen(kw_only=True)
class Survey:
    """What is known of a relay.

    Attributes:
        info: what ``INFO`` says.
        config: some of ``CONFIG GET``.
        wrong_kinds: of our keys those that hold something else: what it is, by key.
        facts: what the relay's hash says; empty where nothing was ever handed over.
        entries: how many entries the stream has.
        dead: how many dead letters there are.
        leader: who drains.
        drainers: all whose connections have a drainer's name.
        lacks_to_hand_over: commands that this user lacks for it.
        lacks_to_drain: likewise.
        lacks_to_count: likewise, to keep the journal.
        lacks_to_say: likewise, to note how a producer stands.
        producers: what those who hand over say of themselves; ``None`` where this user may not read it.

    """

    info: Mapping[str, Any] | None = None
    config: Mapping[str, str] | None = None
    wrong_kinds: Mapping[str, str] = attrs.field(factory=dict)
    facts: Mapping[str, str] = attrs.field(factory=dict)
    entries: int | None = None
    dead: int | None = None
    leader: Leader | None = None
    drainers: Sequence[str] | None = None
    lacks_to_hand_over: Sequence[str] | None = None
    lacks_to_drain: Sequence[str] | None = None
    lacks_to_count: Sequence[str] | None = None
    lacks_to_say: Sequence[str] | None = None
    producers: Producers | None = None

    def number(self, name: str) -> int:
        """Return one of the facts, 0 where it is not there or is no number."""
        return figure_of(self.facts.get(name, "")) or 0

    @property
    def damaged(self) -> Sequence[str]:
        """Which figures of the relay's hash are no numbers: somebody else has written there."""
        return [name for name in FIGURES if figure_of(self.facts.get(name, "0")) is None]

    def report_of(self, owner: str) -> SelfReport | None:
        """Return what this drainer says of itself, if it was the last one to say something."""
        who, _, text = self.facts.get(REPORT, "").partition("\n")
        return SelfReport.of_text(text) if who == owner else None

    @property
    def waiting(self) -> Sequence[str]:
        """The drainers that are connected, and do not have the lease."""
        owner = self.leader.owner if self.leader else ""
        return [each for each in self.drainers or () if each != owner]


def survey(link: Link, clock: Clock | None) -> Survey:
    """Return all that can be known; without a clock, nothing of who drains, for which one has to wait.

    Raises ``RelayError`` where not even the relay's facts can be read.
    """
    link.ask("PING")  # first, since what is asked further down may be left unanswered
    wrong = _wrong_kinds(link)
    lacks = _allowed(
        lambda: link.run(
            RIGHTS,
            ("relay",),
            [link.keys[part] for part in ("events", "dead", "lease", "journal", "producers")],
        )
    )
    return Survey(
        info=_allowed(lambda: link.ask("INFO")),
        config=_allowed(lambda: _config(link)),
        entries=_allowed(lambda: int(link.ask("XLEN", link.keys["events"]))),
        dead=_allowed(lambda: int(link.ask("HLEN", link.keys["dead"]))),
        leader=None if clock is None else _allowed(partial(watched, link, clock)),
        drainers=_allowed(lambda: _drainers(link)),
        lacks_to_hand_over=None if lacks is None else lacks[0].split(),
        lacks_to_drain=None if lacks is None else lacks[1].split(),
        lacks_to_count=None if lacks is None else lacks[2].split(),
        lacks_to_say=None if lacks is None else lacks[3].split(),
        wrong_kinds=wrong,
        facts={} if link.keys["relay"] in wrong else facts(link),
        producers=_allowed(partial(producers, link)),  # last, since they say when that was
    )


def watched(link: Link, clock: Clock) -> Leader:
    """Return who has the lease; wait a few seconds for its beat to move. Raises ``RelayError``."""
    first = said = lease_of(link)
    until = clock.now() + RENEWED_WITHIN
    while said not in ("", RELEASED) and said == first and clock.now() < until:
        clock.pause(PAUSE)
        said = lease_of(link)
    return Leader(said.rpartition(":")[0], is_alive=said != first)


def lease_of(link: Link) -> str:
    """Return what the lease says: ``owner:beat``, ``released``, or nothing. Raises ``RelayError``."""
    said = link.ask("GET", link.keys["lease"])
    return _text(said) if said is not None else ""


def facts(link: Link) -> dict[str, str]:
    """Return what the relay's hash says. Raises ``RelayError``."""
    names = (*FACTS, REPORT)
    found = link.ask("HMGET", link.keys["relay"], *names)  # a producer may not ask for all of it
    return {name: _text(value) for name, value in zip(names, found, strict=True) if value is not None}


def _config(link: Link) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("appendfsync", "min-replicas-to-write"):
        said = link.ask("CONFIG", "GET", name)
        parts = [*said.items()] if isinstance(said, dict) else [*zip(said[::2], said[1::2], strict=True)]
        found |= {_text(key): _text(value) for key, value in parts}
    return found


def _drainers(link: Link) -> list[str]:
    """Return the owners that drainers' connections are named for."""
    said = link.ask("CLIENT", "LIST")
    clients = said if isinstance(said, list) else _of_lines(_text(said))
    names = sorted({str(client.get("name", "")) for client in clients})
    return [name.removeprefix(DRAINERS) for name in names if name.startswith(DRAINERS)]


def _of_lines(text: str) -> list[dict[str, str]]:
    return [
        {name: value for name, _, value in (part.partition("=") for part in line.split())}
        for line in text.splitlines()
    ]


def _wrong_kinds(link: Link) -> dict[str, str]:
    """Return which of our keys hold something else."""
    found = {}
    for part, kind in KINDS.items():
        said = _allowed(partial(link.ask, "TYPE", link.keys[part]))
        if said is not None and _text(said) not in ("none", kind):
            found[link.keys[part]] = _text(said)
    return found


def _allowed(ask: Callable[[], Any]) -> Any:
    """Return what is asked for; ``None`` where this user, or this Redis, does not allow it."""
    with suppress(RelayError):
        return ask()
    return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
