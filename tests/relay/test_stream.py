"""A drainer: what is in the stream is delivered once, and leaves it when it has its outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from drained import Drained, World, event, events, fast
from fake_relay import DOWN, FakeLink, FakeRelay
from virtual import OK, Sent

from togai_shipper._engine.verdict import Reply
from togai_shipper.relay.answers import Server as RedisServer
from togai_shipper.relay.drainer import Drainer, load
from togai_shipper.relay.errors import Forbidden
from togai_shipper.relay.letters import read
from togai_shipper.testing import FakeTogai

DAY = 86_400.0
BAD = Reply(400, b'{"message": "no"}')


@pytest.fixture
def world() -> World:
    made = World()
    made.relay.lease = "released"
    return made


def leading(world: World, **options: Any) -> Drained:
    drained = world.drainer(**options)
    drained.run(2.0)
    assert drained.drainer.view().role == "leads"
    return drained


def refuse(world: World, *bad: str) -> None:
    """Togai refuses what holds one of these, and takes nothing of it."""
    world.server.answer = lambda sent: BAD if set(bad) & set(sent.ids) else OK


# --- out of the stream, in order, and removed ---


def test_entries_of_many_hosts_go_in_one_request_in_their_order_and_leave_the_stream(world: World) -> None:
    for n in range(40):
        world.add(*[f"{n}-{m}" for m in range(12)])
    drained = leading(world)

    assert drained.sent == [f"{n}-{m}" for n in range(40) for m in range(12)]
    assert len(drained.server.sent) == 1
    assert world.relay.stream == {}
    assert (world.relay.facts["out"], drained.stats.recovered, drained.drainer.view().is_empty) == (
        "480",
        480,
        True,
    )


def test_what_comes_within_a_quarter_of_a_second_goes_together(world: World) -> None:
    drained = leading(world)
    for n in range(80):
        world.add(f"{n}")
        drained.run(0.05)
    drained.run(1.0)

    assert len(drained.sent) == 80
    assert len(drained.server.sent) <= 25


def test_no_more_than_twenty_thousand_events_are_in_memory(world: World) -> None:
    world.server.answer = lambda sent: Reply(503)
    for n in range(60):
        world.add(*[f"{n}-{m}" for m in range(500)])
    drained = leading(world)
    drained.run(30.0)

    assert 19_000 < drained.stats.pending <= 20_000


def test_an_entry_stays_until_all_its_events_have_their_outcome(world: World) -> None:
    world.add("a", "bad", "c")
    later = False
    world.server.answer = lambda sent: (Reply(503) if not later else BAD) if "bad" in sent.ids else OK
    drained = leading(world)
    drained.run(60.0)
    assert len(world.relay.stream) == 1

    later = True
    drained.run(200.0)
    assert world.relay.stream == {}
    assert list(world.relay.dead) == ["bad"]


def test_a_refused_event_becomes_a_dead_letter_with_all_that_is_known_of_it(world: World) -> None:
    told: list[Any] = []
    refuse(world, "bad")
    accepted_ms = world.now_ms(ago=5.0)
    world.add("a", "bad", ago=5.0)
    drained = leading(world, on_error=lambda error, events: told.append(events))
    drained.run(10.0)

    letter = read("bad", world.relay.dead["bad"])
    assert (letter.reason, letter.status, letter.body) == ("rejected", 400, event("bad"))
    assert "no" in letter.message
    assert letter.accepted_ms == accepted_ms
    assert [event.id for events in told for event in events] == ["bad"]
    assert drained.stats.dead_letters == 1


def test_an_event_that_togai_has_already_counts_as_delivered(world: World) -> None:
    world.server.answer = lambda sent: Reply(409, b'{"message": "duplicate id"}')
    world.add("a")
    drained = leading(world)
    drained.run(10.0)

    assert (drained.stats.delivered, drained.stats.duplicates, drained.stats.rejected) == (1, 1, 0)
    assert world.relay.stream == {}


def test_an_entry_whose_dead_letters_have_no_room_stays_and_is_told_and_leaves_once_there_is_room(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.relay.dead.update({f"{n}": b"" for n in range(50_000)})
    refuse(world, "bad")
    world.add("bad")
    world.add("good")
    drained = leading(world)
    drained.run(10.0)

    assert (len(world.relay.stream), drained.drainer.view().full) == (1, 1)
    assert "no room for more: 1 entry" in caplog.text
    assert "has 50,000 dead letters" in str(drained.stats.last_error)
    sent = len(drained.sent)
    world.relay.server = RedisServer("run 2", "replication 2")  # all is read once more
    drained.run(5.0)
    world.relay.dead.clear()
    drained.run(70.0)
    assert world.relay.stream == {}
    assert len(drained.sent) == sent, "what is refused is not sent again"


def test_a_settlement_whose_answer_was_lost_is_asked_for_once_more(world: World) -> None:
    drained = leading(world)
    world.add("a")
    drained.run(0.3)
    drained.link.lose_answers = 1
    drained.run(10.0)

    assert drained.sent == ["a"]
    assert (world.relay.stream, world.relay.facts["out"]) == ({}, "1")
    assert drained.drainer.view().is_empty


# --- what is not ours ---


def test_foreign_entries_stay_are_counted_and_told_and_block_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.relay.add_fields({b"k": b"short"})
    world.add("a")
    world.relay.add([event("x"), b'{"id": "no event"}'], at=world.now_ms())
    world.add("b")
    drained = leading(world)
    drained.run(5.0)

    assert drained.sent == ["a", "b"]
    assert len(world.relay.stream) == 2
    view = drained.drainer.view()
    assert (view.passed.foreign, view.is_empty, drained.stats.stranded) == (2, True, 2)
    assert "2 entries of the relay cannot be read" in str(drained.stats.last_error)
    assert "it has other fields than ours" in caplog.text
    assert "it has a line that is no event" in caplog.text


def test_what_stands_before_the_cursor_is_found_though_foreign_entries_have_gone(world: World) -> None:
    foreign = [world.relay.add_fields({b"x": b"y"}, f"5-{n}") for n in range(3)]
    drained = leading(world)
    for entry_id in foreign:
        del world.relay.stream[entry_id]
    world.add("a", entry_id="2-1")
    drained.run(2.0)
    world.add("b", entry_id="1-1")
    drained.run(2.0)

    assert drained.sent == ["a", "b"]
    assert drained.drainer.view().passed.foreign == 0


# --- by age ---


def test_events_past_the_window_become_dead_letters_once_togai_has_said_what_time_it_is(world: World) -> None:
    told: list[Any] = []
    world.server.answer = lambda sent: Reply(202, b"{}", date=world.now_ms() / 1000)
    world.add("old", ago=41 * DAY)
    world.add("new")
    drained = leading(world, on_error=lambda error, events: told.append(error))
    drained.run(90.0)

    assert drained.sent == ["new"]
    assert read("old", world.relay.dead["old"]).reason == "past dedupe window"
    assert world.relay.stream == {}
    assert drained.stats.dropped == {"past dedupe window": 1}
    drained.drainer.close()
    assert told[0].maybe_delivered


def test_before_that_an_older_event_stays_where_it_is(world: World) -> None:
    world.add("old", ago=41 * DAY)
    drained = leading(world)
    drained.run(5.0)

    assert (drained.sent, len(world.relay.stream), drained.stats.stranded) == ([], 1, 1)
    assert "the clocks do not tell" in str(drained.stats.last_error)


def test_of_events_older_than_a_day_one_entry_asks_what_time_it_is_before_the_others_go(world: World) -> None:
    world.server.answer = lambda sent: Reply(202, b"{}", date=world.now_ms() / 1000)
    for name in "abc":
        world.add(name, ago=2 * DAY)
    drained = leading(world)
    drained.run(5.0)

    assert drained.server.sent[0].ids == ("a",)
    assert drained.sent == ["a", "b", "c"]


def test_what_is_too_old_by_togais_clock_is_not_sent_though_it_is_not_by_ours(world: World) -> None:
    world.server.answer = lambda sent: Reply(202, b"{}", date=world.now_ms() / 1000 + 50 * DAY)
    for name in "abc":
        world.add(name, ago=2 * DAY)
    drained = leading(world)
    drained.run(5.0)

    assert drained.sent == ["a"]
    assert drained.drainer.view().passed.kept_events == 2


def test_an_event_accepted_by_a_clock_that_was_never_set_is_kept(world: World) -> None:
    world.relay.add(events("a"), at=1000)
    drained = leading(world)

    assert (drained.sent, drained.drainer.view().passed.kept_events) == ([], 1)


# --- the lease ---


def test_a_new_leader_waits_a_second_before_its_first_request(world: World) -> None:
    world.add("a")
    drained = world.drainer()
    begun = world.clock.now
    drained.run(3.0)

    assert 1.0 <= drained.server.sent[0].at - begun < 2.0


def test_a_standby_takes_over_what_the_leader_had_in_memory_and_the_leader_forgets_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.server.answer = lambda sent: Reply(503)
    world.add(*"abc")
    first = leading(world)
    second = world.drainer()
    second.run(1.0)
    assert second.drainer.view().role == "stands by"
    assert first.stats.pending == 3

    world.cut.add(id(first.link))
    second.run(15.0)
    world.server.answer = lambda sent: OK
    second.run(5.0)
    assert second.drainer.view().role == "leads"
    assert world.relay.stream == {}

    world.cut.clear()
    sent = len(world.server.sent)
    first.run(5.0)
    assert (first.stats.pending, first.drainer.view().role, len(world.server.sent)) == (0, "stands by", sent)
    assert "leads from now on; 3 events in memory left to it" in caplog.text


def test_rejections_in_the_hands_of_a_leader_that_wakes_late_change_nothing(world: World) -> None:
    def refuse_late(_: Sent) -> Reply:
        world.relay.lease = "second:1"  # it has waited for 10 s, while we were stopped in our request
        return BAD

    first = leading(world)
    world.add("bad")
    world.server.answer = refuse_late
    first.run(3.0)

    assert first.drainer.pipeline.ledger.rejected == 1
    assert (world.relay.dead, len(world.relay.stream)) == ({}, 1)
    assert (first.drainer.view().role, first.stats.pending) == ("stands by", 0)


def test_a_batch_that_was_left_to_another_is_not_tried_again_however_long_there_is_time(world: World) -> None:
    def lose(_: Sent) -> Reply:
        world.relay.lease = "second:1"
        world.clock.now += 3.0
        first.drainer.stream.step(0.0)
        return Reply(503)

    first = leading(world)
    world.add("a")
    world.clock.now += 0.3
    first.drainer.stream.step(0.0)
    world.server.answer = lose
    begun = world.clock.now
    first.drainer.pipeline.flush(1000.0)

    assert len(world.server.sent) == 1
    assert world.clock.now - begun < 5.0


def test_a_leader_that_cannot_reach_redis_sends_nothing_after_five_seconds_and_goes_on_later(
    world: World,
) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a")
    drained = leading(world)
    world.cut.add(id(drained.link))
    drained.run(6.0)
    sent = len(world.server.sent)
    drained.run(70.0)
    assert len(world.server.sent) == sent
    assert "no relay: down" in str(drained.stats.last_error)

    world.cut.clear()
    world.server.answer = lambda sent: OK
    drained.run(60.0)
    assert (drained.sent[-1], world.relay.stream) == ("a", {})


def test_closing_lets_the_next_one_lead_at_once(world: World) -> None:
    first = leading(world)
    second = world.drainer()
    second.run(1.0)
    world.add("a")
    first.run(0.3)
    first.drainer.close()
    assert world.relay.lease == "released"
    assert world.relay.stream == {}

    begun = world.clock.now
    world.add("b")
    second.run(3.0)
    assert second.sent == ["a", "b"]
    assert 1.0 <= world.server.sent[-1].at - begun < 2.0


def test_what_cannot_be_delivered_before_the_end_stays_in_the_stream(world: World) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a", "b")
    drained = leading(world, close_timeout=2.0)
    begun = world.clock.now
    drained.drainer.close()

    assert (len(world.relay.stream), drained.stats.pending, drained.stats.dropped) == (1, 0, {})
    assert world.relay.lease == "released"
    assert world.clock.now - begun < 0.1, "it is the next drainer's"


def test_another_key_does_not_take_the_lease_until_that_is_wanted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    leading(world).drainer.close()
    other = world.drainer(api_key="another")
    other.run(3.0)
    view = other.drainer.view()
    assert (view.role, view.is_refused) == ("waits", True)
    assert "another key has drained this relay" in view.failure
    assert "another key has drained this relay" in str(other.stats.last_error)

    wanted = world.drainer(api_key="another", new_key=True)
    wanted.run(3.0)
    assert wanted.drainer.view().role == "leads"


# --- another Redis, or a Redis that has lost something ---


def test_what_redis_has_lost_is_told_and_what_is_in_memory_is_delivered_all_the_same(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    for n in range(60):
        world.add(*[f"{n}-{m}" for m in range(500)])
    drained = leading(world)
    drained.run(10.0)
    world.relay.begin(run=2)
    drained.run(5.0)
    world.server.answer = lambda sent: OK
    drained.run(60.0)

    assert len(set(drained.sent)) == 20_000
    assert drained.drainer.view().lost == 10_000
    assert "Redis has lost events that it had confirmed, at least 10000" in caplog.text
    assert drained.drainer.view().is_empty


def test_a_replica_that_lagged_is_read_from_its_start_and_what_it_does_not_know_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.add("a")
    lagging = (dict(world.relay.stream), dict(world.relay.facts))
    drained = leading(world)
    lagging[1]["key"] = world.relay.facts["key"]
    world.add("b")
    world.server.answer = lambda sent: Reply(503)
    world.add("c", "d")
    drained.run(3.0)
    world.relay.stream, world.relay.facts = lagging
    world.relay.server = RedisServer("run 2", "replication 1")
    world.server.answer = lambda sent: OK
    drained.run(60.0)

    assert set(drained.sent) == set("abcd")
    assert world.relay.stream == {}
    assert "it does not know of 3 events that had been handed over" in caplog.text


def test_a_new_entry_under_the_id_of_one_that_was_lost_is_sent_and_not_removed_by_its_predecessor(
    world: World,
) -> None:
    world.server.answer = lambda sent: Reply(503)
    entry_id = world.add("a")
    drained = leading(world)
    del world.relay.stream[entry_id]
    world.add("b", entry_id=entry_id)
    world.relay.server = RedisServer("run 2", "replication 2")
    world.server.answer = lambda sent: OK
    drained.run(60.0)

    assert set(drained.sent) == {"a", "b"}
    assert world.relay.stream == {}


def test_a_stream_that_was_trimmed_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    drained = leading(world)
    world.relay.count(lost=7)
    drained.run(3.0)

    assert drained.drainer.view().lost == 7
    assert "at least 7: the stream was deleted or trimmed" in caplog.text


# --- what is wrong with Redis, or with us ---


def test_a_redis_that_forbids_it_is_told_at_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.relay.trouble = Forbidden("Redis does not let us in")
    drained = world.drainer()
    drained.run(3.0)

    assert drained.drainer.view().is_refused
    assert "Redis does not let us in" in str(drained.stats.last_error)
    assert caplog.text.count("Redis does not let us in") == 1


def test_a_redis_that_is_away_for_a_moment_is_no_complaint(world: World) -> None:
    drained = leading(world)
    world.relay.trouble = DOWN
    drained.run(5.0)
    assert (drained.stats.last_error, drained.drainer.view().failure) == (None, "no relay: down")

    world.relay.trouble = None
    world.add("a")
    drained.run(10.0)
    assert drained.sent == ["a"]
    assert drained.drainer.view().failure == ""


def test_a_refused_key_parks_after_one_request_and_all_is_kept(world: World) -> None:
    world.server.answer = lambda sent: Reply(401)
    for n in range(10):
        world.add(*[f"{n}-{m}" for m in range(500)])
    drained = leading(world)
    drained.run(60.0)

    assert len(world.server.sent) == 1
    assert len(world.relay.stream) == 10
    assert drained.stats.state == "parked"


def test_a_probe_that_was_withdrawn_with_its_event_leaves_the_line_to_the_next_one(world: World) -> None:
    world.server.answer = lambda sent: Reply(404)
    world.add("a")
    drained = leading(world)
    world.relay.lease = "another:1"
    drained.run(15.0)
    world.relay.lease = "released"
    world.server.answer = lambda sent: OK
    drained.run(700.0)

    assert world.relay.stream == {}


def test_nothing_can_be_tracked_with_a_drainer(world: World) -> None:
    drained = leading(world)

    assert drained.drainer.pipeline.put(event("a")) == "closed"
    assert drained.drainer.pipeline.sync(0.0)


# --- threads ---


@pytest.fixture
def hurried(togai: FakeTogai) -> Iterator[Any]:
    """Makes drainers with real threads, for which time runs ten times as fast."""
    made: list[Drainer] = []

    def make(relay: FakeRelay) -> tuple[Drainer, FakeLink]:
        link = relay.link()
        stand_in: Any = link
        config = load({}, api_key="secret", base_url=togai.url)
        made.append(Drainer(config, stand_in, "togai", "me/1/2", runtime=fast(time.time)))
        made[-1].start()
        return made[-1], link

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("kind", [SystemExit, RuntimeError])
def test_a_thread_that_fails_is_told_of_and_goes_on_or_is_replaced(
    togai: FakeTogai, hurried: Any, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    relay = FakeRelay()
    relay.lease = "released"
    relay.add(events("a"), at=int(time.time() * 1000))
    relay.facts["base_url"] = togai.url
    relay.raising.append(kind("of somebody else's making"))
    hurried(relay)

    assert togai.wait(lambda: togai.ledger.metered == 1, 30)
    assert f"{kind.__name__}" in caplog.text
    assert "no event is lost" in caplog.text


def test_closing_while_redis_hangs_does_not_wait_for_it(world: World) -> None:
    drained = leading(world)
    world.relay.raising.append(drained.drainer.close)  # in the middle of a question
    begun = time.monotonic()
    drained.run(3.0)

    assert time.monotonic() - begun < 10.0
    assert drained.stats.state == "closed"
    assert world.relay.lease != "released", "it is taken over later"


def test_where_no_thread_can_be_started_that_is_a_complaint_and_who_flushes_does_the_work(
    world: World,
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    world.add("a")
    drained = world.drainer(thread=refuse)
    drained.drainer.stream.begin_flush(works=False)
    drained.run(5.0)

    assert drained.sent == ["a"]
    assert "can't start new thread" in str(drained.stats.last_error)


def test_where_no_thread_can_be_started_that_is_the_complaint(world: World) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    drained = world.drainer(thread=refuse)
    drained.drainer.start()

    assert "no thread can be started for the relay" in str(drained.drainer.pipeline.store.complaint())
