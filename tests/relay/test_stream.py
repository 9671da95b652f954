"""A drainer: what is in the stream is delivered once, and leaves it when it has its outcome."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from drained import Drained, World, event, events, fast
from fake_relay import DOWN, FakeLink, FakeRelay
from virtual import OK, Sent

from togai_shipper._engine.self_report import SelfReport
from togai_shipper._engine.transport import NoSession
from togai_shipper._engine.verdict import Reply
from togai_shipper.relay.answers import Server as RedisServer
from togai_shipper.relay.drainer import Drainer, load
from togai_shipper.relay.entries import fields_of, size_of
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


def test_the_journal_counts_what_is_delivered_and_not_what_is_dead(world: World) -> None:
    refuse(world, "1")
    world.add("1", "2", "3")
    world.add("4")
    drained = leading(world)
    drained.run(5.0)

    assert world.relay.stream == {}
    ((field, count),) = world.relay.journal.items()
    assert (json.loads(field)[1:], count) == (["api_call", 1, "delivered"], 3)


def test_of_two_events_with_one_id_the_one_that_was_delivered_is_counted(world: World) -> None:
    twice = event("a")
    refuse(world, "b")
    world.relay.add([twice, bytes(bytearray(twice)), event("b")])
    drained = leading(world)
    drained.run(5.0)

    assert sum(world.relay.journal.values()) == 2


def test_that_nothing_is_counted_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.relay.not_counted = "this user may not write to it"
    world.add("a")
    leading(world)

    assert world.relay.stream == {}
    told = "the relay's journal does not count what is delivered: this user may not write to it"
    assert told in caplog.text


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
    drained.link.lose_settlements = 1
    drained.run(10.0)
    assert world.relay.doubts == []

    assert drained.sent == ["a"]
    assert [each.removed for each in drained.link.settled] == [["1-000001"], []]
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


def test_foreign_entries_are_told_once_and_their_number_once_an_hour_where_it_has_changed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        world.relay.add_fields({b"x": b"y"})
    drained = leading(world)
    for n in range(10):
        world.relay.server = RedisServer(f"run {n + 2}", "replication 2")  # all is read once more
        drained.run(70.0, step=0.5)
    assert caplog.text.count("has other fields") == 1

    world.relay.add_fields({b"x": b"y"})
    drained.run(5.0)
    assert "cannot be read: not sent" not in caplog.text
    drained.run(3600.0, step=1.0)
    assert caplog.text.count("4 entries of the relay that cannot be read: not sent, they stay") == 1

    world.relay.stream.clear()
    drained.run(3700.0, step=1.0)
    assert caplog.text.count("cannot be read: not sent") == 1


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


def test_togai_is_asked_what_time_it_is_where_nothing_else_would_make_it_say_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.look_up_answer = lambda: Reply(404, b'{"message": "none"}', date=world.now_ms() / 1000)
    world.add("old", ago=41 * DAY)
    drained = leading(world)
    drained.run(10.0)

    assert (drained.sent, len(world.server.looked_up), drained.stats.requests) == ([], 1, 1)
    assert (world.relay.stream, list(world.relay.dead)) == ({}, ["old"])
    assert "trying" not in world.relay.facts, "Togai has taken nothing with this key"
    assert "does not say what time it is" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (Reply(503, b"{}"), [0.0, 5.0, 15.0, 35.0, 75.0]),
        (Reply(401, b"<html>"), [0.0]),
        (Reply(429, b"{}", retry_after=8.0), [0.0, 8.0, 18.0, 38.0, 78.0]),
        (Reply(200, b"<html>a waiting room</html>"), [0.0, 5.0, 15.0, 35.0, 75.0]),
        (NoSession("session_factory raised"), [0.0, 5.0, 15.0, 35.0, 75.0]),
        (Reply(200, b"{}"), [0.0]),  # it has no date, and the next one will have none either
    ],
)
def test_who_gives_no_time_is_asked_again_as_seldom_as_a_parked_line_is_probed(
    world: World, answer: Any, times: list[float]
) -> None:
    def answered() -> Reply:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # a Reply

    world.server.look_up_answer = answered
    world.add("old", ago=41 * DAY)
    drained = leading(world)
    drained.run(120.0)

    first = world.server.looked_up[0]
    assert [each - first for each in world.server.looked_up] == pytest.approx(times, abs=0.5)
    assert (len(world.relay.stream), drained.drainer.view().is_empty) == (1, True)


def test_nobody_asks_without_the_lease_or_a_key(world: World) -> None:
    world.add("old", ago=41 * DAY)
    keys = ["secret"]  # for the fingerprint
    drained = leading(world, api_key=keys.pop)
    drained.run(3.0)
    assert world.server.looked_up == []

    keys.append("secret")
    world.cut.add(id(drained.link))
    drained.run(30.0)
    assert world.server.looked_up == []

    world.cut.clear()
    drained.run(30.0)
    assert len(world.server.looked_up) == 1


def test_nobody_asks_while_the_key_is_refused(world: World) -> None:
    world.server.answer = lambda sent: Reply(401)
    world.add("new")
    drained = leading(world)
    world.add("old", ago=41 * DAY)
    drained.run(300.0)

    assert (len(world.server.sent), world.server.looked_up) == (1, [])


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
    doubt, *_ = world.relay.doubts
    assert "Redis has lost events that it had confirmed, at least 10000" in doubt
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


def test_each_loss_is_told_with_its_size_however_soon_after_the_last_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    drained = leading(world)
    for lost in (5, 7):
        world.relay.facts["lost"] = str(int(world.relay.facts["lost"]) + lost)
        drained.run(3.0)

    told = [line for line in caplog.messages if "Redis has lost events" in line]
    assert [line.partition("at least ")[2] for line in told] == [
        "5: somebody has deleted or trimmed the stream",
        "7: somebody has deleted or trimmed the stream",
    ]
    assert drained.drainer.view().lost == 12


def test_what_has_left_since_the_last_look_is_not_told_as_lost(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    drained = leading(world, backoff_max=1.0)
    world.add("a", "b")
    drained.run(4.0)
    world.server.answer = lambda sent: OK
    while world.relay.stream:
        drained.run(0.1)
    assert world.relay.facts["out"] == "2"
    world.relay.begin(run=2)
    drained.run(5.0)

    assert drained.drainer.view().lost == 0
    assert "Redis may have lost events that it had confirmed, and how many cannot be told" in caplog.text


def test_what_was_delivered_though_its_entry_was_gone_is_not_told_as_lost(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a", "b")
    drained = leading(world)
    world.relay.stream.clear()
    world.server.answer = lambda sent: OK
    while not drained.stats.delivered:
        drained.run(0.1)
    drained.run(0.2)
    assert world.relay.doubts == ["Redis had lost 2 events before their delivery could be counted"]
    world.relay.count(lost=2, events=-2)  # as who hands over next finds
    drained.run(5.0)
    assert drained.drainer.view().lost == 0

    world.relay.count(lost=3)
    drained.run(3.0)
    assert drained.drainer.view().lost == 3


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


def failed_over(world: World, *lost: str) -> None:
    """A replica takes over that lacks these entries, while so many events come that no figure tells."""
    for entry_id in lost:
        del world.relay.stream[entry_id]
    world.relay.server = RedisServer("run 2", "replication 2")
    for n in range(10):
        world.add(f"new {n}")


def test_what_a_replica_lacks_is_told_though_its_figures_are_larger_already(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a")
    lost = world.add("b", "c")
    drained = leading(world)
    failed_over(world, lost)
    drained.run(10.0)

    assert "Redis has lost events that it had confirmed, at least 2: another Redis answers" in caplog.text
    assert "at least 2: another Redis answers" in world.relay.doubts[0]
    assert drained.drainer.view().lost == 2
    assert caplog.text.count("another Redis") == 1
    world.server.answer = lambda sent: OK
    drained.run(60.0)
    assert {"a", "b", "c", "new 0"} < set(drained.sent)
    assert (drained.drainer.view().lost, caplog.text.count("has lost")) == (2, 1)


def test_what_was_delivered_before_it_was_missed_is_told_too(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    lost = world.add("a", "b")
    world.add(*[f"{n}" for n in range(10)])
    drained = leading(world)
    failed_over(world, lost)
    drained.run(2.0)  # it has seen that it is another one
    world.server.answer = lambda sent: OK
    drained.run(60.0)

    assert drained.drainer.view().lost == 2
    assert drained.drainer.view().is_empty


def test_a_redis_that_was_started_anew_and_has_all_is_told_once_and_is_no_loss(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a", "b")
    drained = leading(world)
    second = world.drainer()
    second.run(1.0)
    failed_over(world)
    drained.run(4.0)
    second.run(4.0)
    drained.run(4.0)

    told = [record for record in caplog.records if "was started anew" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING"] * 2
    assert "2 events that had been read of it are still there" in caplog.text
    assert (drained.drainer.view().lost, second.drainer.view().lost) == (0, 0)
    assert "has lost" not in caplog.text


def test_what_may_be_settled_already_is_not_missed(world: World) -> None:
    drained = leading(world)
    world.server.answer = lambda sent: Reply(503)
    world.add("a", "b")
    drained.run(1.0)
    failed_over(world)
    drained.link.lose_settlements = 1
    world.server.answer = lambda sent: OK
    drained.run(60.0)

    assert (world.relay.stream, drained.drainer.view().lost) == ({}, 0)


def test_what_a_successor_has_settled_is_not_missed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a", "b")
    drained = leading(world)
    failed_over(world)
    world.relay.lease = "another:1"
    world.relay.stream.clear()
    drained.run(10.0)

    assert "has lost" not in caplog.text
    assert caplog.text.count("was started anew") == 1


def test_an_empty_relay_that_never_held_anything_has_nothing_to_lose(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    drained = leading(world)
    world.relay.server = RedisServer("run 2", "replication 2")
    drained.run(10.0)

    assert "anew" not in caplog.text


def test_a_stream_that_was_trimmed_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    drained = leading(world)
    world.relay.count(lost=7)
    drained.run(3.0)

    assert drained.drainer.view().lost == 7
    assert "at least 7: somebody has deleted or trimmed the stream" in caplog.text


def test_a_trim_beside_an_entry_that_is_not_ours_leaves_no_event_counted_that_is_gone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gone = world.add("a", "b")
    world.relay.add_fields({b"x": b"y"})
    del world.relay.stream[gone]
    drained = leading(world)
    drained.run(5.0)

    facts = world.relay.facts
    assert (facts["events"], facts["bytes"], facts["in"], facts["lost"]) == ("0", "0", "2", "2")
    assert "the relay said that it holds 2 events, and it holds 0" in caplog.text
    assert "at least 2: somebody has deleted or trimmed the stream" in caplog.text
    assert drained.drainer.view().is_empty


def test_what_was_trimmed_while_it_was_in_memory_is_counted_no_more(world: World) -> None:
    world.server.answer = lambda sent: Reply(503)
    gone = world.add("a", "b")
    world.add("c")
    drained = leading(world)
    drained.run(3.0)
    del world.relay.stream[gone]
    world.add("d")
    drained.run(5.0)

    facts = world.relay.facts
    assert (facts["events"], facts["lost"]) == ("2", "2")
    assert int(facts["bytes"]) == sum(map(size_of, world.relay.stream.values()))


def test_entries_that_nobody_has_counted_are_counted_once_they_are_read(world: World) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a")
    world.relay.stream["7-1"] = fields_of(events("b", "c"), b"x" * 16, world.now_ms())
    drained = leading(world)
    drained.run(5.0)
    facts = world.relay.facts
    assert (facts["events"], facts["in"], facts["lost"]) == ("3", "3", "0")

    world.server.answer = lambda sent: OK
    drained.run(60.0)
    assert (facts["events"], facts["bytes"], facts["in"], facts["out"]) == ("0", "0", "3", "3")
    assert sorted(drained.sent[-3:]) == ["a", "b", "c"]


def test_bytes_that_nobody_holds_are_corrected_in_silence(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    drained = leading(world)
    world.relay.facts["bytes"] = "999"
    drained.run(5.0)

    assert world.relay.facts["bytes"] == "0"
    assert "corrected" not in caplog.text


def test_a_drainer_that_has_lost_the_lease_without_knowing_it_corrects_nothing(world: World) -> None:
    drained = leading(world)

    def take_over() -> None:
        world.relay.lease = "another:1"

    world.relay.facts["bytes"] = "999"
    world.relay.raising = [take_over]
    drained.run(1.0)

    assert not world.relay.raising
    assert world.relay.facts["bytes"] == "999"


def test_an_entry_that_cannot_be_read_stays_counted_or_not_as_it_was(world: World) -> None:
    """It may be of a newer producer, or damaged, or a stranger's."""
    newer = {**fields_of(events("a"), b"x" * 16, world.now_ms()), b"v": b"2"}
    world.relay.add_fields(newer, "1-1", count=1)
    world.relay.stream["1-2"] = {**newer, b"e": b"cut"}
    drained = leading(world)
    drained.run(5.0)

    facts = world.relay.facts
    assert (facts["events"], facts["in"], facts["lost"]) == ("1", "1", "0")
    assert int(facts["bytes"]) == size_of(newer)
    assert drained.drainer.view().lost == 0


def test_how_much_was_lost_is_not_told_where_nobody_knows(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server.answer = lambda sent: Reply(503)
    world.add("a")
    drained = leading(world)
    world.relay.begin(run=2)
    drained.run(3.0)

    assert "Redis may have lost events that it had confirmed, and how many cannot be told" in caplog.text
    assert "at least" not in caplog.text
    assert drained.drainer.view().lost == 0


def test_a_relay_that_comes_back_empty_while_nothing_is_in_it_may_have_lost_what_came_meanwhile(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.add("a")
    drained = leading(world)
    drained.run(5.0)
    assert drained.drainer.view().is_empty
    world.add("b")
    world.relay.begin(run=2)
    drained.run(3.0)

    assert "how many cannot be told: the relay has begun anew" in caplog.text


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


# --- how it stands, as it says in the relay ---


def said(world: World) -> SelfReport:
    report = SelfReport.of_text(world.relay.report.partition("\n")[2])
    assert report is not None
    return report


def test_who_drains_says_in_the_relay_how_it_stands(world: World) -> None:
    world.add("a", "b")
    drained = leading(world)
    drained.run(2.0)

    assert world.relay.report.startswith(f"{world.relay.lease.rpartition(':')[0]}\n")
    assert (said(world).trouble, said(world).delivered, said(world).pending) == ("", 2, 0)


def test_a_parked_drainer_says_so(world: World) -> None:
    world.server.answer = lambda sent: Reply(401, b'{"message": "no such key"}')
    world.add("a")
    drained = leading(world)
    drained.run(2.0)

    assert (said(world).trouble, said(world).is_by_key) == ("parked", True)
    assert "no such key" in said(world).why


def test_a_relay_that_takes_no_report_is_drained_all_the_same(world: World) -> None:
    world.relay.takes_no_report = True
    world.add("a")
    drained = leading(world)
    drained.run(30.0)

    assert (drained.sent, world.relay.report) == (["a"], "")
    assert drained.stats.last_error is None
