"""What a producer notes of itself in its relay, and when: in virtual time, beside a fake one."""

from __future__ import annotations

from typing import Any

import attrs
from producing import FakeRelay, relayed
from virtual import World

from togai_shipper._engine.self_report import SelfReport
from togai_shipper._secret import Secret
from togai_shipper.relay.errors import Forbidden, Full, Unreachable
from togai_shipper.relay.notes import BEGINS, PACE

DOWN = Unreachable("no relay: down", may_be_done=False)


def hand_over(w: World, *, after: float = 0.0, count: int = 1) -> None:
    w.clock.now += after
    w.put(count)
    w.pipeline.flush(10)


def said(relay: FakeRelay) -> SelfReport:
    """What was noted last."""
    report = SelfReport.of_text(relay.notes[-1].text)
    assert report is not None
    return report


def test_a_job_that_lives_for_seconds_notes_nothing() -> None:
    w, relay = relayed()
    hand_over(w)
    hand_over(w, after=BEGINS / 2)
    w.pipeline.close(5)

    assert relay.notes == []


def test_a_note_goes_along_with_a_hand_over_and_counts_that_as_done() -> None:
    w, relay = relayed()
    hand_over(w)
    hand_over(w, after=BEGINS, count=3)

    (note,) = relay.notes
    report = said(relay)
    assert (report.accepted, report.relayed, report.pending, report.oldest_ms) == (4, 1, 0, None)
    assert report.trouble == ""
    assert note.who.count("/") == 2
    assert set(relay.calls) == {"check", "add"}, "nothing is asked for the sake of it"


def test_at_most_one_in_ten_seconds_is_noted() -> None:
    w, relay = relayed()
    hand_over(w, after=BEGINS)
    for _ in range(100):
        hand_over(w, after=PACE.every / 10)

    assert 10 <= len(relay.notes) <= 11


def test_a_look_of_an_idle_producer_takes_a_note_along_if_one_is_due() -> None:
    w, relay = relayed()
    hand_over(w, after=BEGINS)
    w.clock.now += PACE.every
    keeper(w).work()

    assert relay.calls[-1] == "look"
    assert said(relay).relayed == 1


def test_events_that_do_not_leave_are_pending_in_the_next_note() -> None:
    full = Full("the relay has 5 bytes, and max_relay_bytes is 5")
    w, relay = relayed(errors=[full] * 20)
    w.put(3)
    w.clock.now += BEGINS
    w.pipeline.flush(PACE.every / 2)

    assert relay.notes == [], "the fake one takes none where it fails"
    w.clock.now += PACE.every
    relay.errors = [None]
    w.pipeline.flush(1)

    report = said(relay)
    assert (report.pending, report.why) == (3, "the relay has 5 bytes, and max_relay_bytes is 5")
    hand_over(w, after=PACE.every)
    assert (said(relay).pending, said(relay).why) == (0, "")


def test_what_redis_did_not_take_is_noted_again() -> None:
    w, relay = relayed()
    relay.takes_notes = False
    hand_over(w, after=BEGINS)
    relay.takes_notes = True
    hand_over(w, after=1)
    assert relay.notes == []
    hand_over(w, after=PACE.every)

    assert said(relay).relayed == 2


def test_a_producer_that_does_not_reach_redis_asks_nothing_more_for_its_notes() -> None:
    w, relay = relayed(errors=[DOWN] * 50)
    w.put(1)
    w.clock.now += BEGINS
    w.pipeline.flush(5)

    assert set(relay.calls) == {"check", "add"}
    assert relay.notes == []


def test_an_ordered_end_takes_the_note_back() -> None:
    w, relay = relayed(relay_hold=0)
    hand_over(w, after=BEGINS)
    w.clock.now += 100

    w.pipeline.close(5)

    assert [bool(note.text) for note in relay.notes] == [True, False]
    assert relay.notes[0].who == relay.notes[1].who


def test_the_end_of_a_producer_that_is_refused_costs_one_question_and_no_line(caplog: Any) -> None:
    w, relay = relayed(relay_hold=0)
    hand_over(w, after=BEGINS)
    relay.errors = [Forbidden("no")]

    w.pipeline.close(5)

    assert relay.calls[-1] == "look"
    assert not [line for line in caplog.messages if "does not answer" in line]


def test_a_report_says_where_events_are_handed_over_and_no_password() -> None:
    w, _ = relayed()
    other, _ = relayed()
    other.pipeline.destination.config = attrs.evolve(w.pipeline.destination.config, relay=Secret(print))  # type: ignore[attr-defined]  a relay's

    assert w.pipeline.health.self_report(0).relay == "redis://…@127.0.0.1:1"
    assert other.pipeline.health.self_report(0).relay == "of the application's own function"


def keeper(w: World) -> Any:
    return w.pipeline.destination.keeper  # type: ignore[attr-defined]  a relay's
