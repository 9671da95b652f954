"""What must hold of a relay, beside what holds of every world.

- What Redis has confirmed is there, until the drainer that leads has settled it, or Redis has lost it.
- What Redis has lost is handed over again where its producer lives, and had not proven that Redis since.
- Where the figures of the relay tell a drainer of a loss, it says so, and counts.
- No two drainers send within a second, and in none of them more requests go than Togai takes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from togai_shipper._event import id_of
from togai_shipper.relay.entries import NotOurs, read
from togai_shipper.relay.losses import Sight

if TYPE_CHECKING:
    from .drainer import DrainerProcess
    from .judge import Fact
    from .process import Process
    from .redis_server import Node, Relay
    from .world import World

QUOTA = 50  # requests in any second, to each endpoint
SECOND = 0.95  # seconds: requests pass the gate at their time, and some have to connect then
CLOSE_GRACE = 4.0  # seconds beyond its deadline by which a drainer has ended: Redis may have hung, too
LOSS_LOGGED = "lost events that it had confirmed"
CLOSED = "closed w"  # while Redis does not answer, or with events that it may have lost
CLOCKS_DIFFER = "until ours and Togai's agree"
LOOKS = 5.0  # seconds from when a drainer could see a loss to when it has told


@attrs.define
class Given:
    """Who has handed an event over last, to which Redis, and when that took it."""

    process: Process
    node: Node
    at: float


@attrs.define
class Overdue:
    """A drainer has to tell of a loss by then."""

    process: Process
    seen_at: float
    what: str


class RelayJudge:
    """Knows what Redis has taken, and from whom."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: dict[bytes, tuple[str, ...]] = {}  # mark of an entry -> ids of its events
        self._given: dict[str, Given] = {}
        self._asked: dict[tuple[int, str], float] = {}  # pid, Redis -> when what it answered last was asked
        self._facts: dict[int, dict[str, str]] = {}  # pid of a drainer -> what it was told of the relay
        self._sights: dict[int, Sight] = {}
        self._overdue: list[Overdue] = []
        self._sent_last: tuple[Process | None, float] = (None, float("-inf"))
        self._requests: dict[str, deque[float]] = {}
        self._gone: set[str] = set()  # ids of events that Redis had, and lost
        self.losses = 0
        self.silent = 0  # events that are lost, and of which no figure could tell

    @property
    def _now(self) -> float:
        return self._world.scheduler.now

    # --- what is in Redis ---

    def _ids_of(self, entry_id: str, fields: Mapping[bytes, bytes]) -> tuple[str, ...]:
        mark = fields.get(b"k", b"")
        if mark not in self._ids:
            try:
                self._ids[mark] = tuple(map(id_of, read(entry_id, dict(fields)).events))
            except NotOurs:
                self._ids[mark] = ()
        return self._ids[mark]

    def _in(self, relay: Relay) -> set[str]:
        return {event for each, fields in relay.stream.items() for event in self._ids_of(each, fields)}

    def in_redis(self) -> tuple[set[str], set[str]]:
        """The ids of events in the stream, and of dead letters."""
        relay = self._world.redis.master.relay
        return self._in(relay), set(relay.dead)

    def added(self, process: Process, node: Node, entry_id: str, fields: Mapping[bytes, bytes]) -> None:
        """Note that Redis has taken an entry; the answer may yet be lost."""
        for event in self._ids_of(entry_id, fields):
            self._given[event] = Given(process, node, self._now)

    def answered(
        self,
        process: Process,
        node: Node,
        asked_at: float,
        commands: Sequence[tuple[Any, ...]],
        answers: Sequence[Any],
    ) -> None:
        """Note what a process has been told by a Redis."""
        for command, answer in zip(commands, answers, strict=True):
            if command[0] == "HGETALL":
                self._facts[process.pid] = {key.decode(): text.decode() for key, text in answer.items()}
            if command[0] == b"INFO" and "replication" in command:
                self._asked[process.pid, node.run_id] = asked_at
                facts = self._facts.pop(process.pid, None)
                if (
                    facts is not None and self._world.redis.says_who_it_is
                ):  # a look is over with this; one that fails before it tells nothing
                    self._look(process, facts)

    # --- what Redis loses ---

    def redis_lost(self, before: Relay, after: Relay) -> None:
        """Redis has now what ``after`` has; what else was in it must have been elsewhere, or may be gone."""
        self.losses += 1
        gone = self._in(before) - self._in(after)
        self._gone |= gone
        judge = self._world.judge
        for fact in judge.facts.values():
            if fact.id not in gone:
                continue  # a row in the spool is no comfort: it may be about to go, since Redis had the event
            fact.is_durable = False
            if not self._is_held(fact.id):
                fact.lost = fact.lost or "Redis lost it"
        self._world.tell(None, f"Redis has lost {len(gone)} events")

    def _is_held(self, event: str) -> bool:
        """Whether its producer must have it still: it lives, and has not proven the Redis that took it."""
        given, hold = self._given[event], self._world.plan.relay["relay_hold"]
        process = given.process
        is_there = process.is_alive and not process.is_ending and process.is_open
        proven_at = self._asked.get((process.pid, given.node.run_id), float("-inf"))
        return is_there and self._world.redis.says_who_it_is and proven_at < given.at + hold

    def _look(self, process: Process, facts: dict[str, str]) -> None:
        """Note what a drainer sees of the relay; a smaller figure than before is a loss."""
        before, now = self._sights.get(process.pid, Sight()), Sight.of(facts)
        self._world.tell(process, f"sees {now}")
        is_new = bool(before.epoch) and now.epoch != before.epoch
        if (is_new and before.held) or (not is_new and now.came < before.came):
            self._overdue.append(Overdue(process, self._now, f"{before}, now {now}"))
            self._sights[process.pid] = now
        else:
            self._sights[process.pid] = now.after(before)

    def look(self, process: Process) -> None:
        """Look whether a process has told what it could see."""
        for each in [it for it in self._overdue if it.process is process]:
            each.seen_at = max(each.seen_at, process.thawed_at)
            if self._now < each.seen_at + LOOKS:
                continue
            self._overdue.remove(each)
            is_told = any(
                level >= logging.ERROR and LOSS_LOGGED in text and at > each.seen_at - 70.0
                for at, level, text in process.lines
            )
            if not is_told:
                self._world.judge.fail(
                    f"{process} has seen that Redis lost events, and said nothing: {each.what}"
                )

    # --- requests ---

    def request_begins(self, process: Process, path: str) -> None:
        """A drainer sends the first bytes of a request."""
        now, sent = self._now, self._requests.setdefault(path, deque())
        before, self._sent_last = self._sent_last, (process, now)
        if before[0] is not process and before[1] > now - SECOND and process.thawed_at < now - 1.0:
            self._world.judge.fail(f"{process} sends {now - before[1]:.3f} s after {before[0]} did")
        sent.append(now)
        while sent[0] <= now - SECOND:
            sent.popleft()
        # One that is stopped between the check and the first byte sends when it goes on.
        stopped = sum(each.is_drainer and each.thawed_at > now - 1.0 for each in self._world.processes)
        if len(sent) > QUOTA + stopped * self._world.plan.relay["drainer"]["max_in_flight"]:
            self._world.judge.fail(f"{len(sent)} requests to {path} within a second, the last by {process}")

    # --- the end ---

    def is_full_of_doubtful(self) -> bool:
        """Whether somebody has set the clock by days, and what was accepted then fills the relay.

        The drainers know what time it is at Togai, and that ours differs: they keep those, and say so, until
        somebody sets the clock or replays them.
        """
        relay, most = self._world.redis.master.relay, self._world.plan.relay.get("max_relay_bytes", 0)
        drainers = [each.drainer for each in self._world.processes if each.is_drainer and each.drainer]
        is_kept = any(CLOCKS_DIFFER in str(each.stream.complaint()) for each in drainers)
        return is_kept and self._world.wall_was_set and relay.figures["bytes"] > most / 2

    def stuck(self) -> None:
        """Nothing is wrong any more, and still Redis is not drained."""
        judge = self._world.judge
        for process in self._world.processes:
            if process.is_drainer and process.has_begun and process.pipeline.pending:
                judge.stuck(process)
        if not any(process.is_drainer and process.pipeline.pending for process in self._world.processes):
            judge.fail(
                f"the relay is not drained, though all is well: {self._world.redis.master.relay.facts()}"
            )

    def check_journal(self) -> None:
        """The journal of a Redis that has lost nothing counts at least what Togai has billed."""
        if self.losses:
            return
        relay, togai = self._world.redis.master.relay, self._world.togai
        waiting, dead = self.in_redis()
        facts = self._world.judge.facts
        billed = {fact.id for name, fact in facts.items() if name in togai.billed} - waiting - dead
        count = sum(counts.total() for counts in relay.journal.values())
        if count < len(billed):
            self._world.judge.fail(f"the journal counts {count}, and Togai has billed {len(billed)}")
        if count > relay.figures.get("out", 0):
            self._world.judge.fail(f"the journal counts {count} of {relay.figures['out']} that have left")
        if doubts := [name for name in relay.head if name.startswith(("uncounted", "gone", "doubt"))]:
            self._world.judge.fail(f"nothing was lost, and the journal says {doubts}")

    def drainer_ended(self, process: DrainerProcess, begun: float) -> None:
        """A drainer has ended by itself."""
        took, timeout = self._now - begun, process.pipeline.close_timeout
        if process.thawed_at < begun and took > timeout + CLOSE_GRACE:
            self._world.judge.fail(f"{process}: close() with {timeout} s took {took:.3f} s")
        dropped = process.pipeline.ledger.dropped.get("closed", 0)
        if dropped:
            self._world.judge.fail(f"{process} has given up {dropped} events, which are in the relay")

    def producer_ended(self, process: Process, untold: list[Fact]) -> list[Fact]:
        """Return of which events it should have told, beside those that Redis has lost since."""
        lost = [fact for fact in untold if fact.id in self._gone and self._given[fact.id].process is process]
        if lost and not any(CLOSED in text and "relay" in text for _, _, text in process.lines):
            names = ", ".join(fact.name for fact in lost)
            self._world.judge.fail(f"{process} has ended, and said nothing of what Redis has lost: {names}")
        for fact in lost:
            fact.lost = "Redis lost it, and its producer has ended"
        return [fact for fact in untold if fact not in lost]
