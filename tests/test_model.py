"""A model of the whole life of events: whatever the server does, in whatever order, the two rules hold.

One: every accepted event is pending or has exactly one outcome, and what is called delivered is in the
server's ledger. Two: an event's bytes, and so its id, never change. Virtual time, the test's own thread.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from virtual import OK, Sent, World, world

from togai_shipper import DeliveryError, Event
from togai_shipper._engine.verdict import Reply


@attrs.frozen
class Fate:
    """What the server does with one request: how much it takes, then what it says."""

    takes: str
    says: str
    status: int | None
    bad: int


SHAPES = ("plain", "html", "named", "nested", "one", "unnamed", "false", "empty")
fates = st.builds(
    Fate,
    st.sampled_from(("none", "half", "all")),
    st.sampled_from(SHAPES),
    st.sampled_from(
        (None, 200, 206, 207, 302, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 500, 502, 503)
    ),
    st.integers(0, 3),
)


class Life(RuleBasedStateMachine):
    """Track, send, fail, wait, park, mend, close."""

    @initialize(batch_size=st.integers(1, 7), in_flight=st.integers(1, 4), singles=st.integers(0, 3))
    def start(self, batch_size: int, in_flight: int, singles: int) -> None:
        self.tracked = 0
        self.accepted: list[str] = []
        self.ends: dict[str, str] = {}
        self.doubtful: set[str] = set()
        self.fates: list[Fate] = []
        self.world: World = world(
            batch_size=batch_size,
            max_in_flight=in_flight,
            single_ingest_limit=singles,
            max_queue_size=60,
            on_delivered=lambda events: self.end("delivered", events),
            on_error=self.on_error,
        )
        self.world.server.answer = self.serve

    # --- the server ---

    def serve(self, sent: Sent) -> Reply:
        if not self.fates:
            return OK
        fate = self.fates.pop(0)
        taken = {"none": (), "half": sent.ids[: len(sent.ids) // 2], "all": sent.ids}[fate.takes]
        if fate.status is None:
            self.world.server.take(taken)
            return Reply(None, error="no reply: reset")
        if fate.status in (200, 207):
            return self.partly(fate, sent)
        if fate.status in (400, 401, 403, 404, 409, 413, 422, 429, 302):
            # What a refusal leaves behind is unknown for 400 and its like; a 401 and its like leave nothing.
            if fate.status in (400, 413, 422) and len(sent.ids) > 1:
                self.world.server.take(taken)
            if fate.status == 409 and len(sent.ids) == 1 and sent.ids[0] not in self.world.server.metered:
                return Reply(409, b"a gateway's page")
        else:
            self.world.server.take(taken)
        body = b"<html>" if fate.says == "html" else b'{"message": "no"}'
        return Reply(fate.status, body, retry_after=1.0 if fate.says == "plain" else None)

    def partly(self, fate: Fate, sent: Sent) -> Reply:
        """A 207, or a 200 that is one: the bad events are not taken; said in one of the ways there are."""
        bad = sent.ids[: fate.bad]
        if not bad or (fate.says == "one" and len(bad) > 1):
            self.world.server.take(sent.ids)
            return Reply(202, b'{"success": true}')
        self.world.server.take(event_id for event_id in sent.ids if event_id not in bad)
        items = [{"message": "not taken", "eventPayload": {"id": event_id}} for event_id in bad]
        answers: dict[str, Any] = {
            "named": {"errors": items},
            "nested": {"success": False, "details": {"errors": items}},
            "one": items[0],
            "unnamed": {"errors": [{"message": "not taken", "eventPayload": {}}]},
        }
        return Reply(fate.status, json.dumps(answers.get(fate.says, {"success": False})).encode())

    # --- what the application is told ---

    def end(self, how: str, events: tuple[Event, ...]) -> None:
        for event in events:
            assert event.id not in self.ends, "an event has one outcome"
            self.ends[event.id] = how

    def on_error(self, error: Exception, events: tuple[Event, ...]) -> None:
        self.end(type(error).__name__, events)
        if isinstance(error, DeliveryError) and error.maybe_delivered:
            self.doubtful |= {event.id for event in events}

    # --- what happens ---

    @rule(count=st.integers(1, 12))
    def track(self, count: int) -> None:
        for _ in range(count):
            self.tracked += 1
            event_id = f"event-{self.tracked}"
            if self.world.put_one(event_id) is None:
                self.accepted.append(event_id)

    @rule(some=st.lists(fates, min_size=1, max_size=8))
    def will_go_wrong(self, some: list[Fate]) -> None:
        self.fates += some

    @rule(seconds=st.sampled_from((0.0, 0.1, 5.0, 100.0)))
    def flush(self, seconds: float) -> None:
        report = self.world.pipeline.flush(seconds)
        assert bool(report) == (not report.pending and not report.rejected and not report.dropped)

    @rule(seconds=st.sampled_from((1.0, 60.0, 4000.0)))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.now += seconds

    @precondition(lambda self: self.world.pipeline.gate.parking.cause)
    @rule()
    def mend(self) -> None:
        self.world.pipeline.set_api_key("another")

    @rule(seconds=st.sampled_from((0.0, 3.0)))
    @precondition(lambda self: len(self.accepted) > 30)
    def close(self, seconds: float) -> None:
        self.world.pipeline.close(seconds)
        assert self.world.pipeline.pending == 0

    # --- what always holds ---

    @invariant()
    def the_ledger_balances(self) -> None:
        stats = self.world.pipeline.health.stats()
        assert stats.accepted == len(self.accepted)
        assert (
            stats.accepted == stats.delivered + stats.rejected + sum(stats.dropped.values()) + stats.pending
        )
        assert len(self.ends) == stats.accepted - stats.pending
        assert stats.in_flight == 0

    @invariant()
    def what_is_called_delivered_is_there(self) -> None:
        metered = self.world.server.metered
        for event_id, how in self.ends.items():
            if how == "delivered":
                assert event_id in metered
            elif event_id in metered:
                assert event_id in self.doubtful, f"{how}, but metered, and nobody says that it may be"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.fates = []
        for _ in range(3):
            self.world.pipeline.set_api_key("right")
            self.world.clock.now += 61
            self.world.pipeline.flush(1000)
        self.world.pipeline.close(100)
        self.the_ledger_balances()
        self.what_is_called_delivered_is_there()
        assert set(self.ends) == set(self.accepted)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
