"""What becomes of a batch by a verdict: one place for every event, and the table's rules one by one."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches

from togai_shipper import EventDropped, EventRejected, PayloadTooLarge
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.dedupe_window import DEDUPE_WINDOW
from togai_shipper._engine.settlement import (
    LET_OTHERS_GO,
    MAX_REFUSALS,
    MAX_SERVER_ERRORS,
    NEVER,
    SET_ASIDE,
    Circumstances,
    Settlement,
    is_past_window,
    left_at_close,
    past_window,
    settle,
)
from togai_shipper._engine.verdict import (
    Accepted,
    Complaint,
    Park,
    Partly,
    Refused,
    Reply,
    TryLater,
    Verdict,
    judge,
)
from togai_shipper._event import ChosenId, encode, id_of
from togai_shipper._outcome import Delivered, Dropped, Rejected

OPEN = Circumstances(now=1000.0, accepted=7, split=42)
PARKED = attrs.evolve(OPEN, parked=True)
CLOSING = attrs.evolve(OPEN, closing=True)

NO = Complaint("no", duplicate=False)
TWICE = Complaint("duplicate event id", duplicate=True)
REFUSED = Refused(400, "no", duplicate=False, too_large=False)
DUPLICATE = Refused(409, "duplicate event id", duplicate=True, too_large=False)
TOO_LARGE = Refused(413, "too large", duplicate=False, too_large=True)
NO_REPLY = TryLater(None, "reset")
NEVER_SENT = TryLater(None, "refused", maybe_read=False)
SERVER_ERROR = TryLater(500, "oops")
ON_KEY = Park(401, "who?", on_key=True)
ON_LINE = Park(403, "forbidden", on_key=False)


def body(event_id: str, kind: type[bytes] = bytes) -> bytes:
    return kind(encode("api_call", "acme", {}, None, "2026-01-31T23:59:59.999Z", event_id))


def batch(count: int = 4, kind: type[bytes] = bytes, **facts: Any) -> Batch:
    return Batch(
        [body(str(n), kind) for n in range(count)], **{"position": 10, "since": 900.0, "attempts": 1, **facts}
    )


def single(**facts: Any) -> Batch:
    return batch(1, single=True, **facts)


def ids(parts: Sequence[Batch]) -> list[list[str]]:
    return [[id_of(event) for event in part.events] for part in parts]


def partly(**named: Complaint) -> Partly:
    return Partly({name[1:]: refusal for name, refusal in named.items()}, NO, 207)


# --- every event is in one place --------------------------------------------------------------------------

refusals = st.builds(Complaint, st.text(max_size=5), st.booleans())
named = st.dictionaries(st.integers(0, 9).map("id-{}".format), refusals, max_size=5)
statuses = st.sampled_from((None, 400, 409, 413, 422, 500, 503))
verdicts: st.SearchStrategy[Verdict] = st.one_of(
    st.builds(Accepted),
    st.builds(Partly, named, refusals, st.sampled_from((200, 202, 207))),
    st.builds(Refused, st.just(400), st.just("no"), st.booleans(), st.booleans()),
    st.builds(
        TryLater, statuses, st.just("later"), st.none() | st.floats(0, 300), st.booleans(), st.booleans()
    ),
    st.builds(Park, st.sampled_from((None, 401, 403)), st.just("parked"), st.booleans()),
)
circumstances = st.builds(
    Circumstances, st.floats(0, 1e6), st.booleans(), st.booleans(), st.integers(0, 9), st.integers(1, 9)
)


@given(batches(), verdicts, circumstances)
def test_every_event_has_an_outcome_or_goes_on_and_only_once(
    sent: Batch, verdict: Verdict, at: Circumstances
) -> None:
    settlement = settle(sent, verdict, at)

    ended = [event for outcome in settlement.outcomes for event in outcome.events]
    goes_on = [event for part in (*settlement.again, *settlement.last) for event in part.events]
    assert sorted([*ended, *goes_on]) == sorted(sent.events)
    assert {id(event) for event in [*ended, *goes_on]} == {id(event) for event in sent.events}, (
        "the same bytes"
    )
    assert all(outcome.events for outcome in settlement.outcomes)


@given(batches(), verdicts, circumstances)
def test_what_goes_on_keeps_its_place_and_its_history(
    sent: Batch, verdict: Verdict, at: Circumstances
) -> None:
    settlement = settle(sent, verdict, at)

    for part in (*settlement.again, *settlement.last):
        offset = next(n for n, event in enumerate(sent.events) if event is part.events[0])
        assert part.position == sent.position + offset
        assert list(part.events) == list(sent.events[offset : offset + len(part)])
        assert (part.since, part.attempts) == (sent.since, sent.attempts)
        assert part.maybe_read >= sent.maybe_read
        assert not part.probe
        assert part.single <= (len(part) == 1)


@given(batches(), verdicts, circumstances)
def test_what_was_perhaps_read_is_never_rejected_as_if_it_was_not(
    sent: Batch, verdict: Verdict, at: Circumstances
) -> None:
    for outcome in settle(sent, verdict, at).outcomes:
        if isinstance(outcome, Rejected):
            assert outcome.error.maybe_delivered == sent.maybe_read
            assert outcome.error.attempts == sent.attempts


# --- taken ------------------------------------------------------------------------------------------------


# --- no batch goes round for ever --------------------------------------------------------------------------

strange_ids = st.none() | st.integers() | st.booleans() | st.just([]) | st.just({}) | st.text(max_size=9)


def payloads(known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What a server may hold against events: of ours, of others, of nobody, and what is no such thing."""
    event_ids = known | strange_ids
    events = st.fixed_dictionaries({}, optional={"id": event_ids, "x": strange_ids}) | strange_ids
    messages = st.sampled_from(("no", "duplicate event id", "")) | strange_ids
    return st.fixed_dictionaries({}, optional={"message": messages, "eventPayload": events}) | strange_ids


def answers(known: st.SearchStrategy[Any]) -> st.SearchStrategy[Reply]:
    """Whatever may be answered by somebody who is there."""
    lists = st.lists(payloads(known), max_size=4) | payloads(known)
    objects = st.fixed_dictionaries(
        {},
        optional={
            "success": strange_ids,
            "errors": lists,
            "details": lists | st.dictionaries(st.text(max_size=3), lists, max_size=2),
            "message": st.just("duplicate event id") | strange_ids,
            "eventPayload": payloads(known),
        },
    )
    replied = st.sampled_from((200, 202, 207, 400, 401, 403, 404, 409, 413, 422)) | st.integers(100, 499)
    bodies = (objects | strange_ids).map(lambda answer: json.dumps(answer).encode()) | st.binary(max_size=9)
    return st.builds(Reply, replied, bodies)


def verdict_of_the_next(replies: deque[Reply], sent: Batch) -> Verdict:
    """The verdict on the first reply that is no outage; they come again and again, in their order."""
    event_id = id_of(sent.events[0]) if len(sent) == 1 else None
    for _ in range(len(replies)):
        verdict = judge(replies[0], event_id)
        replies.rotate(-1)
        if not isinstance(verdict, TryLater):
            return verdict
    return Accepted()


bodies = st.sampled_from((body("a"), body("b"), body("c", ChosenId), b'{"x":1}', b'{"id":7}', b"", b"\xff"))


@given(
    st.lists(bodies, min_size=1, max_size=9),
    st.lists(answers(st.sampled_from("abc")), max_size=8),
    st.booleans(),
)
def test_whatever_is_answered_to_it_a_batch_ends_while_others_are_accepted(
    events: list[bytes],
    replies: list[Reply],
    is_single: bool,  # noqa: FBT001  drawn
) -> None:
    single = is_single and len(events) == 1
    waiting, coming = [Batch(events, 10, 900.0, single=single)], deque(replies)
    accepted = ended = 0
    while waiting:
        sent = attrs.evolve(waiting.pop(), attempts=1)
        verdict = verdict_of_the_next(coming, sent)
        at = Circumstances(now=1000.0, accepted=accepted, parked=isinstance(verdict, Park))
        settlement = settle(sent, verdict, at)
        ended += sum(len(outcome.events) for outcome in settlement.outcomes)
        waiting += [*settlement.again, *settlement.last]
        accepted += 1
        assert accepted <= 8 * len(events)

    assert ended == len(events)


@given(batches(), verdicts, circumstances)
def test_what_goes_on_is_less_or_counted_or_there_is_an_outage(
    sent: Batch, verdict: Verdict, at: Circumstances
) -> None:
    settlement = settle(sent, verdict, at)

    for part in (*settlement.again, *settlement.last):
        is_less = len(part) < len(sent) or part.single > sent.single
        is_counted = sent.refusals < part.refusals < MAX_REFUSALS
        is_outage = (
            isinstance(verdict, TryLater)
            or at.parked
            or (isinstance(verdict, Park) and (part.refused_at == at.accepted or verdict.status is None))
        )
        assert is_less or is_counted or is_outage


def test_an_accepted_batch_is_delivered() -> None:
    sent = batch()

    assert settle(sent, Accepted(), OPEN) == Settlement([Delivered(sent.events)])


def test_of_a_batch_taken_in_part_the_named_go_singly_and_the_rest_is_delivered() -> None:
    settlement = settle(batch(), partly(_1=NO, _3=NO), OPEN)

    (delivered,) = settlement.outcomes
    assert isinstance(delivered, Delivered)
    assert ids([Batch(delivered.events, 0, 0.0)]) == [["0", "2"]]
    assert ids(settlement.again) == [["1"], ["3"]]
    assert [part.position for part in settlement.again] == [11, 13]
    assert all(part.single and part.maybe_read for part in settlement.again)


def test_where_all_are_named_none_is_delivered() -> None:
    settlement = settle(batch(2), partly(_0=NO, _1=NO), OPEN)

    assert settlement.outcomes == []
    assert ids(settlement.again) == [["0"], ["1"]]


@pytest.mark.parametrize(
    "verdict", [partly(), partly(_9=NO), partly(_1=NO, _9=TWICE)], ids=["nobody", "another", "both"]
)
def test_where_nobody_or_somebody_else_is_named_each_event_goes_singly(verdict: Partly) -> None:
    settlement = settle(batch(), verdict, OPEN)

    assert not settlement.outcomes
    assert ids(settlement.again) == [["0"], ["1"], ["2"], ["3"]]
    assert all(part.single and part.maybe_read for part in settlement.again)


def test_an_event_named_as_duplicate_is_delivered_if_it_may_have_been_sent_before() -> None:
    settlement = settle(batch(2, maybe_read=True), partly(_1=TWICE), OPEN)

    taken, again = settlement.outcomes
    assert taken == Delivered([body("0")])
    assert again == Delivered((body("1"),), duplicates=1)
    assert not settlement.again


def test_an_event_named_as_duplicate_that_was_never_sent_before_is_rejected_as_a_clash() -> None:
    _, clash = settle(batch(2), partly(_1=TWICE), OPEN).outcomes

    assert isinstance(clash, Rejected)
    assert clash.events == (body("1"),)
    assert clash.error.message == "id clash, this id was never sent before: duplicate event id"
    assert not clash.error.maybe_delivered


def test_an_event_whose_id_is_twice_in_a_batch_goes_singly_both_times() -> None:
    sent = Batch([body("7", ChosenId), body("8"), body("7", ChosenId)], 0, 0.0)

    settlement = settle(sent, partly(_7=NO), OPEN)

    assert ids(settlement.again) == [["7"], ["7"]]
    assert settlement.outcomes == [Delivered([body("8")])]


# --- a single event is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "status", "message"),
    [
        (REFUSED, 400, "no"),
        (partly(_0=Complaint("no such unit", duplicate=False)), 207, "no such unit"),
        (Partly({}, Complaint("said no", duplicate=False), 202), 202, "said no"),
    ],
    ids=["400", "named", "false"],
)
def test_a_single_event_that_is_refused_is_rejected_with_the_servers_message(
    verdict: Verdict, status: int, message: str
) -> None:
    (rejected,) = settle(single(attempts=3, maybe_read=True), verdict, OPEN).outcomes

    assert isinstance(rejected, Rejected)
    assert type(rejected.error) is EventRejected
    error = rejected.error
    assert (error.status, error.message, error.attempts, error.maybe_delivered) == (status, message, 3, True)


@pytest.mark.parametrize("verdict", [partly(), partly(_9=TWICE)], ids=["nobody", "another"])
@pytest.mark.parametrize("at", [OPEN, CLOSING], ids=["open", "closing"])
def test_a_207_that_does_not_name_a_single_event_leaves_its_outcome_unknown_and_ends_after_three(
    verdict: Partly, at: Circumstances
) -> None:
    sent = single()
    for _ in range(MAX_REFUSALS - 1):
        settlement = settle(sent, verdict, at)
        assert not settlement.outcomes
        (sent,) = settlement.last
        assert sent.single
        assert sent.maybe_read
    (rejected,) = settle(sent, verdict, at).outcomes

    assert isinstance(rejected, Rejected)
    assert rejected.error.maybe_delivered
    assert settle(sent, DUPLICATE, at).outcomes == [Delivered(sent.events, duplicates=1)]
    assert settle(sent, verdict, PARKED).last, "while the line is parked that is not believed"


@pytest.mark.parametrize("sent", [single(), batch(1)], ids=["by /ingest", "by /ingestBatch"])
def test_a_single_event_that_is_too_large_is_rejected_as_that(sent: Batch) -> None:
    (rejected,) = settle(sent, TOO_LARGE, OPEN).outcomes

    assert isinstance(rejected, Rejected)
    assert type(rejected.error) is PayloadTooLarge


@pytest.mark.parametrize(
    "verdict", [DUPLICATE, partly(_0=TWICE), Partly({}, TWICE, 207)], ids=["409", "named", "unnamed"]
)
@pytest.mark.parametrize("at", [OPEN, PARKED, CLOSING], ids=["open", "parked", "closing"])
def test_a_duplicate_is_delivered_if_it_may_have_been_read_or_the_caller_chose_its_id(
    verdict: Verdict, at: Circumstances
) -> None:
    for sent in (single(maybe_read=True), single(kind=ChosenId)):
        assert settle(sent, verdict, at) == Settlement([Delivered(sent.events, duplicates=1)])


@pytest.mark.parametrize("verdict", [DUPLICATE, partly(_0=TWICE)], ids=["409", "named"])
def test_a_duplicate_with_a_fresh_id_that_was_never_sent_is_rejected_as_a_clash(verdict: Verdict) -> None:
    (rejected,) = settle(single(), verdict, OPEN).outcomes

    assert isinstance(rejected, Rejected)
    assert rejected.error.message.startswith("id clash")


@pytest.mark.parametrize("verdict", [REFUSED, TOO_LARGE, DUPLICATE, partly(_0=TWICE)], ids=str)
@pytest.mark.parametrize("probe", [False, True], ids=["late", "probe"])
def test_while_parked_no_refusal_is_believed_and_the_event_waits_as_it_was(
    verdict: Verdict, *, probe: bool
) -> None:
    sent = single(probe=probe)

    settlement = settle(sent, verdict, PARKED)

    (waits,) = settlement.last
    assert (settlement.outcomes, settlement.again) == ((), ())
    assert waits.events == sent.events
    assert (waits.probe, waits.maybe_read) == (False, False)


def test_while_parked_a_clash_named_in_a_batch_waits_too() -> None:
    settlement = settle(batch(2), partly(_0=NO, _1=TWICE), PARKED)

    assert not settlement.outcomes
    assert ids(settlement.again) == [["0"], ["1"]]
    assert [part.maybe_read for part in settlement.again] == [True, False]


# --- a batch is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [REFUSED, DUPLICATE, TOO_LARGE], ids=["400", "409", "413"])
@pytest.mark.parametrize("at", [OPEN, PARKED, CLOSING], ids=["open", "parked", "closing"])
def test_a_batch_that_is_refused_is_halved(verdict: Refused, at: Circumstances) -> None:
    settlement = settle(batch(5), verdict, at)

    assert not settlement.outcomes
    assert ids(settlement.again) == [["0", "1"], ["2", "3", "4"]]
    assert [half.split for half in settlement.again] == [42 if verdict.too_large else 0] * 2
    assert all(half.maybe_read and not half.single for half in settlement.again)


# --- the outcome is unknown -------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [batch(), single()], ids=["batch", "single"])
@pytest.mark.parametrize(
    "verdict", [NO_REPLY, SERVER_ERROR, TryLater(429, "busy", throttled=True, maybe_read=False)], ids=str
)
def test_what_is_tried_later_goes_first_unchanged(sent: Batch, verdict: TryLater) -> None:
    settlement = settle(sent, verdict, OPEN)

    (again,) = settlement.again
    assert (settlement.outcomes, settlement.last) == ((), ())
    assert again.body() == sent.body()
    assert again.path == sent.path
    assert again.maybe_read == verdict.maybe_read


def test_what_was_perhaps_read_once_stays_so() -> None:
    (again,) = settle(batch(maybe_read=True), NEVER_SENT, OPEN).again

    assert again.maybe_read


def test_a_probe_that_gets_no_reply_makes_room_for_another_event() -> None:
    settlement = settle(single(probe=True), NO_REPLY, PARKED)

    (last,) = settlement.last
    assert not settlement.again
    assert last.single
    assert not last.probe


def test_a_batch_with_five_500s_in_a_row_is_halved() -> None:
    assert ids(settle(batch(server_errors=MAX_SERVER_ERRORS - 1), SERVER_ERROR, OPEN).again) == [
        ["0", "1", "2", "3"]
    ]

    settlement = settle(batch(server_errors=MAX_SERVER_ERRORS), SERVER_ERROR, OPEN)

    assert MAX_SERVER_ERRORS == 5
    assert ids(settlement.again) == [["0", "1"], ["2", "3"]]
    assert [(half.server_errors, half.split) for half in settlement.again] == [(0, 0)] * 2


@pytest.mark.parametrize(
    "sent",
    [single(server_errors=5), batch(1, server_errors=5), single(server_errors=6, not_before=990.0)],
    ids=["single", "batch of one", "once more"],
)
def test_a_single_event_with_five_500s_is_set_aside_for_a_minute_at_a_time(sent: Batch) -> None:
    settlement = settle(sent, SERVER_ERROR, OPEN)

    (aside,) = settlement.last
    assert not settlement.again
    assert aside.single
    assert aside.not_before == OPEN.now + SET_ASIDE == 1060.0
    assert aside.server_errors >= MAX_SERVER_ERRORS, "one more 500 sets it aside again"


@pytest.mark.parametrize("verdict", [NO_REPLY, REFUSED, ON_KEY, ON_LINE, partly()], ids=str)
def test_what_was_set_aside_is_not_so_any_more_once_something_else_was_said(verdict: Verdict) -> None:
    settlement = settle(single(not_before=990.0), verdict, PARKED)

    (part,) = (*settlement.again, *settlement.last)
    assert part.not_before == 0.0


@pytest.mark.parametrize("sent", [batch(), single()], ids=["batch", "straggler"])
def test_while_closing_what_finds_nobody_goes_on_as_before(sent: Batch) -> None:
    (again,) = settle(sent, NO_REPLY, CLOSING).again

    assert again.body() == sent.body()
    assert again.maybe_read


@pytest.mark.parametrize("sent", [batch(), single()], ids=["batch", "straggler"])
@pytest.mark.parametrize(("left", "in_seconds"), [(10.0, LET_OTHERS_GO), (0.2, 0.05)])
def test_while_closing_what_the_server_chokes_on_lets_others_go(
    sent: Batch, left: float, in_seconds: float
) -> None:
    settlement = settle(sent, SERVER_ERROR, attrs.evolve(CLOSING, left=left))

    (last,) = settlement.last
    assert (settlement.outcomes, settlement.again) == ((), ())
    assert (last.body(), last.not_before) == (sent.body(), CLOSING.now + in_seconds)


CHOKED = {"server_errors": MAX_SERVER_ERRORS, "refused_at": CLOSING.accepted}


@pytest.mark.parametrize(
    ("others_taken", "may_divide", "parts"),
    [
        (True, True, [["0", "1"], ["2", "3"]]),
        (True, False, [["0", "1"], ["2", "3"]]),
        (False, True, [["0", "1"], ["2", "3"]]),
        (False, False, [["0", "1", "2", "3"]]),
    ],
)
def test_while_closing_a_batch_is_divided_where_it_is_the_cause_or_there_is_room_for_more_requests(
    *, others_taken: bool, may_divide: bool, parts: list[list[str]]
) -> None:
    at = attrs.evolve(CLOSING, accepted=CLOSING.accepted + others_taken, may_divide=may_divide)

    assert ids(settle(batch(**CHOKED), SERVER_ERROR, at).last) == parts


def test_while_closing_a_straggler_is_tried_no_more_where_others_were_taken_since_it_first_failed() -> None:
    (last,) = settle(single(**CHOKED), SERVER_ERROR, CLOSING).last
    assert last.not_before == CLOSING.now + LET_OTHERS_GO
    (last,) = settle(
        single(**CHOKED), SERVER_ERROR, attrs.evolve(CLOSING, accepted=CLOSING.accepted + 1)
    ).last
    assert last.not_before == NEVER


def test_while_closing_a_probe_that_fails_is_none_any_more() -> None:
    settlement = settle(single(probe=True), NO_REPLY, CLOSING)

    (last,) = settlement.last
    assert (settlement.outcomes, settlement.again) == ((), ())
    assert (last.single, last.probe, last.maybe_read) == (True, False, True)


# --- parked -----------------------------------------------------------------------------------------------


def test_a_batch_that_parked_on_the_key_goes_first_undivided_once_that_is_mended() -> None:
    sent = batch()

    settlement = settle(sent, ON_KEY, PARKED)

    (again,) = settlement.again
    assert again.body() == sent.body()
    assert not again.maybe_read, "a key that is refused opens nothing"


def test_a_batch_that_alone_is_refused_for_its_key_is_divided_and_an_event_rejected_in_the_end() -> None:
    sent = batch(2)
    (sent,) = settle(sent, ON_KEY, attrs.evolve(PARKED, accepted=7)).again
    (sent,) = settle(sent, ON_KEY, attrs.evolve(PARKED, accepted=7)).again
    assert len(sent) == 2, "nothing was accepted since: it is the key"

    sent, _ = settle(sent, ON_KEY, attrs.evolve(PARKED, accepted=8)).again
    for accepted in (9, 10):
        (sent,) = settle(sent, ON_KEY, attrs.evolve(PARKED, accepted=accepted)).last
    (rejected,) = settle(sent, ON_KEY, attrs.evolve(PARKED, accepted=11)).outcomes

    assert isinstance(rejected, Rejected)
    assert (rejected.error.status, rejected.events) == (401, (body("0"),))


def test_a_key_that_cannot_be_had_is_no_word_on_a_batch() -> None:
    sent = batch(2)
    for accepted in range(7, 17):
        (sent,) = settle(
            sent, Park(None, "no key", on_key=True), attrs.evolve(PARKED, accepted=accepted)
        ).again

    assert (len(sent), sent.refusals) == (2, 0)


def test_a_probe_refused_for_its_key_makes_room_for_another_event() -> None:
    settlement = settle(single(probe=True), ON_KEY, PARKED)

    assert not settlement.again
    assert ids(settlement.last) == [["0"]]


def test_a_batch_that_parked_the_line_goes_on_divided_since_it_may_be_the_cause() -> None:
    settlement = settle(batch(), ON_LINE, PARKED)

    assert not settlement.outcomes
    assert ids(settlement.again) == [["0", "1"], ["2", "3"]]
    assert not any(half.maybe_read for half in settlement.again)


def test_a_single_event_that_parks_the_line_three_times_with_acceptances_between_is_rejected() -> None:
    sent = single()
    for accepted in (7, 8):
        (sent,) = settle(sent, ON_LINE, attrs.evolve(PARKED, accepted=accepted)).last

    (rejected,) = settle(sent, ON_LINE, attrs.evolve(PARKED, accepted=9)).outcomes

    assert MAX_REFUSALS == 3
    assert isinstance(rejected, Rejected)
    assert (rejected.error.status, rejected.error.message) == (403, "forbidden")


def test_a_single_event_that_parks_the_line_is_kept_while_nothing_is_accepted_between() -> None:
    sent = single()
    for _ in range(10):
        (sent,) = settle(sent, ON_LINE, attrs.evolve(PARKED, accepted=0)).last
        assert sent.refusals == 1

    assert settle(batch(1), ON_LINE, PARKED).last[0].single, "and so is a batch of one"


# --- given up ---------------------------------------------------------------------------------------------


def test_what_may_be_there_is_not_sent_again_after_40_days() -> None:
    old = batch(maybe_read=True, since=1000.0)
    late = 1000.0 + DEDUPE_WINDOW + 1

    assert DEDUPE_WINDOW == 40 * 24 * 3600
    assert is_past_window(old, late)
    assert not is_past_window(old, 1000.0 + DEDUPE_WINDOW)
    assert not is_past_window(attrs.evolve(old, maybe_read=False), late), (
        "never sent: nothing can be billed twice"
    )


def test_what_is_past_the_window_is_dropped_with_that_reason() -> None:
    sent = batch(maybe_read=True, attempts=9)

    (dropped,) = past_window(sent).outcomes

    assert isinstance(dropped, Dropped)
    assert (dropped.events, dropped.reason) == (sent.events, "past dedupe window")
    assert isinstance(dropped.error, EventDropped)
    assert (str(dropped.error), dropped.error.attempts) == ("past dedupe window", 9)
    assert dropped.error.maybe_delivered


def test_what_close_leaves_is_dropped_and_what_may_be_there_told_apart() -> None:
    fresh = [batch(2, attempts=0), single(attempts=2)]
    doubtful = [batch(1, maybe_read=True, attempts=1), batch(2, maybe_read=True, attempts=7)]

    never_sent, maybe_there = left_at_close([fresh[0], *doubtful, fresh[1]])

    assert never_sent.events == [*fresh[0].events, *fresh[1].events]
    assert maybe_there.events == [*doubtful[0].events, *doubtful[1].events]
    assert [dropped.reason for dropped in (never_sent, maybe_there)] == ["closed", "closed"]
    assert [dropped.error.maybe_delivered for dropped in (never_sent, maybe_there)] == [False, True]
    assert [dropped.error.attempts for dropped in (never_sent, maybe_there)] == [2, 7]


@given(st.lists(batches(), max_size=5))
def test_what_close_leaves_has_one_outcome_each(left: list[Batch]) -> None:
    dropped = left_at_close(left)

    assert sorted(id(event) for outcome in dropped for event in outcome.events) == sorted(
        id(event) for part in left for event in part.events
    )
    assert all(outcome.events for outcome in dropped)
