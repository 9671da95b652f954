"""What goes into the lane, and how much room there is for it."""

from __future__ import annotations

from typing import Any

import pytest
from virtual import World, world

from togai_shipper._engine.batching import Batch
from togai_shipper._event import encode, fresh_id, traits_of


def event(account: str) -> bytes:
    """An event that shares nothing with those of other accounts."""
    return encode(account, account, {account: 1}, {}, "2026-01-01T00:00:00.000Z", fresh_id())


def knowing(*accounts: str, **options: Any) -> World:
    """A world in which everything of these accounts was rejected lately; its lane holds ten events."""
    w = world(**{"max_queue_size": 40, **options})
    causes = w.pipeline.buffer.causes
    causes.note_accepted(10_000, set(), w.clock.now)
    for account in accounts:
        while causes.of(event(account)) is None:
            causes.note_rejected(event(account), w.clock.now)
    return w


def end(w: World, account: str) -> None:
    """Togai takes an event of that account."""
    assert w.pipeline.buffer.causes.note_accepted(1, set(traits_of(event(account))), w.clock.now)


def test_what_is_on_its_way_into_the_lane_takes_room_there_until_its_cause_is_over() -> None:
    w = knowing("closed", "other")
    room = w.pipeline.buffer.lane_entry.room
    for account in ["closed"] * 7 + ["other"]:
        assert w.pipeline.put(event(account)) is None

    assert room(40) == 2
    end(w, "closed")
    assert room(40) == 9
    end(w, "other")
    assert room(40) == 40


@pytest.mark.parametrize("count", [3, 12])
def test_what_a_store_hands_in_takes_as_much_room_before_it_is_in_the_lane_as_there(count: int) -> None:
    w = knowing("closed")
    buffer, events = w.pipeline.buffer, [event("closed") for _ in range(count)]
    with w.pipeline.lock:
        over = buffer.lane_entry.over([event("good"), *events])
        assert len(over) == max(0, count - 10)
        into = [each for each in events if id(each) not in over]
        buffer.add_from_store([event("good"), *into], w.clock.now)
        assert buffer.lane_entry.room(40) == 10 - len(into)
        buffer.begin_flush(buffer.position)
        work = buffer.take()

    assert isinstance(work, Batch)
    assert len(work) == 1
    assert buffer.lane.count == len(into)
    assert buffer.lane_entry.room(40) == 10 - len(into)


def test_an_event_that_goes_out_with_others_takes_no_room_any_more() -> None:
    w = knowing("closed")
    for _ in range(5):
        w.pipeline.put(event("closed"))
    end(w, "closed")
    w.pipeline.flush(5)
    with w.pipeline.lock:
        while w.pipeline.buffer.causes.of(event("closed")) is None:
            w.pipeline.buffer.causes.note_rejected(event("closed"), w.clock.now)

    assert w.pipeline.buffer.lane_entry.room(40) == 10
