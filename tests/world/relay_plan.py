"""What happens in a world with a relay: producers, two drainers, and a Redis that fails in every way."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs

from . import plan
from .plan import DRAINERS, Entry, Plan

EVERY = 4  # so many worlds, of which one has a relay
SLOTS = (DRAINERS, DRAINERS + 1)
FAULTS = (  # what is wrong with Redis -> how long it lasts, at most; its value, if it has one
    ("lost question", 30.0, ()),
    ("lost answer", 30.0, ()),
    ("reset before", 60.0, ()),
    ("reset after", 60.0, ()),
    ("slow", 60.0, (0.5, 4.0)),
    ("full", 40.0, ()),
    ("refuses", 20.0, ()),
    ("no replicas", 30.0, ()),
)


def drawn(seed: int) -> Plan:
    """The plan of a seed: every fourth has a relay."""
    return plan.drawn(seed) if seed % EVERY else _with_relay(seed)


def _with_relay(seed: int) -> Plan:
    chance = random.Random(f"relay {seed}")
    spool = chance.random() < 0.3
    common = plan.drawn(seed)
    return attrs.evolve(
        common,
        spool=spool,
        relay={
            "relay_hold": chance.choice((10.0, 10.0, 3.0, 30.0)),
            "relay_replicas": chance.choice((0, 0, 0, 1)),
            "max_relay_bytes": chance.choice((2**28, 2**28, 2**28, 12_000)),
            "says_who_it_is": chance.random() < 0.95,
            "drainer": {
                "batch_size": chance.choice((1, 1, 3, 50, 500)),
                "max_in_flight": chance.choice((12, 12, 2)),
                "timeout": chance.choice(((5.0, 30.0), (1.0, 3.0))),
                "backoff_max": chance.choice((30.0, 5.0)),
                "close_timeout": chance.choice((10.0, 10.0, 1.0)),
            },
        },
        entries=plan.in_order(_entries(chance, spool=spool)),
    )


def _entries(chance: random.Random, *, spool: bool) -> list[Entry]:
    length = chance.choice((15.0, 30.0, 60.0))
    entries = plan.entries_of(chance, spool=spool, length=length)
    entries.append(Entry(chance.uniform(0.0, 1.0), "start", SLOTS[0]))
    if chance.random() < 0.8:
        entries.append(Entry(chance.uniform(0.0, 10.0), "start", SLOTS[1]))
    for _ in range(chance.choice((0, 1, 1, 2))):
        entries.append(_weather(chance, length))
    for _ in range(chance.randint(0, 3)):
        entries += chance.choice(_DEEDS)(chance, chance.uniform(1.0, length))
    for _ in range(chance.randint(0, 3)):
        entries += chance.choice(_DEEDS_OF_REDIS)(chance, chance.uniform(1.0, length))
    if chance.random() < 0.3:
        entries += chance.choice(_PIECES)(chance, length)
    return entries


def _weather(chance: random.Random, length: float) -> Entry:
    kind, longest, values = chance.choice(FAULTS)
    lasts = round(chance.uniform(0.5, longest), 2)
    share = chance.choice((1.0, 0.5, 0.2))
    return Entry(
        chance.uniform(0.0, length), "redis_weather", 0, (kind, lasts, share, chance.choice(values or (0.0,)))
    )


# --- what is done to drainers ----------------------------------------------------------------------------


def _kill(chance: random.Random, at: float) -> list[Entry]:
    slot = chance.choice(SLOTS)
    return [Entry(at, chance.choice(("kill", "end")), slot), *_again(chance, at, slot)]


def _again(chance: random.Random, at: float, slot: int) -> list[Entry]:
    return [Entry(at + chance.uniform(0.0, 20.0), "start", slot)] if chance.random() < 0.8 else []


def _freeze(chance: random.Random, at: float) -> list[Entry]:
    slot = chance.choice(SLOTS)
    return [
        Entry(at, "freeze", slot),
        Entry(at + chance.choice((0.5, 4.0, 7.0, 12.0, 40.0)), "thaw", slot),
    ]


def _trap(chance: random.Random, at: float) -> list[Entry]:
    """Something happens to a process just as it has a script run."""
    script = chance.choice(("ADD", "SETTLE", "SETTLE", "LEASE"))
    slot = chance.randrange(plan.SLOTS) if script == "ADD" else chance.choice(SLOTS)
    fate = chance.choice(("kill", "freeze"))
    values = (script, chance.choice(("before", "after")), fate, chance.choice((1, 1, 2, 5)))
    ends = _again(chance, at, slot) if fate == "kill" else []
    return [
        Entry(at, "trap", slot, values),
        Entry(at + chance.choice((2.0, 6.0, 13.0, 30.0)), "thaw", slot),
        *ends,
    ]


def _cut(chance: random.Random, at: float) -> list[Entry]:
    slot = chance.choice((*SLOTS, *SLOTS, *range(plan.SLOTS)))
    return [Entry(at, "redis_cut", slot, (chance.choice((1.0, 4.0, 8.0, 15.0, 40.0)),))]


_DEEDS: tuple[Callable[[random.Random, float], list[Entry]], ...] = (
    _kill,
    _kill,
    _freeze,
    _trap,
    _trap,
    _cut,
)


# --- what is done to Redis ----------------------------------------------------------------------------------


def _restart(chance: random.Random, at: float) -> list[Entry]:
    how = chance.choice(("with its data", "with its data", "empty"))
    return [
        Entry(at, "redis_kill"),
        Entry(at + chance.choice((0.0, 0.3, 3.0, 20.0)), "redis_restart", 0, (how,)),
    ]


def _fail_over(chance: random.Random, at: float) -> list[Entry]:
    lag = chance.choice((0.0, 0.5, 3.0, 20.0))
    entries = [Entry(at, "redis_fail_over", 0, (chance.choice((0.0, 0.0, 3.0, 20.0)),))]
    if lag:
        entries.append(Entry(max(0.0, at - lag), "redis_weather", 0, ("lag", lag + 1.0, 1.0, 0.0)))
    if chance.random() < 0.5:
        entries.append(Entry(at - chance.choice((0.0, 0.5)), "redis_kill"))
    return entries


def _redis_freeze(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "redis_freeze", 0, (chance.choice((1.0, 5.0, 20.0)),))]


def _clock(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "redis_clock", 0, (chance.choice((-86_400.0, -3600.0, -5.0, 3600.0, 86_400.0)),))]


def _lag(chance: random.Random, at: float) -> list[Entry]:
    return [Entry(at, "redis_weather", 0, ("lag", chance.choice((0.5, 5.0, 20.0)), 1.0, 0.0))]


_DEEDS_OF_REDIS: tuple[Callable[[random.Random, float], list[Entry]], ...] = (
    _restart,
    _restart,
    _fail_over,
    _fail_over,
    _redis_freeze,
    _clock,
    _lag,
)


# --- pieces that chance alone would seldom put together --------------------------------------------------


def _full_while_togai_is_down(chance: random.Random, length: float) -> list[Entry]:
    """The relay fills, Redis has no memory, and only then a drainer can drain it."""
    return [
        Entry(length, "weather", 0, ("refused", 20.0, 1.0, 0.0)),
        Entry(length + 1.0, "track", 0, (25, "plain")),
        Entry(length + 3.0, "redis_weather", 0, ("full", 30.0, 1.0, 0.0)),
        Entry(length + 4.0, "track", 0, (25, "plain")),
        Entry(length + 5.0, "kill", chance.choice(SLOTS)),
        Entry(length + 34.0, "track", 0, (1, "plain")),
    ]


def _old_ids(chance: random.Random, length: float) -> list[Entry]:
    """New entries get the ids of those that a failover has lost, while a drainer has those in its hands."""
    at = length + 20.0
    return [
        *(Entry(at - 18.0, "start", slot) for slot in (0, 1, SLOTS[0])),
        Entry(at - 1.0, "redis_clock", 0, (3600.0,)),
        *_at_once(at, 0),
        Entry(at + 2.0, "redis_clock", 0, (0.0,)),
        Entry(at + 2.0, "weather", 0, (chance.choice(("late reply", "errors")), 8.0, 1.0, 4.0)),
        Entry(at + 2.1, "redis_weather", 0, ("lag", 10.0, 1.0, 0.0)),
        *_at_once(at + 2.2, 0),
        Entry(at + chance.uniform(2.6, 4.0), "redis_fail_over", 0, (0.0,)),
        *_at_once(at + 4.0, 1),
        *_at_once(at + 4.1, 0),
    ]


def _at_once(at: float, slot: int) -> list[Entry]:
    """Events that are handed over without a linger."""
    return [Entry(at, "track", slot, (3, "plain")), Entry(at, "flush", slot, (0.0,))]


def _idle_producer(chance: random.Random, length: float) -> list[Entry]:
    """Redis loses what an idle producer has handed over, at once or later; it may stand still."""
    at, later = length + 5.0, chance.choice((0.5, 5.0, 9.0, 60.0))
    entries = [
        Entry(at - 2.0, "start", 0),
        Entry(at - 1.0, "weather", 0, ("refused", later + 10.0, 1.0, 0.0)),
        Entry(at, "track", 0, (5, "plain")),
        Entry(at + later, "redis_kill"),
        Entry(at + later + 1.0, "redis_restart", 0, ("empty",)),
    ]
    if chance.random() < 0.5:
        entries += [Entry(at + 1.0, "freeze", 0), Entry(at + later + 12.0, "thaw", 0)]
    elif chance.random() < 0.5:
        entries.append(Entry(at + 0.8, "redis_cut", 0, (later + 5.0,)))
    return entries


def _burst(chance: random.Random, length: float) -> list[Entry]:
    """More than the quota, and the lease goes from one drainer to the other and back in the middle."""
    at = length + 15.0
    ends = at + chance.uniform(1.0, 2.5)
    return [
        *(Entry(length, "start", slot) for slot in (0, *SLOTS)),
        *_many(at),
        Entry(ends, chance.choice(("end", "end", "kill")), SLOTS[0]),
        Entry(ends + 0.1, "start", SLOTS[0]),
        Entry(ends + chance.uniform(1.0, 2.5), "end", SLOTS[1]),
        Entry(ends + 15.0, "start", SLOTS[1]),
    ]


def _cut_off_leader(chance: random.Random, length: float) -> list[Entry]:
    """One that leads does not reach Redis, or stands still, and has its hands full, until another leads."""
    at, slot = length + 15.0, chance.choice((SLOTS[0], SLOTS[0], SLOTS[1]))
    how = chance.choice(("redis_cut", "redis_cut", "freeze"))
    return [
        *(Entry(length, "start", each) for each in (0, *SLOTS)),
        Entry(at - 0.5, "weather", 0, ("errors", chance.uniform(12.0, 16.0), 1.0, 0.0)),
        *_many(at),
        Entry(at + 2.5, how, slot, (40.0,) if how == "redis_cut" else ()),
        Entry(at + chance.uniform(14.0, 18.0), "thaw", slot),
        Entry(at + 30.0, "start", SLOTS[0]),
    ]


def _many(at: float) -> list[Entry]:
    return [Entry(at + 0.1 * number, "track", 0, (25, "plain")) for number in range(12)]


_PIECES: tuple[Callable[[random.Random, float], list[Entry]], ...] = (
    _full_while_togai_is_down,
    _old_ids,
    _old_ids,
    _idle_producer,
    _idle_producer,
    _burst,
    _cut_off_leader,
)
