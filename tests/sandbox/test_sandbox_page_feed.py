"""What a viewer of the page is shown, and what is left out."""

from __future__ import annotations

import attrs
from bare_client import event

from togai_shipper.sandbox.event_outcome import BILLED
from togai_shipper.sandbox.feed import FIRST_EVENTS, MOST_EVENTS, MOST_REQUESTS, Feed
from togai_shipper.testing import Answered


def answered(number: int, *, events: int = 1, ended: float | None = 0.5) -> Answered:
    held = [event(f"{number}-{index}") for index in range(events)]
    outcomes = (None if ended is None else BILLED,) * events
    ids = tuple(each["id"] for each in held)
    return Answered(
        0.0, "POST", "/ingestBatch", {}, held, ids, number, 9, status=202, outcomes=outcomes, ended=ended
    )


def test_a_viewer_is_shown_each_request_when_it_comes_and_when_it_is_over() -> None:
    feed = Feed()

    first = feed.update([answered(0, ended=None)], 1.5)
    second = feed.update([answered(0)], 1.5)
    third = feed.update([answered(0)], 1.5)

    assert [(row["ms"], row["outcomes"]) for row in first.requests] == [(None, {})]
    assert first.events == []
    assert [(row["ms"], row["time"]) for row in second.requests] == [(500.0, "1970-01-01T00:00:01.500+00:00")]
    assert [row["id"] for row in second.events] == ["0-0"]
    assert (third.requests, third.events) == ([], [])


def test_where_more_comes_than_can_be_read_the_newest_is_shown_and_the_rest_counted() -> None:
    feed = Feed()
    old = [answered(number, events=150) for number in range(3)]
    new = [answered(number, events=10) for number in range(3, 53)]

    first, second = feed.update(old, 0), feed.update(new, 0)

    assert (len(first.events), first.events_left_out) == (FIRST_EVENTS, 450 - FIRST_EVENTS)
    assert [first.events[0]["id"], first.events[-1]["id"]] == ["1-100", "2-149"]
    assert (len(second.events), second.events_left_out) == (MOST_EVENTS, 500 - MOST_EVENTS)
    assert (len(second.requests), second.requests_left_out) == (MOST_REQUESTS, 50 - MOST_REQUESTS)


def test_a_viewer_who_filters_is_shown_the_newest_that_match() -> None:
    requests = [answered(number, events=300) for number in range(2)]

    found = Feed("1- billed").update(requests, 0)
    none = Feed("refused").update(requests, 0)

    assert {row["request"] for row in found.events} == {1}
    assert (found.events[-1]["id"], found.events_left_out) == ("1-299", 300 - FIRST_EVENTS)
    assert (none.events, none.events_left_out) == ([], 0)


def test_an_event_that_is_open_still_matches_as_under_way() -> None:
    request = attrs.evolve(answered(0, ended=None), ended=1.0)

    assert [row["outcome"] for row in Feed("under way").update([request], 0).events] == ["under way"]
