"""A middleware for any ASGI application, such as FastAPI: it makes an event of each request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from togai_shipper._outcome import LeftOut
from togai_shipper._recipe import TextOf

from . import _layers, _routes
from ._http import PREFLIGHT, Exchange, Measures, Metering, content_length, header, is_without_body
from ._slash import STATUSES, is_for_a_slash

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Exchange", "TogaiMiddleware"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class TogaiMiddleware:
    """Wraps an ASGI application: each request is answered as without it, and then becomes an event.

    A response is over when its body ends; what runs in the background after that is not waited for.
    Websockets and the lifespan pass through. The request's body is not touched.

    Args:
        app: the application; Starlette's and FastAPI's ``add_middleware`` give it.
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``Exchange`` that says so (its ``request`` is
            the scope, ``Request(exchange.request)`` in Starlette). ``None``: nobody, no event.
        measures: ``attributes`` (default: ``{"count": 1}``), ``dimensions`` and ``idempotency_key``: values,
            or functions of the ``Exchange``. ``duration``: the name of an attribute that gets the
            milliseconds. ``outcome``: the name of a dimension that gets ``"ok"`` or ``"error"``.
            ``when``: a function of the ``Exchange`` that says whether it counts; default: every one does.
            ``failures=False`` is short for one that leaves out what ``failed``: 5xx, and what was cut short.
            ``shipper`` (default: that of ``togai_shipper.track``).

    Raises:
        TypeError: ``when`` is no plain function, or stands beside ``failures=False``.

    No event, and counted in ``stats().left_out``: a redirect that the framework makes for a slash, a CORS
    preflight, what an inner middleware has made an event of, what ``when`` says no to. If ``when`` raises,
    the request counts, and the log says so.

    What a function raises, and an event that breaks a limit, is counted in ``stats().refused["invalid"]``,
    logged and told to ``on_error``; the request does not notice. The functions run in the event loop: they
    must not wait.

    >>> from starlette.applications import Starlette
    >>> from starlette.responses import PlainTextResponse
    >>> from starlette.routing import Route
    >>> app = Starlette(routes=[Route("/items/{item}", lambda request: PlainTextResponse("hello"))])
    >>> app.add_middleware(
    ...     TogaiMiddleware,
    ...     schema_name="api_call",
    ...     account_id=lambda exchange: exchange.request.get("state", {}).get("account"),
    ...     dimensions={"route": lambda exchange: exchange.route or "none"},
    ... )

    """

    def __init__(
        self,
        app: Application,
        *,
        schema_name: str,
        account_id: TextOf[Exchange],
        **measures: Unpack[Measures],
    ) -> None:
        self._app = app
        self._meter = Metering(schema_name, account_id, **measures)
        _routes.listen_to_quart()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI calls an application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        layers, is_first = _layers.enter(scope)
        metered = _AsgiResponse(scope, send, self._meter, layers)
        under_way = _layers.begin(layers, scope)
        try:
            await self._app(scope, receive, metered.send)
        finally:
            _layers.end(under_way)
            metered.end(complete=False)  # unless it has come to its end before
            if is_first:
                _layers.leave(scope)


class _AsgiResponse:
    """Watches one response, and makes the event of its request once it is over.

    Attributes:
        last: the size of the message that ends the body, from when the application hands it over.

    """

    last: int | None = None

    def __init__(self, scope: Message, send: Send, meter: Metering, layers: _layers.Layers) -> None:
        self._scope = scope
        self._method = scope["method"]
        self._path = scope["path"]
        self._root = scope.get("root_path") or ""
        _routes.prepare(scope)
        self._send = send
        self._meter: Metering | None = meter
        self._layers = layers
        layers.open.append(self)
        self._clock = meter.clock
        self._begun = meter.clock()
        self._status: int | None = None
        self._headers: Any = ()
        self._bytes = 0

    async def send(self, message: Message) -> None:
        """Send a message, as the application calls ``send``, and see what it says of the response."""
        # Now: who sends it on may change it, as one that packs bodies does.
        kind, size = message["type"], len(message.get("body", b""))
        match kind:
            case "http.response.start":
                status, headers = message.get("status"), message.get("headers", ())
            case "http.response.body" if not message.get("more_body", False):
                self.last = size
            case "http.response.pathsend":  # a file that the server sends by itself
                self.last = content_length(self._headers) or 0
        try:
            await self._send(message)
        except BaseException:
            self.last = None
            raise
        if self.last is not None:
            # Those within as well, and before: they are told only now that it was sent.
            for response in self._layers.open[::-1]:
                if response.last is not None:
                    response.end(complete=True)
        elif kind == "http.response.start":
            self._status, self._headers = status, headers
        else:
            self._bytes += size

    def end(self, *, complete: bool) -> None:
        """Make the event, unless it is made already."""
        meter, self._meter = self._meter, None
        if meter is None:
            return
        self._layers.open.remove(self)
        seconds = self._clock() - self._begun
        route = _routes.of_scope(self._scope, self._path, self._root)
        size = 0 if is_without_body(self._method, self._status) else self._bytes + (self.last or 0)
        exchange = Exchange(
            self._scope, self._method, self._path, route, self._status, size, seconds, complete=complete
        )
        is_special = self._method == "OPTIONS" or self._status in STATUSES
        meter(exchange, self._layers, self._left_out() if is_special else None)

    def _left_out(self) -> LeftOut | None:
        """Say why the request is no event for what it is, if it is not."""
        scope, status = self._scope, self._status
        headers = scope.get("headers", ())
        if self._method == "OPTIONS" and header(headers, PREFLIGHT):
            return "preflight"
        if status not in STATUSES or _routes.has_view(scope):  # a view's own
            return None
        scheme = scope.get("scheme", "http")
        host, port = scope.get("server") or ("", None)
        host = header(headers, "host") or (f"{host}:{port}" if port else host)
        query = scope.get("query_string", b"").decode("latin-1")
        url = f"{scheme}://{host}{quote(self._path, errors='replace')}?{query}"
        to = header(self._headers, "location")
        return "slash redirect" if is_for_a_slash(self._method, status, url, to) else None
