"""What happens in a world: a list of entries, drawn from the seed, from which some can be left out."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs

SLOTS = 3  # processes at a time, those forked apart
DRAINERS = 20  # the slot of the first drainer; the other one has the next
FAULTS = (  # weather -> how long it lasts, at most; its value, if it has one
    ("busy", 60.0, (0.0, 0.0, 1.0, 20.0, 90.0)),
    ("unavailable", 60.0, (0.0, 2.0, 30.0)),
    ("errors", 90.0, ()),
    ("reset", 90.0, ()),
    ("lost reply", 90.0, ()),
    ("swallowed", 60.0, ()),
    ("cut reply", 60.0, ()),
    ("late reply", 90.0, (2.0, 40.0)),
    ("dripping reply", 60.0, (0.1, 4.0)),
    ("informational", 90.0, ()),
    ("page", 90.0, ()),
    ("redirect", 30.0, ()),
    ("forbidden", 60.0, ()),
    ("nonsense", 60.0, ()),
    ("empty 200", 60.0, ()),
    ("hangs up", 90.0, ()),
    ("refused", 300.0, ()),
    ("unreachable", 300.0, ()),
    ("no name", 120.0, ()),
    ("slow link", 200.0, (100.0, 1000.0, 10_000.0)),
    ("small gateway", 200.0, (400.0, 1500.0, 6000.0)),
    ("forgetful router", 600.0, (0.5, 10.0, 60.0)),
)
DISKS = ("full", "broken", "unsure", "hangs")


@attrs.frozen
class Entry:
    """One thing that happens."""

    at: float  # seconds since the beginning, without the days in which nothing ran
    kind: str
    slot: int = 0
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.at:9.2f}  {self.kind} {self.slot} {' '.join(map(str, self.values))}".rstrip()


@attrs.frozen
class Plan:
    """What a world is like, and what happens in it."""

    seed: int
    spool: bool
    preempting: float
    callbacks: str
    options: dict[str, Any]
    relay: dict[str, Any]  # empty: there is none
    entries: tuple[Entry, ...]

    def entry(self, kind: str, slot: int, *values: Any) -> Entry:
        """One that is no part of the plan."""
        return Entry(0.0, kind, slot, values)


def drawn(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"plan {seed}")
    spool = chance.random() < 0.7
    return Plan(
        seed=seed,
        spool=spool,
        preempting=chance.choice((0.0, 0.01, 0.1)),
        callbacks=chance.choice(("quiet",) * 4 + ("raise", "hang", "slow", "track", "flush", "close")),
        options={
            "batch_size": chance.choice((1, 3, 10, 50, 500)),
            "flush_interval": chance.choice((0.2, 1.0, 5.0)),
            "max_in_flight": chance.choice((1, 2, 4)),
            "single_ingest_limit": chance.choice((0, 5)),
            "max_queue_size": chance.choice((20, 1000, 1000)),
            "timeout": chance.choice(((5.0, 30.0), (5.0, 30.0), (1.0, 3.0))),
            "rate_limit": chance.choice((45.0, 45.0, 5.0)),
            "backoff_max": chance.choice((30.0, 5.0)),
        },
        relay={},
        entries=in_order(entries_of(chance, spool=spool)),
    )


def in_order(entries: list[Entry]) -> tuple[Entry, ...]:
    """Return entries as they come."""
    return tuple(sorted(entries, key=lambda entry: entry.at))


def entries_of(chance: random.Random, *, spool: bool, length: float = 0.0) -> list[Entry]:
    """What happens to processes, in so many seconds."""
    length = length or chance.choice((20.0, 60.0, 200.0))
    entries = [Entry(chance.uniform(0.0, 1.0), "start", slot) for slot in range(chance.randint(1, SLOTS))]
    entries += [_track(chance, chance.uniform(1.0, length)) for _ in range(chance.randint(3, 9))]
    entries += [_weather(chance, length) for _ in range(chance.randint(0, 4))]
    for _ in range(chance.randint(0, 5)):
        entries += chance.choice(_DEEDS)(chance, chance.uniform(1.0, length))
    if spool:
        for _ in range(chance.randint(0, 3)):
            entries += chance.choice(_DEEDS_ON_DISK)(chance, chance.uniform(1.0, length))
    if chance.random() < 0.3:
        entries += chance.choice(_PIECES)(chance, length)
    return entries


def _slot(chance: random.Random) -> int:
    return chance.randrange(SLOTS)


def _track(chance: random.Random, at: float) -> Entry:
    schema = chance.choice(("plain",) * 12 + ("refused", "choking"))
    return Entry(at, "track", _slot(chance), (chance.choice((1, 3, 10, 25)), schema))


def _weather(chance: random.Random, length: float) -> Entry:
    kind, longest, values = chance.choice(FAULTS)
    lasts = round(chance.uniform(0.5, longest), 2)
    share = chance.choice((1.0, 1.0, 0.5, 0.2))
    return Entry(
        chance.uniform(0.0, length), "weather", 0, (kind, lasts, share, chance.choice(values or (0.0,)))
    )


# --- what applications do, and what is done to them ---------------------------------------------------------


def _flush(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "flush", _slot(chance), (chance.choice((0.0, 1.0, 10.0)),))]


def _close(chance: random.Random, at: float) -> list[Entry]:
    slot = _slot(chance)
    return [Entry(at, "close", slot, (chance.choice((0.0, 1.0, 10.0)),)), *_again(chance, at + 12.0, slot)]


def _end(chance: random.Random, at: float) -> list[Entry]:
    slot = _slot(chance)
    return [Entry(at, "end", slot), *_again(chance, at + chance.uniform(0.0, 20.0), slot)]


def _kill(chance: random.Random, at: float) -> list[Entry]:
    slot = _slot(chance)
    return [Entry(at, "kill", slot), *_again(chance, at + chance.uniform(0.0, 20.0), slot)]


def _again(chance: random.Random, at: float, slot: int) -> list[Entry]:
    """Mostly, somebody starts it again."""
    if chance.random() < 0.2:
        return []
    return [Entry(at, "start", slot), Entry(at + chance.uniform(0.0, 5.0), "track", slot, (3, "plain"))]


def _fork(chance: random.Random, at: float) -> list[Entry]:
    slot = _slot(chance)
    child = 10 + chance.randrange(3)
    entries = [
        Entry(at, "fork", slot, (child,)),
        Entry(at + chance.uniform(0.0, 3.0), "track", child, (2, "plain")),
        Entry(at + chance.uniform(0.0, 3.0), "track", slot, (2, "plain")),
    ]
    if chance.random() < 0.6:
        entries.append(Entry(at + chance.uniform(0.0, 30.0), chance.choice(("kill", "end")), child))
    return entries


def _freeze(chance: random.Random, at: float) -> list[Entry]:
    slot = _slot(chance)
    return [
        Entry(at, "freeze", slot),
        Entry(at + chance.choice((0.5, 5.0, 40.0, 400.0)), "thaw", slot),
    ]


def _move(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "move", 0, (chance.choice(("dead", "refuses", "another")),))]


def _revoke(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "revoke"), Entry(at + chance.uniform(0.0, 60.0), "renew")]


def _clock(chance: random.Random, at: float) -> list[Entry]:
    days = chance.choice((-60.0, -1.0, 1.0, 60.0, -20_000.0))
    return [Entry(at, "clock", 0, (days,)), Entry(at + chance.uniform(1.0, 100.0), "clock", 0, (0.0,))]


_DEEDS: tuple[Callable[[random.Random, float], list[Entry]], ...] = (
    _flush,
    _flush,
    _close,
    _end,
    _kill,
    _kill,
    _fork,
    _freeze,
    _move,
    _revoke,
    _clock,
)


def _sync(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "sync", _slot(chance), (chance.choice((0.0, 1.0, 10.0)),))]


def _disk(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "disk", 0, (chance.choice(DISKS), chance.choice((0.1, 2.0, 30.0, 100.0))))]


def _power(chance: random.Random, at: float) -> list[Entry]:
    entries = [Entry(at, "power")]
    if chance.random() < 0.5:
        entries.append(Entry(max(0.0, at - chance.uniform(0.0, 20.0)), "lie"))
    for slot in range(SLOTS):
        entries += _again(chance, at + chance.uniform(0.0, 20.0), slot)
    return entries


_DEEDS_ON_DISK: tuple[Callable[[random.Random, float], list[Entry]], ...] = (
    _sync,
    _disk,
    _disk,
    _power,
    _kill,
)


# --- pieces that chance alone would seldom put together ----------------------------------------------------


def _old_events(chance: random.Random, length: float) -> list[Entry]:
    """Events that were perhaps sent, and whose process comes back, or another, after weeks."""
    at, days = length + 20.0, chance.choice((39.0, 44.0, 46.0, 60.0))
    kind = chance.choice(("lost reply", "lost reply", "refused"))
    return [
        Entry(at, "start", 1),
        Entry(at + 1.0, "weather", 0, (kind, 60.0, 1.0, 0.0)),
        Entry(at + 2.0, "track", 1, (3, "plain")),
        Entry(at + 20.0, chance.choice(("kill", "power", "freeze", "flush")), 1, (1.0,)),
        Entry(at + 21.0, "clock", 0, (chance.choice((0.0, 0.0, -50.0, 50.0)),)),
        Entry(at + 22.0, "gap", 0, (days,)),
        Entry(at + 23.0, "clock", 0, (chance.choice((0.0, 0.0, -50.0, 50.0, -20_000.0)),)),
        Entry(at + 24.0, "thaw", 1),
        Entry(at + 25.0, "start", 1),
        Entry(at + 26.0, "track", 1, (1, "plain")),
    ]


def _late_outage(chance: random.Random, length: float) -> list[Entry]:
    """An outage that ends while a process closes, with more events than then go one by one."""
    at = length + 400.0
    ends = chance.choice((chance.uniform(4.0, 6.0), chance.uniform(6.3, 6.9)))
    kind = chance.choice(("refused", "reset", "errors"))
    return [
        Entry(at - 1.0, "kill", 2),
        Entry(at, "start", 2),
        Entry(at + 1.0, "weather", 0, (kind, 10.0 + ends, 1.0, 0.0)),
        Entry(at + 2.0, "track", 2, (200, "plain")),
        Entry(at + 11.0, chance.choice(("close", "end")), 2, (10.0,)),
        Entry(at + 25.0, "start", 2),  # all is mended after the last entry, and not before the outage ends
    ]


def _moved_before_close(chance: random.Random, length: float) -> list[Entry]:
    """Connections that swallow everything, and then a process closes."""
    at = length + 10.0
    return [
        Entry(at, "start", 2),
        Entry(at + 1.0, "track", 2, (10, "plain")),
        Entry(at + chance.choice((10.0, 100.0)), "move", 0, ("dead",)),
        Entry(at + 101.0, "track", 2, (20, "plain")),
        Entry(at + 101.1, chance.choice(("close", "end", "flush")), 2, (10.0,)),
    ]


def _closed_for_a_while(chance: random.Random, length: float) -> list[Entry]:
    """Togai takes nothing of one kind for a while, and the traffic goes on."""
    at, lasts = length + 5.0, chance.choice((20.0, 60.0))
    entries = [
        Entry(at, "start", 1),
        Entry(at + 1.0, "track", 1, (chance.choice((50, 200, 500)), "plain")),
        Entry(at + 8.0, "shut", 0, ("closing",)),
        Entry(at + 8.0 + lasts, "reopen", 0, ("closing",)),
        Entry(at + 40.0 + lasts, "track", 1, (3, "closing")),
    ]
    while at < length + 15.0 + lasts:
        at += chance.choice((0.5, 2.0))
        entries.append(Entry(at, "track", 1, (chance.choice((1, 3, 10)), "closing")))
        entries.append(Entry(at, "track", 1, (chance.choice((3, 25)), "plain")))
    if chance.random() < 0.6:
        what = chance.choice(("kill", "end", "close", "freeze", "flush", "fork"))
        values = {"fork": (11,), "close": (10.0,), "flush": (10.0,)}.get(what, ())
        at = length + chance.uniform(14.0, 14.0 + lasts)
        entries += [Entry(at, what, 1, values), Entry(at + 5.0, "thaw", 1), Entry(at + 13.0, "start", 1)]
    return entries


_PIECES: tuple[Callable[[random.Random, float], list[Entry]], ...] = (
    _old_events,
    _old_events,
    _late_outage,
    _moved_before_close,
    _closed_for_a_while,
    _closed_for_a_while,
)
