"""``relay.handover``: a batch handed over to a relay, in virtual time."""

from __future__ import annotations

import itertools
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from producing import FIRST, SECOND, relayed
from virtual import Clock, VirtualBell

from togai_shipper import FlushReport
from togai_shipper._config import Config
from togai_shipper._engine.log import Log
from togai_shipper._engine.receipt import Receipt
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.verdict import Accepted
from togai_shipper._event import encode
from togai_shipper._secret import Secret
from togai_shipper.relay.errors import Forbidden, Foreign, Full, Newer, Unreachable
from togai_shipper.relay.hold import Hold, Parcel
from togai_shipper.relay.hold_keeper import Keeper
from togai_shipper.relay.watch import Watch

LOST = Unreachable("no relay: ConnectionError: connection refused", may_be_done=False)


def test_what_is_handed_over_is_relayed_and_nobody_is_told_that_it_is_delivered() -> None:
    told: list[Any] = []
    w, _relay = relayed(on_delivered=told.append, on_error=lambda *said: told.append(said))
    held = Receipt()
    w.put(2)
    w.pipeline.put(encode("s", "a", {}, {}, "2026-01-01T00:00:00.000Z", "mine"), held, "mine")

    report = w.pipeline.flush(10)
    assert report == FlushReport(relayed=3, held=3)
    assert report
    assert (held.result(0).status, bool(held.result(0))) == ("relayed", False)
    assert told == []
    stats = w.pipeline.health.stats()
    assert (stats.accepted, stats.relayed, stats.delivered, stats.pending) == (3, 3, 0, 0)
    assert (stats.relay_held, stats.relay_dead, stats.replies) == (3, 2, {202: 1})
    assert w.server.sent == [], "nothing goes to Togai from here"
    assert w.pipeline.sync(1)
    assert w.pipeline.close(1) == FlushReport(held=3), "since the call began"


def test_a_key_that_is_given_to_a_producer_is_not_asked_for() -> None:
    w, _ = relayed()
    w.pipeline.set_api_key(Secret(lambda: 1 / 0))
    w.put(3)

    assert w.pipeline.flush(10)


def test_an_entry_says_when_its_oldest_event_was_accepted_and_a_repeat_says_the_same() -> None:
    w, relay = relayed([LOST, LOST])
    w.put(3)
    begun = w.clock.now
    w.clock.now += 3

    assert w.pipeline.flush(100)
    assert relay.calls == ["check", "add", "check", "add", "check", "add"]
    (entry,) = relay.entries
    assert entry.accepted_ms / 1000 == pytest.approx(1_790_000_000 + begun, abs=0.2)


def test_a_full_relay_is_asked_again_a_second_later_and_nothing_is_lost() -> None:
    w, relay = relayed([Full("the relay has 9 bytes")] * 3)
    w.put(1200)

    assert w.pipeline.flush(100) == FlushReport(relayed=1200, held=1200)
    times = [at for name, at in relay.asked if name == "add"]
    assert min(b - a for a, b in itertools.pairwise(times[:4])) >= 1.0
    assert w.pipeline.health.stats().replies == {503: 3, 202: 3}
    assert w.pipeline.health.stats().dropped == {}


def test_a_relay_that_is_not_there_is_tried_again_with_whole_batches() -> None:
    w, relay = relayed([Unreachable("no relay: timeout")] * 5)
    w.put(500)

    assert w.pipeline.flush(1000) == FlushReport(relayed=500, held=500)
    assert [len(entry.events) for entry in relay.entries] == [500]


def test_a_minute_without_a_relay_is_unhealthy_and_told_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w, _relay = relayed([Unreachable("no relay: redis://:hunter2@127.0.0.1:1 refused")] * 1000)
    w.put(3)

    assert w.pipeline.flush(90) == FlushReport(pending=3)
    assert "every attempt of the last minute failed: no relay" in (w.pipeline.health.complaint() or "")
    assert "delivery has failed for" in caplog.text
    assert "hunter2" not in caplog.text + str(w.pipeline.health.stats())


@pytest.mark.parametrize("error", [Forbidden("NOPERM"), Newer("format 2"), Foreign("it is for http://b")])
def test_a_relay_that_refuses_us_parks_the_line_and_no_event_is_the_cause(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    w, relay = relayed([error] * 4)  # type: ignore[list-item]  each is one
    w.put(700)

    assert w.pipeline.flush(1000) == FlushReport(pending=700), "parked, and no probe is due"
    assert w.pipeline.health.state == "parked"
    assert str(error) in (w.pipeline.health.complaint() or "")
    w.until_probe()
    for _ in range(3):
        assert w.pipeline.flush(1000) == FlushReport(pending=700)
        w.until_probe()
    assert w.pipeline.flush(1000) == FlushReport(relayed=700, held=700)
    assert sorted(len(entry.events) for entry in relay.entries) == [1, 1, 1, 1, 198, 498], "probes"
    assert "the relay takes events again" in caplog.text


def test_a_foreign_relay_is_probed_each_minute() -> None:
    w, relay = relayed([Foreign("it is for http://b")] * 4)
    w.put(3)

    for _ in range(4):
        w.pipeline.flush(1000)
        w.until_probe()
    times = [at for name, at in relay.asked if name == "add"]
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [60, 60, 60]


def test_an_event_that_is_refused_by_a_relay_again_and_again_is_never_rejected() -> None:
    w, _relay = relayed([Forbidden("NOPERM"), None] * 8)
    for _ in range(8):
        w.put(1)
        w.pipeline.flush(1000)
        w.until_probe()
    assert w.pipeline.flush(1000)
    stats = w.pipeline.health.stats()
    assert (stats.relayed, stats.rejected) == (8, 0)


def test_what_is_given_up_or_has_no_time_is_not_handed_over() -> None:
    w, relay = relayed()
    w.put(3)
    connection, batch = w.pipeline.destination.connect(), w.take()

    assert connection.send(batch, Secret(""), 0).sent is False
    assert connection.send(batch, Secret(""), 9, lambda: False).sent is False
    assert relay.calls == []
    connection.close()


# --- replicas -----------------------------------------------------------------------------------------------


def test_too_few_replicas_are_waited_for_and_the_entry_is_not_added_again() -> None:
    w, relay = relayed(relay_replicas=2)
    relay.replicas = [0, 1, 1, 2]
    w.put(3)

    assert w.pipeline.flush(100) == FlushReport(relayed=3, held=3)
    assert relay.calls == ["check", "add", "confirm", "confirm", "confirm"]


def test_replicas_that_are_missing_for_long_are_waited_for_all_the_same() -> None:
    w, relay = relayed(relay_replicas=1)
    relay.replicas = [0] * 200 + [1]
    w.put(3)

    assert w.pipeline.flush(1000) == FlushReport(relayed=3, held=3)
    assert relay.calls.count("add") == 1


def test_where_another_redis_answers_meanwhile_the_entry_is_added_again() -> None:
    w, relay = relayed([None, Unreachable("another Redis answers")], relay_replicas=1)
    relay.replicas = [0, 1]
    w.put(3)

    assert w.pipeline.flush(100) == FlushReport(relayed=3, held=3)
    assert relay.calls == ["check", "add", "confirm", "check", "add"]


def test_close_ends_in_its_time_also_where_replicas_are_missing() -> None:
    w, relay = relayed(relay_replicas=1)
    relay.replicas = [0]
    w.put(3)
    begun = w.clock.now

    assert w.pipeline.close(8) == FlushReport(dropped=3)
    assert w.clock.now - begun < 9
    assert max(relay.timeouts) <= 4, "a call ends before the time does"


# --- the hold -----------------------------------------------------------------------------------------------


def keeper_of(w: Any) -> Keeper:
    keeper: Keeper = w.pipeline.destination.keeper
    return keeper


def test_an_idle_producer_asks_once_and_lets_go() -> None:
    w, relay = relayed()
    w.put(3)
    w.pipeline.flush(10)
    at = w.clock.now

    keeper_of(w).work()
    assert relay.calls == ["check", "add", "look"]
    assert relay.asked[-1][1] == pytest.approx(at + 10, abs=0.1)
    assert w.pipeline.health.stats().relay_held == 0
    assert len(relay.entries) == 1


def test_what_another_redis_may_have_lost_is_handed_over_again(caplog: pytest.LogCaptureFixture) -> None:
    w, relay = relayed()
    ids = w.put(1200)
    w.pipeline.flush(10)
    relay.lose_everything()

    keeper_of(w).work()
    assert len(relay.ids) == 1200
    assert all(f'"{event_id}"'.encode() in b"".join(relay.ids) for event_id in ids)
    stats = w.pipeline.health.stats()
    assert (stats.relay_held, stats.relay_repeated, stats.relayed) == (0, 1200, 1200)
    assert "another Redis answers than the one that took 1200 events" in caplog.text


def test_the_answer_to_a_later_batch_proves_the_earlier_ones_or_shows_that_they_are_lost() -> None:
    w, relay = relayed()
    w.put(3)
    w.pipeline.flush(10)
    w.clock.now += 10
    w.put(2)
    assert w.pipeline.flush(10).held == 2
    relay.lose_everything()
    w.put(1)
    assert w.pipeline.flush(10).held == 3
    assert w.pipeline.close(10).held == 3
    assert len(relay.ids) == 3, "close() hands over what is known to be lost"


def test_a_producer_that_was_frozen_does_not_take_an_old_answer_for_a_proof() -> None:
    w, relay = relayed()
    w.put(3)
    w.pipeline.flush(10)
    relay.frozen = 60  # the first server's answer to what was asked at once is read a minute later
    w.put(1)
    assert w.pipeline.flush(100).held == 4
    relay.lose_everything()

    keeper_of(w).work()
    assert len(relay.ids) == 4


def test_an_idle_producer_asks_until_it_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    w, relay = relayed([None, LOST, LOST])
    w.put(3)
    w.pipeline.flush(10)

    keeper_of(w).work()
    assert relay.calls == ["check", "add", "look", "look", "look"]
    assert w.pipeline.health.stats().relay_held == 0
    assert caplog.text == "", "nothing is known to be lost"


def test_close_waits_for_what_another_thread_hands_over_again_but_not_beyond_its_time() -> None:
    clock, hold, shutdown = Clock(), Hold(10), Shutdown()
    runtime = Runtime(clock=clock, bell=lambda: VirtualBell(clock), start_thread=None, random=lambda: 0.5)
    config, lock, calls = Config.load({}, relay="redis://cache"), threading.RLock(), []
    hand: Any = SimpleNamespace(close=lambda: calls.append("close"))
    keeper = Keeper(
        config, runtime, lock, shutdown, Log(clock), hold, Watch(), lambda: hand, blank=lambda text: text
    )
    hold.put(Parcel({b"e": b""}, 3), FIRST, clock.now)
    hold.judge(SECOND, clock.now)
    taken = hold.take_owed()
    shutdown.begin(clock.now, 5.0, is_probing=False)

    keeper.settle()
    assert taken
    assert clock.now == pytest.approx(1005, abs=0.1)
    assert (calls, hold.owed) == (["close"], 3)


def test_what_is_owed_is_tried_until_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    w, relay = relayed([None, None, *[LOST] * 7])
    w.put(3)
    w.pipeline.flush(10)
    relay.lose_everything()

    keeper_of(w).work()
    assert len(relay.ids) == 3
    assert "3 events, which the relay may have lost, cannot be handed over again" in caplog.text


def test_what_cannot_be_handed_over_again_before_the_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    w, relay = relayed([None, None, *[LOST] * 1000])
    w.put(3)
    w.pipeline.flush(10)
    relay.lose_everything()
    w.put(1)
    w.pipeline.flush(10)
    begun = w.clock.now

    w.pipeline.close(8)
    assert w.clock.now - begun <= 8.5
    assert "closed with 3 relayed events that the relay may have lost" in caplog.text


def test_a_redis_that_does_not_say_who_it_is_is_told_once_and_nothing_is_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w, relay = relayed()
    relay.server = None
    for _ in range(2):
        w.put(3)
        assert w.pipeline.flush(10).held == 0
    assert caplog.text.count("Redis does not say which server it is") == 1
    assert w.pipeline.health.complaint() is None


def test_without_a_hold_nothing_is_held_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    w, relay = relayed(relay_hold=0)
    w.put(3)

    assert w.pipeline.flush(10).held == 0
    relay.server = SECOND
    w.put(3)
    assert w.pipeline.flush(10)
    assert len(relay.ids) == 6
    assert caplog.text == ""


# --- nobody drains ------------------------------------------------------------------------------------------


def test_a_relay_that_nobody_drains_is_stalled_after_ten_minutes_and_the_producer_is_healthy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w, relay = relayed()
    relay.drained = False
    for _ in range(11):
        w.put(1)
        assert w.pipeline.flush(10)
        assert not w.pipeline.health.stats().relay_stalled
        w.clock.now += 59
    w.put(1)
    w.pipeline.flush(10)

    stats = w.pipeline.health.stats()
    assert (stats.relay_stalled, stats.relay_events) == (True, 12)
    assert "the relay holds 12 events, and none has left it for" in caplog.text
    assert w.pipeline.health.complaint() is None
    relay.out += 1
    w.put(1)
    w.pipeline.flush(10)
    assert not w.pipeline.health.stats().relay_stalled


def test_an_idle_producer_looks_each_minute_whether_what_it_handed_over_is_drained() -> None:
    w, relay = relayed(relay_hold=0)
    relay.drained = False
    w.put(5)
    w.pipeline.flush(10)
    looks: list[float] = []

    def drain_later() -> float:
        looks.append(w.clock.now)
        if len(looks) == 12:
            relay.out = 5
        return 0.5

    relay_look = relay.look
    relay.look = lambda note=None: (drain_later(), relay_look(note))[1]  # type: ignore[method-assign]
    keeper_of(w).work()
    assert len(looks) == 12, "then it has seen that somebody drains, and ends"
    assert [round(b - a) for a, b in itertools.pairwise(looks)] == [60] * 11


def test_a_relay_is_not_asked_what_time_it_is_at_togai() -> None:
    """It does not know: what is left on disk from before is judged by our own clock."""
    w, relay = relayed()
    connection = w.pipeline.destination.connect()

    assert connection.look_up(Secret(""), 1.0).verdict == Accepted(relayed=True)
    assert relay.asked == []


def test_a_relay_that_nobody_drains_is_told_at_error_and_once_that_events_leave_it_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w, relay = relayed()
    relay.drained = False
    w.put(3)
    w.pipeline.flush(10)
    w.clock.now += 700
    w.put(1)
    w.pipeline.flush(10)
    assert w.pipeline.health.stats().relay_stalled

    relay.out = 3
    for _ in range(2):
        w.put(1)
        w.pipeline.flush(10)

    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        (
            "ERROR",
            "the relay holds 4 events, and none has left it for 700 s: is it drained? (togai-shipper drain)",
        ),
        ("WARNING", "events leave the relay again"),
    ]
