"""Events that are rejected for what they share: they wait in the lane, and stop nobody else. Virtual time."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from closed_accounts import closed_account
from hypothesis import given, settings
from hypothesis import strategies as st

from togai_shipper import DeliveryError, Event, FlushReport, QueueFull
from togai_shipper._config import Config
from togai_shipper._engine.lane import SHARE
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode, fresh_id
from togai_shipper._intake import Intake

PACE = SHARE / 45  # seconds between two requests of the lane


def test_events_of_a_known_cause_leave_the_batches_which_cost_one_request_again() -> None:
    w = closed_account()
    before = len(w.world.server.sent)
    bad = w.put("closed", 3)
    good = w.put("open", 10)

    w.world.pipeline.flush(1)

    batches = [sent for sent in w.world.server.sent[before:] if sent.path == "/ingestBatch"]
    assert [sent.ids for sent in batches] == [tuple(good)]
    assert w.refused >= set(bad)


def test_what_goes_out_without_them_is_full_all_the_same() -> None:
    w = closed_account()
    before = len(w.world.server.sent)
    for _ in range(10):
        w.put("closed", 1)
        w.put("open", 2)

    w.world.pipeline.flush(5)

    assert [count for path, count in w.world.server.paths[before:] if path == "/ingestBatch"] == [10, 10]


def test_the_lane_tries_single_events_at_its_share_of_the_requests() -> None:
    w = closed_account()
    w.world.clock.now += 10
    before = len(w.world.server.sent)
    w.put("closed", 20)

    w.world.pipeline.flush(10 * PACE)

    times = [sent.at for sent in w.world.server.sent[before:]]
    assert 9 <= len(times) <= 11
    assert min(later - earlier for earlier, later in pairwise(times)) >= PACE - 0.001


def test_one_acceptance_ends_the_cause_and_the_rest_goes_by_whole_batches() -> None:
    w = closed_account()
    bad = w.put("closed", 50)
    w.world.pipeline.flush(3 * PACE)
    w.closed.clear()
    before = len(w.world.server.sent)

    assert w.world.pipeline.flush(60).pending == 0

    assert len(w.world.server.sent) - before <= 8
    assert set(bad) - w.refused <= set(w.world.server.metered)
    assert (w.stats.in_lane, w.stats.last_error) == (0, None)


def test_the_latest_event_is_tried_at_every_second_turn() -> None:
    w = closed_account()
    w.put("closed", 30)
    w.world.pipeline.flush(2 * PACE)
    w.closed.clear()
    w.closed.add("nobody")
    (latest,) = w.put("closed")
    now = w.world.clock.now

    w.world.pipeline.flush(60)

    assert w.taken_at[latest] - now <= 3 * PACE


def test_a_cause_that_was_wrong_for_some_stops_nobody_else() -> None:
    w = closed_account()
    w.put("closed", 15)
    w.world.pipeline.flush(PACE)
    w.closed.clear()
    w.world.pipeline.flush(3 * PACE)
    w.closed.add("closed")
    good = w.put("open", 20)
    now = w.world.clock.now

    w.world.pipeline.flush(30)

    assert max(w.taken_at[event_id] for event_id in good) - now <= 4 * PACE
    assert w.stats.pending == 0


@pytest.mark.parametrize("names", [False, True])
def test_nothing_is_rejected_that_togai_has_not_refused_alone(*, names: bool) -> None:
    rejected: list[str] = []

    def told(error: Exception, events: tuple[Event, ...]) -> None:
        if isinstance(error, DeliveryError):
            rejected.extend(event.id for event in events)

    w = closed_account(on_error=told)
    w.names = names
    w.put("closed", 30)
    w.put("open", 30)

    w.world.pipeline.flush(60)

    assert set(rejected) == w.refused
    assert w.stats.rejected == len(rejected) == len(w.refused)


def test_named_events_that_share_a_cause_go_by_the_lane() -> None:
    w = closed_account(known=False)
    w.names = True
    w.put("open", 90)
    w.world.pipeline.flush(10)
    w.put("closed", 10)
    w.world.pipeline.flush(3 * PACE)

    assert w.stats.in_lane > 0
    assert w.world.pipeline.buffer.causes.known


def test_no_more_than_a_quarter_may_wait_in_the_lane_and_others_have_the_rest() -> None:
    w = closed_account(max_queue_size=40)

    assert len(w.put("closed", 30)) == 10
    assert len(w.put("open", 40)) == 30
    w.world.pipeline.flush(3 * PACE)
    assert w.stats.in_lane > 0
    assert len(w.put("closed", 30)) == 10 - w.stats.in_lane


def test_nor_more_than_a_quarter_of_the_bytes() -> None:
    size = len(encode("call", "closed", {"n": 1}, {}, "2026-01-01T00:00:00.000Z", fresh_id()))
    w = closed_account(max_queue_bytes=40 * size)

    assert len(w.put("closed", 30)) == 10
    assert len(w.put("open", 10)) == 10


def test_close_tries_good_events_first() -> None:
    w = closed_account()
    bad = w.put("closed", 5)
    good = w.put("open", 30)
    before = len(w.world.server.sent)

    report = w.world.pipeline.close(10)

    tried = [sent.ids for sent in w.world.server.sent[before:]]
    assert set(good) == {event_id for ids in tried[:3] for event_id in ids}
    assert {event_id for ids in tried[3:] for event_id in ids} == set(bad)
    assert report == FlushReport(delivered=30, rejected=5)


def test_close_without_time_gives_up_what_is_in_the_lane() -> None:
    w = closed_account(rate_limit=2)
    w.put("closed", 20)
    w.put("open", 10)

    report = w.world.pipeline.close(5)

    assert report.delivered == 10
    assert report.rejected + report.dropped == 20
    assert report.dropped > 0


def test_a_flush_counts_exactly_what_was_tracked_before_it_though_others_went_into_the_lane() -> None:
    w = closed_account()
    w.put("open", 3)
    w.put("closed", 2)
    w.put("open", 2)
    waiter = w.world.pipeline.line.begin_flush(w.world.clock.now + 5)
    w.put("closed", 2)
    w.put("open", 5)

    w.world.pipeline.flush(5)

    assert w.world.pipeline.line.report(waiter) == FlushReport(delivered=5, rejected=2)


def test_a_parked_line_is_probed_by_what_is_in_the_lane_if_there_is_nothing_else() -> None:
    w = closed_account()
    w.put("closed", 5)
    w.world.pipeline.flush(2 * PACE)
    w.world.server.replies = [Reply(403)]
    w.world.pipeline.flush(2 * PACE)
    assert w.stats.state == "parked"
    w.closed.clear()
    w.world.until_probe()

    w.world.pipeline.flush(60)

    assert (w.stats.state, w.stats.pending) == ("open", 0)


def test_a_cause_that_is_learnt_while_closing_holds_for_what_was_tried_before() -> None:
    w = closed_account(known=False)
    w.put("open", 400)
    w.world.pipeline.flush(60)
    bad = w.put("closed", 40)

    assert w.world.pipeline.close(60) == FlushReport(rejected=40)
    assert w.world.pipeline.buffer.causes.known
    assert w.refused == set(bad)


def test_rejections_in_the_lane_do_not_park_the_line() -> None:
    w = closed_account()
    w.put("closed", 60)

    w.world.pipeline.flush(60)

    assert (w.stats.state, w.stats.pending) == ("open", 0)


def test_an_event_that_togai_cannot_answer_for_goes_back_to_the_lane() -> None:
    w = closed_account()
    w.put("closed", 5)
    w.world.server.replies = [Reply(500)] * 5
    w.world.pipeline.flush(1)

    assert w.stats.pending > 0
    assert w.world.pipeline.flush(120).pending == 0


def test_stats_health_and_the_log_tell_of_the_cause(caplog: pytest.LogCaptureFixture) -> None:
    w = closed_account()
    w.put("closed", 9)
    w.world.pipeline.flush(3 * PACE)

    assert 0 < w.stats.in_lane < 9
    assert 0 < w.stats.search_requests < w.stats.requests
    assert "Togai rejects every event that has the account and schema of event " in w.stats.last_error
    assert "Togai rejects every event that has the account and schema of event " in caplog.text
    w.closed.clear()
    w.world.pipeline.flush(60)
    assert w.stats.last_error is None


def test_the_share_of_requests_that_find_culprits_is_told(caplog: pytest.LogCaptureFixture) -> None:
    w = closed_account(known=False, batch_size=100)
    w.closed = {f"a{n}" for n in range(0, 400, 20)}
    for n in range(400):
        w.put(f"a{n}", schema=f"s{n}")

    w.world.pipeline.flush(60)
    w.put("a1")

    assert "of the requests go into finding the events that Togai rejects" in w.stats.last_error
    assert "% of the requests go into finding the events that Togai rejects" in caplog.text


@attrs.frozen
class Step:
    """Track so many events of an account, close or open it, or let time pass."""

    what: str
    account: str
    count: int


steps = st.builds(
    Step,
    st.sampled_from(("track", "track", "track", "close", "open", "flush")),
    st.sampled_from(("a", "b", "c")),
    st.integers(1, 40),
)


@settings(deadline=None)
@given(st.lists(steps, max_size=25), st.booleans(), st.integers(1, 20), st.booleans())
def test_whatever_is_closed_and_opened_each_event_ends_by_togais_word(
    life: list[Step],
    names: bool,  # noqa: FBT001  hypothesis gives it
    batch_size: int,
    knows: bool,  # noqa: FBT001  likewise
) -> None:
    rejected: list[str] = []
    delivered: list[str] = []

    def told(error: Exception, events: tuple[Event, ...]) -> None:
        if isinstance(error, DeliveryError):
            rejected.extend(event.id for event in events)

    w = closed_account(
        known=knows,
        batch_size=batch_size,
        max_queue_size=200,
        on_error=told,
        on_delivered=lambda events: delivered.extend(event.id for event in events),
    )
    w.names = names
    for step in life:
        if step.what == "track":
            w.put(step.account, step.count)
        elif step.what == "flush":
            w.world.pipeline.flush(step.count / 10)
        else:
            (w.closed.add if step.what == "close" else w.closed.discard)(step.account)
        stats = w.stats
        assert stats.accepted == len(w.accounts) == stats.delivered + stats.rejected + stats.pending
        assert stats.pending == len(set(w.world.pipeline.buffer.events()))
        assert 0 <= stats.in_lane <= stats.pending
    w.closed.clear()
    w.put("d", 5)
    w.world.pipeline.flush(600)
    if w.stats.state == "parked":
        w.world.until_probe()
        w.world.pipeline.flush(600)

    assert w.stats.pending == 0
    assert sorted(rejected + delivered) == sorted(w.accounts)
    assert set(rejected) <= w.refused
    assert set(delivered) == set(w.world.server.metered)


def test_an_event_for_which_the_lane_has_no_room_is_refused_with_the_cause_and_without_a_wait() -> None:
    told: list[str] = []
    w = closed_account(max_queue_size=40, on_error=lambda error, _: told.append(str(error)))
    intake = Intake(Config.load({}, api_key="key", overflow="block", block_timeout=30), w.world.pipeline)
    w.put("closed", 10)
    now, told[:] = w.world.clock.now, []

    refused = intake.track("call", "closed", {"n": 1}, {}, None, None, None)

    assert (refused, w.world.clock.now, w.stats.refused["full"]) == (None, now, 1)
    assert "Togai rejects every event that has the account and schema of event" in told[0]
    assert "too many like it wait; the event is not accepted" in told[0]


def test_where_overflow_raises_it_raises_the_cause_too() -> None:
    w = closed_account(max_queue_size=40)
    intake = Intake(Config.load({}, api_key="key", overflow="raise"), w.world.pipeline)
    w.put("closed", 10)

    with pytest.raises(QueueFull, match="and too many like it wait"):
        intake.track("call", "closed", {"n": 1}, {}, None, None, None)
    assert intake.track("call", "open", {"n": 1}, {}, None, None, None)


def test_an_event_of_a_cause_that_is_refused_since_all_is_full_is_told_that() -> None:
    w = closed_account(max_queue_size=40)
    intake = Intake(Config.load({}, api_key="key", overflow="raise"), w.world.pipeline)
    w.put("open", 40)

    with pytest.raises(QueueFull, match="the buffer is full, 40 events wait"):
        intake.track("call", "closed", {"n": 1}, {}, None, None, None)


def test_what_waits_in_the_lane_is_cut_as_long_as_requests_may_be_by_now() -> None:
    w = closed_account(batch_size=20)
    w.put("closed", 60)
    w.world.pipeline.flush(PACE)
    w.closed.clear()
    w.world.server.answer = lambda sent: Reply(413, b"{}") if sent.size > 1500 else w.answer(sent)
    w.put("open", 40)

    w.world.pipeline.flush(60)

    assert w.stats.pending == 0
    assert w.stats.rejected == len(w.refused)


def test_parts_of_batches_that_were_refused_go_into_the_lane_as_soon_as_their_cause_is_known() -> None:
    w = closed_account(known=False)
    w.put("open", 400)
    w.world.pipeline.flush(60)
    w.put("closed", 40)

    w.world.pipeline.flush(2)

    assert w.world.pipeline.buffer.causes.known
    assert w.stats.in_lane > 0
    assert w.stats.in_lane == w.stats.pending


def test_a_cause_is_told_while_events_wait_for_it_or_were_rejected_within_a_minute() -> None:
    w = closed_account()
    w.world.clock.now += 70
    assert w.stats.last_error is None

    w.put("closed", 5)
    w.world.pipeline.flush(PACE)
    w.world.clock.now += 70
    assert "Togai rejects every event" in w.stats.last_error


def test_a_long_line_of_such_events_is_looked_through_a_few_batches_at_a_time() -> None:
    w = closed_account(batch_size=1)
    w.put("closed", 30)
    (good,) = w.put("open", 1)

    w.world.pipeline.flush(PACE)

    assert good in w.taken_at
    assert w.stats.in_lane == w.stats.pending >= 28


def test_who_tracks_in_the_middle_as_good_events_are_put_together_loses_none_of_them() -> None:
    w = closed_account()
    left = 0

    class Interrupting(bytes):
        def __len__(self) -> int:
            nonlocal left
            if left:
                left -= 1
                w.put("open")
            return super().__len__()

    good = w.put("open", 5)
    w.put("closed", 5)
    w.accounts["last"] = "open"
    last = encode("call", "open", {"n": 1}, {}, "2026-01-01T00:00:00.000Z", "last")
    assert w.world.pipeline.put(Interrupting(last)) is None
    left = 5

    w.world.pipeline.flush(60)
    w.world.pipeline.flush(60)

    assert not left
    assert w.taken_at.keys() >= {*good, "last"}
    assert w.stats.pending == 0


@pytest.mark.parametrize("before", [0, 5])
def test_ctrl_c_in_the_middle_as_good_events_are_put_together_loses_none_of_them(before: int) -> None:
    w = closed_account()
    raises = False

    class Interrupting(bytes):
        def __len__(self) -> int:
            nonlocal raises
            if raises:
                raises = False
                raise KeyboardInterrupt
            return super().__len__()

    good = w.put("open", before)
    w.put("closed", before)
    w.accounts["last"] = "open"
    last = encode("call", "open", {"n": 1}, {}, "2026-01-01T00:00:00.000Z", "last")
    assert w.world.pipeline.put(Interrupting(last)) is None
    raises = True

    with pytest.raises(KeyboardInterrupt):
        w.world.pipeline.flush(60)
    w.world.pipeline.flush(60)

    assert w.taken_at.keys() >= {*good, "last"}
    assert w.stats.pending == 0
