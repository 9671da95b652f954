"""``relay.watch``: whether anybody drains, told neither too early nor by what was not seen."""

from __future__ import annotations

from togai_shipper.relay.answers import Standing
from togai_shipper.relay.watch import Watch


def test_a_relay_that_was_empty_for_long_is_not_stalled_once_it_has_events() -> None:
    watch = Watch()
    watch.note(Standing(epoch="e", events=3, out=5), 100, added=3)
    watch.note(Standing(epoch="e", events=0, out=8), 160)
    watch.note(Standing(epoch="e", events=3, out=8), 9000, added=3)
    assert watch.stalled_for() == 0

    watch.note(Standing(epoch="e", events=7, out=8), 9600, added=4)
    assert watch.is_stalled
    watch.note(Standing(epoch="another", events=7, out=8), 9700)
    assert not watch.is_stalled, "another relay is looked at anew"


def test_events_of_others_that_came_after_the_last_look_are_no_stall() -> None:
    watch = Watch()
    watch.note(Standing(epoch="e", events=0, out=8), 100)
    watch.note(Standing(epoch="e", events=50, out=8), 9000, added=3)

    assert not watch.is_stalled
    watch.note(Standing(epoch="e", events=53, out=8), 9599, added=3)
    assert not watch.is_stalled
    watch.note(Standing(epoch="e", events=56, out=8), 9600, added=3)
    assert watch.is_stalled


def test_what_was_empty_right_before_ours_came_is_drained() -> None:
    watch = Watch()
    for at in range(0, 6000, 300):
        watch.note(Standing(epoch="e", events=3, out=8), at, added=3)

    assert not watch.is_stalled, "each time only our own were there: who counts out is behind"
