"""A middleware for any ASGI application (Starlette, FastAPI): it makes an event of each request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from togai_shipper._recipe import TextOf

from ._http import Exchange, Measures, Metering, content_length, is_without_body

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
            the scope, ``Request(exchange.request)`` in Starlette's dress). ``None``: nobody, no event.
        measures: ``attributes`` (default: ``{"count": 1}``), ``dimensions`` and ``idempotency_key``: values,
            or functions of the ``Exchange``. ``duration``: the name of an attribute that gets the
            milliseconds. ``outcome``: the name of a dimension that gets ``"ok"`` or ``"error"``.
            ``failures`` (default true): count what ``failed``, too: 5xx, and what was cut short.
            ``shipper`` (default: that of ``togai_shipper.track``).

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

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI calls an application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        metered = _AsgiResponse(scope, send, self._meter)
        try:
            await self._app(scope, receive, metered.send)
        finally:
            metered.end(complete=False)  # unless it has come to its end before


class _AsgiResponse:
    """Watches one response, and makes the event of its request once it is over."""

    def __init__(self, scope: Message, send: Send, meter: Metering) -> None:
        self._scope = scope
        self._method = scope["method"]
        self._path = scope["path"]
        self._send = send
        self._meter: Metering | None = meter
        self._clock = meter.clock
        self._begun = meter.clock()
        self._status: int | None = None
        self._headers: Any = ()
        self._bytes = 0

    async def send(self, message: Message) -> None:
        """Send a message, as the application calls ``send``, and see what it says of the response."""
        # Now: who sends it on may change it, as one that packs bodies does.
        kind, more = message["type"], message.get("more_body", False)
        size = len(message.get("body", b""))
        if kind == "http.response.start":
            status, headers = message.get("status"), message.get("headers", ())
        await self._send(message)
        match kind:
            case "http.response.start":
                self._status, self._headers = status, headers
            case "http.response.body":
                self._bytes += size
                if not more:
                    self.end(complete=True)
            case "http.response.pathsend":  # a file that the server sends by itself
                self._bytes += content_length(self._headers) or 0
                self.end(complete=True)

    def end(self, *, complete: bool) -> None:
        """Make the event, unless it is made already."""
        meter, self._meter = self._meter, None
        if meter is None:
            return
        seconds = self._clock() - self._begun
        route = _route(self._scope)
        size = 0 if is_without_body(self._method, self._status) else self._bytes
        meter(
            Exchange(
                self._scope, self._method, self._path, route, self._status, size, seconds, complete=complete
            )
        )


def _route(scope: Message) -> str | None:
    """Return the pattern of Starlette's or FastAPI's route, from the outermost application on."""
    route = scope.get("route")
    # FastAPI's own route does not know the prefix of ``include_router``.
    fastapi = scope.get("fastapi")
    included = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    if getattr(included, "original_route", None) is not route:
        included = None
    path = getattr(included or route, "path", None)
    if not isinstance(path, str):  # another framework's, or none
        return None
    root: str = scope.get("root_path") or ""
    mounted = root[len(scope.get("app_root_path", root)) :]
    return mounted if hasattr(route, "routes") else mounted + path  # a mount's own path is in both
