"""Why events are rejected: what is learnt of single facts."""

from __future__ import annotations

from typing import Any

import pytest

from togai_shipper._engine.batching import Batch, singles
from togai_shipper._engine.causes import (
    LATELY,
    MOST_KNOWN,
    MOST_SUSPECTS,
    SOON,
    Causes,
    accepted_of,
    rejected_of,
)
from togai_shipper._engine.effort import Effort
from togai_shipper._engine.settlement import Settlement
from togai_shipper._engine.verdict import Accepted, Complaint, Partly, Refused, TryLater
from togai_shipper._event import encode, id_of, traits_of
from togai_shipper._outcome import Rejected
from togai_shipper.exceptions import EventRejected


def event(
    account: str = "acme", schema: str = "call", names: tuple[str, ...] = ("region",), event_id: str = "1"
) -> bytes:
    return encode(
        schema, account, {"count": 1}, dict.fromkeys(names, "x"), "2026-01-01T00:00:00.000Z", event_id
    )


def learnt(*rejected: bytes, accepted: Any = (), causes: Causes | None = None, now: float = 0.0) -> Causes:
    """What is known once all these were rejected, and those accepted, beside ten thousand others."""
    causes = causes or Causes()
    causes.note_accepted(10_000, set(), now)
    for each in rejected:
        causes.note_accepted(len(accepted), causes.traits_of_all(accepted), now)
        causes.note_rejected(each, now)
    return causes


def test_three_rejections_and_nothing_accepted_make_a_cause_where_hardly_any_event_is_rejected() -> None:
    bad = [event(event_id=str(n)) for n in range(3)]
    causes = learnt(*bad[:2])
    assert causes.of(bad[0]) is None

    cause = causes.note_rejected(bad[2], 1.0)

    assert cause is not None
    assert cause.example == id_of(bad[2])
    assert causes.of(event(event_id="9")) == cause.trait == traits_of(bad[0])[0]
    assert causes.of(event("other")) is None


@pytest.mark.parametrize(
    ("rejected", "accepted", "kind"),
    [
        ([event()], [event("other"), event(schema="read")], "account and schema"),
        ([event(schema=f"s{n}") for n in range(9)], [event("other", schema="s1")], "account"),
        ([event(f"a{n}", names=(f"n{n}",)) for n in range(9)], [event("a1", schema="read")], "schema"),
        ([event(f"a{n}") for n in range(9)], [event("a1", names=()), event("a2", names=())], "shape"),
    ],
)
def test_the_narrowest_trait_of_which_nothing_was_accepted_is_the_cause(
    rejected: list[bytes], accepted: list[bytes], kind: str
) -> None:
    causes = learnt(*(rejected * 9)[:9], accepted=accepted)

    assert [trait[0] for trait in causes.known] == [kind]


def test_the_more_events_are_rejected_the_more_rejections_it_takes() -> None:
    causes = Causes()
    causes.note_accepted(100, set(), 0.0)
    others = [causes.note_rejected(event(f"a{n}", f"s{n}", (f"n{n}",)), 0.0) for n in range(100)]
    found = [causes.note_rejected(event(), 0.0) for _ in range(40)]

    assert set(others) == {None}
    assert 30 < next(at for at, cause in enumerate(found) if cause) < 40


def test_where_everything_is_rejected_there_is_no_cause() -> None:
    causes = Causes()

    assert [causes.note_rejected(event(), 0.0) for _ in range(500)] == [None] * 500


def test_an_acceptance_between_rejections_clears_a_suspect() -> None:
    causes = learnt(event(), event(), accepted=[event()])

    causes.note_accepted(1, causes.traits_of_all([event()]), 0.0)
    causes.note_rejected(event(), 0.0)

    assert not causes.known


def test_one_acceptance_ends_a_cause_which_takes_twice_as_many_rejections_if_it_comes_soon() -> None:
    causes = learnt(*[event()] * 3)
    (cause,) = causes.known.values()

    over = causes.note_accepted(1, causes.traits_of_all([event(event_id="7")]), SOON - 1)
    learnt(*[event()] * 5, causes=causes)

    assert over == [cause]
    assert not causes.known
    assert learnt(event(), causes=causes).known


def test_a_cause_that_was_right_for_a_while_is_learnt_again_as_fast() -> None:
    causes = learnt(*[event()] * 3)
    causes.note_accepted(1, causes.traits_of_all([event()]), SOON + 1)

    assert learnt(*[event()] * 3, causes=causes).known


def test_a_cause_that_nothing_confirms_for_ten_minutes_is_over() -> None:
    causes = learnt(*[event()] * 3)
    causes.note_rejected(event(), 100.0)

    causes.forget_old(LATELY + 99)
    assert causes.known
    causes.forget_old(LATELY + 101)
    assert not causes.known


def test_what_is_remembered_is_bounded() -> None:
    causes = learnt()
    causes.note_accepted(10_000_000, set(), 0.0)
    for _ in range(2):
        causes.note_rejected(event("first"), 0.0)
    for n in range(MOST_SUSPECTS):
        causes.note_rejected(event(f"a{n}", f"s{n}", (f"n{n}",)), 0.0)
    assert causes.note_rejected(event("first"), 0.0) is None
    for n in range(2 * MOST_KNOWN):
        learnt(*[event(f"a{n}", f"s{n}", (f"n{n}",))] * 4, causes=causes)

    assert len(causes.known) == MOST_KNOWN


def test_nobody_is_curious_before_anything_is_rejected() -> None:
    assert not Causes().is_curious
    assert learnt(event()).is_curious


def test_what_finding_culprits_costs_is_told_where_it_is_most_of_the_requests() -> None:
    effort = Effort()
    for n in range(200):
        effort.note(n * 0.1, is_search=n % 4 != 0)

    assert effort.share(20.0) == 0.75
    assert effort.share(70.0) == 0.75
    assert effort.share(200.0) == 0.0


def test_a_few_requests_more_or_less_are_not_told() -> None:
    effort = Effort()
    for n in range(50):
        effort.note(n * 0.1, is_search=True)

    assert effort.share(5.0) == 0.0


ONE, OTHER = event(event_id="1"), event(event_id="2")
BOTH = Batch([ONE, OTHER], 0, 0.0)
ALONE = singles(BOTH)[0]
NO = Complaint("no", duplicate=False)
KNOWN = Complaint("known", duplicate=True)
REJECTED = Settlement([Rejected([ONE], EventRejected(400, "no", 1))])


@pytest.mark.parametrize(
    ("batch", "verdict", "accepted", "rejected"),
    [
        (BOTH, Accepted(), [ONE, OTHER], []),
        (BOTH, Accepted(relayed=True), [], []),
        (BOTH, Partly({"1": NO}, NO, 207), [OTHER], [ONE]),
        (BOTH, Partly({"1": KNOWN}, KNOWN, 207), [OTHER], []),
        (BOTH, Partly({"3": NO}, NO, 207), [], []),
        (BOTH, Partly({}, NO, 207), [], []),
        (BOTH, Refused(400, "no", duplicate=False, too_large=False), [], []),
        (ALONE, Refused(400, "no", duplicate=False, too_large=False), [], [ONE]),
        (ALONE, Refused(400, "no", duplicate=True, too_large=False), [], []),
        (ALONE, Refused(413, "no", duplicate=False, too_large=True), [], []),
        (ALONE, Partly({"1": NO}, NO, 207), [], [ONE]),
        (ALONE, Partly({"1": KNOWN}, KNOWN, 207), [], []),
        (ALONE, TryLater(500, "no"), [], []),
    ],
)
def test_a_reply_says_of_single_events_whether_togai_takes_them(
    batch: Batch, verdict: Any, accepted: list[bytes], rejected: list[bytes]
) -> None:
    settlement = REJECTED if batch is ALONE else Settlement()

    assert list(accepted_of(batch, verdict)) == accepted
    assert list(rejected_of(batch, verdict, settlement)) == rejected
