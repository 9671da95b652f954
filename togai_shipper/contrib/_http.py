"""What the middleware of every web framework measures: a request and its response, once it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypedDict

import attrs

from togai_shipper import Shipper, _default
from togai_shipper._outcome import LeftOut
from togai_shipper._recipe import AttributesOf, DimensionsOf, Recipe, TextOf

from ._layers import Layers

if TYPE_CHECKING:
    from typing_extensions import Unpack

COUNT = {"count": 1}
SERVER_ERROR = 500
WITHOUT_BODY = (204, 304)
PREFLIGHT = "access-control-request-method"  # the header by which a browser asks whether it may ask


@attrs.frozen
class Exchange:
    """A request and its response, once it is over: what the functions of a middleware are given.

    Attributes:
        request: the framework's own: Flask's, Django's or aiohttp's request, ASGI's scope, WSGI's environ.
        method: such as ``"GET"``.
        path: as the client asked for it, without query.
        route: the pattern that it matched, where the framework says so; else ``None``.
        status: the response's, or ``None`` where there was none.
        response_bytes: of its body, as far as the application handed it to the server; 0 for HEAD.
        seconds: from the request to the end of the body.
        complete: whether the body came to its end; false where the application raised or was cancelled, and
            where the client hung up before.

    """

    request: Any
    method: str
    path: str
    route: str | None
    status: int | None
    response_bytes: int
    seconds: float
    complete: bool

    @property
    def failed(self) -> bool:
        """Whether it was the server's failure, or was cut short: no status, 5xx, or not complete."""
        return not self.complete or self.status is None or self.status >= SERVER_ERROR


class Measures(TypedDict, total=False):
    """The arguments of a middleware beside the schema and the account.

    ``attributes`` (default: ``{"count": 1}``), ``dimensions`` and ``idempotency_key`` are values, or
    functions of the ``Exchange``. ``duration`` names an attribute that gets the milliseconds, ``outcome`` a
    dimension that gets ``"ok"`` or ``"error"``. ``when`` is a function of the ``Exchange`` that says whether
    it counts (default: it does); ``failures=False`` is short for one that leaves out what ``failed``.
    ``shipper``: default that of ``togai_shipper.track``.
    """

    attributes: AttributesOf[Exchange]
    dimensions: DimensionsOf[Exchange] | None
    duration: str | None
    outcome: str | None
    failures: bool
    when: Callable[[Exchange], bool] | None
    idempotency_key: TextOf[Exchange] | None
    shipper: Shipper | None


class Metering:
    """Makes an event of each exchange, and never raises."""

    def __init__(
        self,
        schema_name: str,
        account_id: TextOf[Exchange],
        *,
        clock: Callable[[], float] = time.monotonic,
        **measures: Unpack[Measures],
    ) -> None:
        self.clock = clock
        self._shipper = measures.pop("shipper", None)
        given: dict[str, Any] = {"attributes": COUNT, **measures}
        self._recipe: Recipe[Exchange] = Recipe(schema_name, account_id, **given)

    def __call__(self, exchange: Exchange, layers: Layers, left_out: LeftOut | None) -> None:
        """Track the event of ``exchange``, unless it is left out, or a layer within has made it."""
        shipper = _default.shipper() if self._shipper is None else self._shipper
        us = (shipper, self._recipe.schema_name)
        why = "twice" if us in layers.settled else left_out
        if why is not None:
            shipper._leave_out(why)  # noqa: SLF001  likewise
            layers.settled.add(us)
        elif shipper._meter(self._recipe, exchange):  # noqa: SLF001  what metered() and measure() do, too
            layers.settled.add(us)


def is_without_body(method: str, status: int | None) -> bool:
    """Whether a server sends no body for such a response, whatever the application gives it."""
    return method == "HEAD" or status in WITHOUT_BODY


def content_length(headers: Iterable[tuple[Any, Any]]) -> int | None:
    """Read the size of the body from the headers; ``None`` where they do not say."""
    length = header(headers, "content-length")
    return int(length) if length.isdecimal() else None


def header(headers: Iterable[tuple[Any, Any]], name: str) -> str:
    """Return the first header of a name in lower case, as text; empty where there is none."""
    names = (name, name.encode())
    for each, value in headers:
        if each.lower() in names:
            return value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return ""
