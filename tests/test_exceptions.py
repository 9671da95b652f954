"""The error tree: what each is, says, and keeps through pickle and copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

import togai_shipper
from togai_shipper import (
    ConfigurationError,
    DeliveryError,
    Event,
    EventDropped,
    EventRejected,
    InvalidEvent,
    PayloadTooLarge,
    QueueFull,
    ShipperClosed,
    TogaiShipperError,
    Unauthorized,
    exceptions,
)

EVENT = Event("api_call", "acme", {"count": 1}, timestamp="2026-01-31T12:00:00Z", id="7")
EACH = [
    ConfigurationError("batch_size: must be a whole number from 1 to 500, not 0"),
    InvalidEvent("timestamp", "must have a zone", ("api_call", "acme")),
    QueueFull("the buffer is full", EVENT),
    ShipperClosed("track() after close()"),
    DeliveryError(403, "forbidden", 1),
    Unauthorized(None, "the api_key callable raised OSError"),
    EventRejected(400, "no", 3, maybe_delivered=True),
    PayloadTooLarge(413, "HTTP 413", 1),
    EventDropped(None, "closed", 0),
]


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (TogaiShipperError, Exception),
        (ConfigurationError, TogaiShipperError),
        (InvalidEvent, TogaiShipperError),
        (InvalidEvent, ValueError),
        (QueueFull, TogaiShipperError),
        (ShipperClosed, TogaiShipperError),
        (DeliveryError, TogaiShipperError),
        (Unauthorized, DeliveryError),
        (EventRejected, DeliveryError),
        (PayloadTooLarge, EventRejected),
        (EventDropped, DeliveryError),
    ],
    ids=lambda kind: kind.__name__,
)
def test_each_error_is_where_the_tree_shows_it(error: type, parent: type) -> None:
    assert parent in error.__bases__
    assert f"── {error.__name__} " in exceptions.__doc__ or error is TogaiShipperError


def test_every_error_is_public() -> None:
    defined = {
        name
        for name, each in vars(exceptions).items()
        if isinstance(each, type) and issubclass(each, Exception)
    }

    assert defined == {type(error).__name__ for error in EACH} | {"TogaiShipperError"}
    assert defined <= set(togai_shipper.__all__)


def test_an_invalid_event_says_field_and_problem_and_keeps_what_was_given() -> None:
    error = InvalidEvent("attributes['count']", "must be a number, not NoneType", ("api_call", "acme"))

    assert str(error) == "attributes['count']: must be a number, not NoneType"
    assert (error.field, error.problem) == ("attributes['count']", "must be a number, not NoneType")
    assert error.given == ("api_call", "acme")
    assert InvalidEvent("id", "must be a str").given is None
    assert "acme" not in repr(error), "what was given is kept, not shown"


def test_a_full_queue_keeps_the_event_that_found_no_room() -> None:
    error = QueueFull("the buffer is full", EVENT)

    assert str(error) == "the buffer is full"
    assert error.given is EVENT
    assert QueueFull("the buffer is full").given is None


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (400, "no such unit", "no such unit (HTTP 400)"),
        (None, "closed", "closed"),
        (503, "HTTP 503", "HTTP 503"),
    ],
)
def test_a_delivery_error_says_message_and_status_once(status: int | None, message: str, said: str) -> None:
    error = DeliveryError(status, message, 3, maybe_delivered=True)

    assert str(error) == said
    assert (error.status, error.message, error.attempts, error.maybe_delivered) == (status, message, 3, True)
    assert error.args == (status, message, 3)
    assert DeliveryError(status, message).attempts == 0
    assert DeliveryError(status, message).maybe_delivered is False


def pickled(error: TogaiShipperError) -> TogaiShipperError:
    same: TogaiShipperError = pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    return same


@pytest.mark.parametrize("error", EACH, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_an_error_survives_pickle_and_copy_with_all_it_knows(
    error: TogaiShipperError, again: Callable[[TogaiShipperError], TogaiShipperError]
) -> None:
    same = again(error)

    assert type(same) is type(error)
    assert (str(same), same.args, vars(same)) == (str(error), error.args, vars(error))
