"""How many good events a second arrive where some are bad: the real pipeline, Togai's quota, virtual time.

Run: ``python -m benchmarks.culprits``; ``--seconds 600`` for ten minutes each. It fails where one cause bends
the curve.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
from collections.abc import Callable
from typing import Any

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode
from togai_shipper._pipeline import Pipeline

from .sections import Goal, Section, goals_table, table
from .virtual import Time, VirtualBell

LATENCY = 0.05  # seconds that a reply takes
OFFERED = 25_000  # events a second, more than the quota lets through
EVERY = 0.02  # seconds between two bursts of them
ACCOUNTS = 1000
SECONDS = 20.0
BEFORE, AFTER = 30.0, 60.0  # seconds before an account is closed, and after it is opened again
IDS = re.compile(rb'"id":"([0-9.]+)-')
SHARES = (0.0, 0.001, 0.01, 0.1)
GOOD_AT_LEAST = 20_000.0  # good events a second, whatever one cause does
WALL = 1_790_000_000.0
REFUSED = Reply(400, b'{"message": "account is suspended"}')
TAKEN = Reply(202, b'{"success": true}')


@attrs.frozen
class Kind:
    """Which events are bad, and how Togai says so."""

    name: str
    account: Callable[[int, int, bool], str]  # of the number, a random number, and whether it is bad
    status: int = 400
    is_one_cause: bool = True


def closed(_: int, chance: int, bad: bool) -> str:  # noqa: FBT001  a column
    """One account is closed."""
    return "closed" if bad else f"a{chance}"


def content(_: int, chance: int, bad: bool) -> str:  # noqa: FBT001, ARG001  a column
    """Any account may have bad events."""
    return f"a{chance}"


def unrelated(number: int, chance: int, bad: bool) -> str:  # noqa: FBT001  a column
    """Each bad event is of an account of its own."""
    return f"x{number}" if bad else f"a{chance}"


KINDS = (
    Kind("one closed account", closed),
    Kind("one closed account, named by 207", closed, 207),
    Kind("bad by content, one schema", content, is_one_cause=False),
    Kind("unrelated causes", unrelated, is_one_cause=False),
)


class Togai:
    """Refuses a batch that holds a bad event, or names those events."""

    def __init__(self, time: Time, status: int) -> None:
        self._time = time
        self._status = status
        self.is_mended = False
        self.good = 0
        self.longest = 0.0  # seconds that a good event waited, at most

    def open(self) -> None:
        """There is no session."""

    def close(self) -> None:
        """Likewise."""

    def send(self, batch: Batch, key: str, time_left: float, may_begin: Any = None) -> Reply:  # noqa: ARG002  a transport's
        """One request."""
        self._time.sleep(LATENCY)
        if self.is_mended or b'"bad"' not in batch.body():
            self.good += len(batch)
            self._note(batch)
            return TAKEN
        if self._status == 400 or len(batch) == 1:  # noqa: PLR2004  HTTP's
            return REFUSED
        bad = [json.loads(event) for event in batch.events if b'"bad"' in event]
        self.good += len(batch) - len(bad)
        self._note(batch)
        return Reply(
            207, json.dumps({"errors": [{"message": "no", "eventPayload": each} for each in bad]}).encode()
        )

    def _note(self, batch: Batch) -> None:
        ids = [IDS.findall(event)[0] for event in batch.events if b'"bad"' not in event]
        if ids:
            since = min(ids)
            self.longest = max(self.longest, self._time.now - float(since))


@attrs.frozen
class Found:
    """What was seen, all but ``good`` at the end; rates are of the second half."""

    good: float  # events a second
    rejected: int
    full_of_good: int  # good events for which there was no room, of the second half, a second
    waiting: int
    laned: int
    oldest: float


def simulate(kind: Kind, share: float, seconds: float = SECONDS, offered: int = OFFERED) -> Found:
    """Track for so long; nothing is mended."""
    world = World(kind.status)
    begun = None
    while world.time.now < seconds:
        world.track(kind, share, offered)
        if begun is None and world.time.now >= seconds / 2:
            begun = world.time.now, world.togai.good, world.full_of_good
    assert begun is not None
    passed = world.time.now - begun[0]
    stats = world.pipeline.health.stats()
    return Found(
        (world.togai.good - begun[1]) / passed,
        stats.rejected,
        round((world.full_of_good - begun[2]) / passed),
        stats.pending,
        getattr(stats, "laned", 0),
        stats.oldest_pending_age,
    )


@attrs.frozen
class Reopened:
    """What was seen of an account that was closed for a while."""

    good: float  # events of others delivered a second, while it was closed
    longest: float  # seconds that an event of another account waited meanwhile, at most
    rejected: int
    full: int  # events of that account for which there was no room
    full_of_good: int
    found_after: float  # seconds after the reopening until one of its events was taken
    even_after: float  # the same until nothing waited in the lane


def reopen(seconds: float, offered: int = 10_000) -> Reopened:
    """Close one account of a thousand for so long, and reopen it."""
    kind, share = KINDS[0], 1 / ACCOUNTS
    world = World(400, batch_size=500)
    world.togai.is_mended = True
    while world.time.now < BEFORE:
        world.track(kind, share, offered)
    world.togai.is_mended, world.togai.longest = False, 0.0
    good, begun = world.togai.good, world.time.now
    while world.time.now < BEFORE + seconds:
        world.track(kind, share, offered)
    good, passed = world.togai.good - good, world.time.now - begun
    longest, full, full_of_good = world.togai.longest, world.full_of_bad, world.full_of_good
    world.togai.is_mended, reopened = True, world.time.now
    rejected, found, even = world.pipeline.health.stats().rejected, 0.0, 0.0
    while world.time.now < reopened + AFTER:
        world.track(kind, share, offered)
        stats = world.pipeline.health.stats()
        rejected = stats.rejected
        found = found or (world.time.now - reopened if not world.pipeline.buffer.causes.known else 0.0)
        even = even or (world.time.now - reopened if found and not stats.in_lane else 0.0)
    return Reopened(good / passed, longest, rejected, full, full_of_good, found, even)


class World:
    """A pipeline, and its Togai."""

    def __init__(self, status: int, **options: Any) -> None:
        self.time = Time()
        self.chance = random.Random(1)  # noqa: S311  it guards no secret
        self.togai = Togai(self.time, status)
        runtime = Runtime(
            clock=self.time,
            wall=lambda: WALL + self.time(),
            random=self.chance.random,
            bell=lambda: VirtualBell(self.time),
            start_thread=self.time.start_thread,
        )
        config = Config.load({}, api_key="key", base_url="http://127.0.0.1:1", verify=0, **options)
        togai: Any = self.togai
        self.pipeline = Pipeline(config, runtime, lambda _: togai)
        self.number = self.full_of_good = self.full_of_bad = 0

    def track(self, kind: Kind, share: float, offered: int) -> None:
        """Track one burst."""
        for _ in range(round(offered * EVERY)):
            self.number += 1
            is_bad = self.chance.random() < share
            account = kind.account(self.number, self.chance.randrange(ACCOUNTS), is_bad)
            dimensions = {"kind": "bad" if is_bad else "good"}
            event_id = f"{self.time.now:09.2f}-{self.number}"
            event = encode(
                "api_call", account, {"count": 1}, dimensions, "2026-01-01T00:00:00.000Z", event_id
            )
            if self.pipeline.put(event) is not None:
                self.full_of_bad += is_bad
                self.full_of_good += not is_bad
        self.time.sleep(EVERY)


def measure(rounds: int = 1, seconds: float = SECONDS) -> Section:  # noqa: ARG001  virtual time says the same each time
    """Each kind, at each share; and an account that is closed for a while."""
    logging.getLogger("togai_shipper").setLevel(logging.CRITICAL)
    rows, goals = [], []
    for kind in KINDS:
        found = {share: simulate(kind, share, seconds) for share in SHARES}
        rows.append((kind.name, *(f"{one.good:,.0f}" for one in found.values())))
        if kind.is_one_cause:
            worst = min(one.good for one in found.values())
            goals.append(Goal(f"{kind.name}: good events a second", worst, GOOD_AT_LEAST, at_least=True))
        else:
            laned = max(one.laned for one in found.values())
            goals.append(Goal(f"{kind.name}: events in the lane", laned, 0.0))
    text = table(("good events a second, of bad ones", *(f"{share:.1%}" for share in SHARES)), rows)
    seen = reopen(seconds)
    goals += [
        Goal("one account of 1,000 closed: others a second, of 9,990", seen.good, 9_900.0, at_least=True),
        Goal("the same: their longest wait", seen.longest, 5.0, unit=" s"),
        Goal("the same: opened again, until that is found out", seen.found_after, 1.0, unit=" s"),
    ]
    text += (
        f"\n\nOne account of 1,000 closed for {seconds:.0f} s at 10,000 events a second, then opened: "
        f"{seen.good:,.0f} events a second of others, each within {seen.longest:.1f} s; "
        f"{seen.rejected:,} rejected, {seen.full:,} of it and {seen.full_of_good:,} of others without room; "
        f"found out {seen.found_after:.2f} s after it was opened, and after {seen.even_after:.2f} s nothing "
        "waited for it."
    )
    return Section("Bad events", text, goals)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    section = measure(seconds=parser.parse_args().seconds)
    print(f"{section.title}\n\n{section.text}\n\n{goals_table(section.goals)}")
    raise SystemExit(not all(goal.is_met for goal in section.goals))
