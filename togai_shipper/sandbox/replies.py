"""The replies of Togai: errors, successes, and the shapes of a 207."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from .faults import Partial

MAX_MESSAGE = 500  # characters of a message


def json_reply(status: int, value: Any) -> Response:
    """Return a reply with this value as JSON."""
    return Response(json.dumps(value).encode(), status, media_type="application/json")


class Refusal(Response):
    """An error, as all of Togai's errors look; ``reason`` is its message."""

    def __init__(self, status: int, text: str) -> None:
        self.reason = text[:MAX_MESSAGE]
        super().__init__(json.dumps(message(text)).encode(), status, media_type="application/json")


def error(status: int, text: str) -> Refusal:
    """Return an error."""
    return Refusal(status, text)


def success() -> Response:
    """Return the reply to what is accepted: 202, never 200."""
    return json_reply(202, {"success": True})


def unauthorized() -> Refusal:
    """Return the reply to a wrong key."""
    return error(401, "credential is not valid")


def message(text: str) -> dict[str, Any]:
    """Return the body of an error."""
    return {"message": text[:MAX_MESSAGE]}


def partial(fault: Partial, bad: list[tuple[Any, str]]) -> Response:
    """Return a 207 in the shape that the fault says, about these events, with a message for each."""
    items = [message(why) | ({"eventPayload": event} if fault.names else {}) for event, why in bad]
    body: dict[str, Any]
    if fault.shape == "A":
        body = {"errors": items}
    elif fault.shape == "B":
        body = items[0] if items else message(fault.message)
    else:
        body = {"success": False, "statusCode": 207, "name": "PartialFailure"}
        body |= message(bad[0][1] if bad else fault.message)
        body |= {} if fault.code is None else {"code": fault.code}
        body["details"] = {"errors": items} if fault.shape == "details" else {}
    return json_reply(207, body)
