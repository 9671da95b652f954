"""Which request meets which fault: the queue, the callback, and poison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from togai_shipper.testing import FakeTogai, faults

if TYPE_CHECKING:
    from togai_shipper.testing import Received

from five_events import FIVE, batch, event, single

# --- the queue and the callback ---------------------------------------------------------------------------


def test_the_next_requests_take_the_queued_faults_in_order_one_each(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script(faults.Refuse(503), None, faults.Refuse(500))
    assert togai.script_left == 3

    assert [batch(session, togai).status_code for _ in range(4)] == [503, 202, 500, 202]
    assert [request.fault for request in togai.requests] == [
        faults.Refuse(503),
        None,
        faults.Refuse(500),
        None,
    ]
    assert togai.script_left == 0


def test_lookups_take_nothing_from_the_queue(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Refuse(503))

    assert session.get(togai.url + "/events", timeout=10).status_code == 404
    assert togai.script_left == 1


def test_on_request_is_asked_when_the_queue_is_empty(togai: FakeTogai, session: requests.Session) -> None:
    asked = []

    def every_second(received: Received) -> faults.Fault | None:
        asked.append(received.number)
        return faults.Refuse(503) if received.number % 2 else None

    togai.on_request = every_second
    togai.script(faults.Refuse(500))

    assert [batch(session, togai).status_code for _ in range(4)] == [500, 503, 202, 503]
    assert asked == [1, 2, 3]
    assert togai.on_request is every_second


def test_what_on_request_raises_is_raised_by_stop_and_answered_500(session: requests.Session) -> None:
    togai = FakeTogai().start()
    togai.on_request = lambda received: received.no_such_field

    reply = batch(session, togai)

    assert (reply.status_code, togai.requests[0].status) == (500, 500)
    batch(session, togai)
    with pytest.raises(AttributeError, match="no_such_field"):
        togai.stop()
    togai.stop()


# --- poison -----------------------------------------------------------------------------------------------


def test_a_poisonous_event_sinks_every_request_it_is_in_until_it_is_cured(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.poison("e-3", message="unfit")

    refused = batch(session, togai)
    assert (refused.status_code, refused.json()) == (400, {"message": "unfit"})
    assert single(session, togai, FIVE[3]).status_code == 400
    assert single(session, togai, FIVE[2]).status_code == 202
    assert togai.ledger.ids == {"e-2"}

    togai.cure()
    assert batch(session, togai).status_code == 202
    assert togai.ledger.metered == 5


def test_poison_may_be_a_predicate_and_have_a_status_of_its_own(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.poison("unheard-of", 500)
    togai.poison(lambda event: event["accountId"] == "evil", 500)

    assert batch(session, togai).status_code == 202
    assert batch(session, togai, [event("x", accountId="evil")]).status_code == 500


def test_poison_of_status_207_costs_a_batch_the_poisonous_ones_alone(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.partial_shape = "A"
    togai.poison(lambda event: event["id"] in ("e-1", "e-4"), 207, "unfit")

    reply = batch(session, togai)

    assert reply.status_code == 207
    assert reply.json() == {
        "errors": [
            {"message": "unfit", "eventPayload": FIVE[1]},
            {"message": "unfit", "eventPayload": FIVE[4]},
        ]
    }
    assert togai.ledger.lost(f"e-{n}" for n in range(5)) == {"e-1", "e-4"}


def test_an_invalid_event_is_not_asked_for_poison(togai: FakeTogai, session: requests.Session) -> None:
    togai.poison(lambda event: event["id"] == "e-1", 207, "unfit")

    reply = batch(session, togai, [FIVE[1], 5, {"no": "id"}])

    assert (reply.status_code, reply.json()) == (400, {"message": "events[1]: must be an object"})
    assert len(togai.ledger) == 0


def test_a_refused_event_is_not_also_a_repeat(togai: FakeTogai, session: requests.Session) -> None:
    togai.duplicate_reply, togai.partial_shape = 207, "A"
    togai.poison("e-0", 207, "unfit")

    reply = batch(session, togai, [FIVE[0], FIVE[0], FIVE[1], FIVE[1]])

    assert [item["message"] for item in reply.json()["errors"]] == [
        "unfit",
        "unfit",
        "duplicate event id: it was ingested before",
    ]
    assert togai.ledger.get("e-1").accepted == 2
    assert togai.ledger.ids == {"e-1"}
