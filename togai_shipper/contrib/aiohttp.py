"""A middleware for aiohttp's server: it makes an event of each request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from togai_shipper._outcome import LeftOut
from togai_shipper._recipe import TextOf

from . import _layers
from ._http import PREFLIGHT, Exchange, Measures, Metering, content_length, is_without_body
from ._slash import STATUSES, is_for_a_slash

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Exchange", "TogaiMiddleware"]

HERE = "togai_shipper.sent"  # in the attributes of a request's writer
UPGRADED = 101  # to a websocket


class TogaiMiddleware:
    """One of an application's ``middlewares``: each request is answered as without it, then becomes an event.

    A response is over when its body ends. What counts is what was sent, whatever other middlewares have made
    of what the handler returned. Websockets pass through. The request's body is not touched. It needs aiohttp
    3.9 or newer.

    Args:
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``Exchange`` that says so (its ``request`` is
            aiohttp's ``web.Request``). ``None``: nobody, no event.
        measures: ``attributes`` (default: ``{"count": 1}``), ``dimensions`` and ``idempotency_key``: values,
            or functions of the ``Exchange``. ``duration``: the name of an attribute that gets the
            milliseconds. ``outcome``: the name of a dimension that gets ``"ok"`` or ``"error"``.
            ``when``: a function of the ``Exchange`` that says whether it counts; default: every one does.
            ``failures=False`` is short for one that leaves out what ``failed``: 5xx, and what was cut short.
            ``shipper`` (default: that of ``togai_shipper.track``).

    Raises:
        TypeError: ``when`` is no plain function, or stands beside ``failures=False``.

    No event, and counted in ``stats().left_out``: a redirect that ``normalize_path_middleware`` makes for a
    slash, a CORS preflight, what an inner middleware has made an event of, what ``when`` says no to. If
    ``when`` raises, the request counts, and the log says so.

    What a function raises, and an event that breaks a limit, is counted in ``stats().refused["invalid"]``,
    logged and told to ``on_error``; the request does not notice. The functions run in the event loop: they
    must not wait.

    >>> from aiohttp import web
    >>> account = web.RequestKey("account", str) if hasattr(web, "RequestKey") else "account"
    >>> app = web.Application(
    ...     middlewares=[
    ...         TogaiMiddleware(
    ...             schema_name="api_call",
    ...             account_id=lambda exchange: exchange.request.get(account),
    ...             dimensions={"route": lambda exchange: exchange.route or "none"},
    ...         )
    ...     ]
    ... )

    """

    __middleware_version__ = 1  # what ``web.middleware`` says of a function

    def __init__(
        self, *, schema_name: str, account_id: TextOf[Exchange], **measures: Unpack[Measures]
    ) -> None:
        self._meter = Metering(schema_name, account_id, **measures)

    async def __call__(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let ``handler`` answer, as aiohttp calls a middleware."""
        sent = _Sent.of(request)
        sent.layers.open.append(_Layer(request, sent, self._meter))
        try:
            response = await handler(request)
        except BaseException as error:
            # aiohttp, or a middleware around us, answers an exception, unless something was sent before.
            if sent.status is not None or not isinstance(error, Exception):
                sent.end(complete=False)
            raise
        if isinstance(response, web.FileResponse):  # the kernel sends it: who hangs up is not heard of else
            vars(response)["prepare"] = sent.preparing(response.prepare)
        return response


class _Sent:
    """What is sent in answer to one request, seen where aiohttp writes it; all layers share it."""

    def __init__(self, writer: Any) -> None:
        self._attributes = vars(writer)
        self._write_headers = writer.write_headers
        self._write = writer.write
        self._write_eof = writer.write_eof
        self.layers = _layers.Layers()
        self.status: int | None = None
        self.headers: Any = {}
        self.bytes = 0
        self._attributes[HERE] = self
        for method in (self.write_headers, self.write, self.write_eof):
            self._attributes[method.__name__] = method

    @classmethod
    def of(cls, request: web.Request) -> _Sent:
        """Return the one of ``request``, made by the outermost layer."""
        writer: Any = request.writer
        return vars(writer).get(HERE) or cls(writer)

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """Write the head of the response, as aiohttp does."""
        await self._watched(self._write_headers(status_line, headers))
        self.status, self.headers = int(status_line.split()[1]), headers

    async def write(self, chunk: Any, **options: Any) -> None:
        """Write a part of the body, as aiohttp does."""
        size = memoryview(chunk).nbytes
        await self._watched(self._write(chunk, **options))
        self.bytes += size

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Write the last part of the body, as aiohttp does, and end the response."""
        await self._watched(self._write_eof(chunk))
        self.bytes += len(chunk)
        self.end(complete=True)

    def preparing(self, prepare: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return ``prepare`` such that the response is over where it raises."""

        async def watched(request: web.BaseRequest) -> Any:
            return await self._watched(prepare(request))

        return watched

    async def _watched(self, writing: Awaitable[Any]) -> Any:
        try:
            return await writing
        except BaseException:  # the client has hung up
            self.end(complete=False)
            raise

    def end(self, *, complete: bool) -> None:
        """Make the event, unless it is made already; the innermost layer knows most."""
        for name in (HERE, "write_headers", "write", "write_eof"):
            self._attributes.pop(name, None)  # or it would be a cycle
        while self.layers.open:
            self.layers.open.pop().end(complete=complete)


class _Layer:
    """One middleware around one request."""

    def __init__(self, request: web.Request, sent: _Sent, meter: Metering) -> None:
        self._request = request
        self._sent = sent
        self._meter = meter
        self._begun = meter.clock()

    def end(self, *, complete: bool) -> None:
        request, sent = self._request, self._sent
        if sent.status == UPGRADED:
            return
        resource = request.match_info.route.resource
        route = None if resource is None else resource.canonical
        size = sent.bytes or content_length(sent.headers.items()) or 0  # the kernel has sent a file
        if is_without_body(request.method, sent.status):
            size = 0
        seconds = self._meter.clock() - self._begun
        exchange = Exchange(
            request, request.method, request.path, route, sent.status, size, seconds, complete
        )
        self._meter(exchange, sent.layers, self._left_out(route))

    def _left_out(self, route: str | None) -> LeftOut | None:
        """Say why the request is no event for what it is, if it is not."""
        request, status = self._request, self._sent.status
        if request.method == "OPTIONS" and PREFLIGHT in request.headers:
            return "preflight"
        if status not in STATUSES or route is not None:  # a handler's own
            return None
        url = f"{request.scheme}://{request.host}{request.path_qs}"
        to = self._sent.headers.get("Location", "")
        return "slash redirect" if is_for_a_slash(request.method, status, url, to) else None
