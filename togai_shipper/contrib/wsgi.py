"""A middleware for any WSGI application: it makes an event of each request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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

Environ: TypeAlias = dict[str, Any]
Application: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Meter: TypeAlias = Callable[[Exchange, _layers.Layers, LeftOut | None], None]

FILE_WRAPPER = "wsgi.file_wrapper"
ASKS_WHETHER = "HTTP_" + PREFLIGHT.upper().replace("-", "_")


class TogaiMiddleware:
    """Wraps a WSGI application: each request is answered as without it, and then becomes an event.

    A streamed response is over when its body ends, or when the server closes it before. The request's body is
    not touched. A file that the server sends by itself (``wsgi.file_wrapper``) stays one; of that,
    ``response_bytes`` is the ``Content-Length``, or 0.

    Args:
        app: the application.
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``Exchange`` that says so (its ``request`` is
            the environ). ``None``: nobody, no event.
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
    logged and told to ``on_error``; the request does not notice.

    >>> from wsgiref.util import setup_testing_defaults
    >>> from togai_shipper.testing import RecordedEvents
    >>> def app(environ, start_response):
    ...     environ["shop.account"] = "acme"  # as your authentication has found
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> app = TogaiMiddleware(
    ...     app,
    ...     schema_name="api_call",
    ...     account_id=lambda exchange: exchange.request.get("shop.account"),
    ...     attributes={"count": 1, "bytes": lambda exchange: exchange.response_bytes},
    ... )
    >>> environ = {}
    >>> setup_testing_defaults(environ)
    >>> with RecordedEvents() as recorded:
    ...     app(environ, lambda status, headers: None)
    ...     assert recorded.assert_tracked("api_call", account="acme", attributes={"count": 1, "bytes": 5})
    [b'hello']

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

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, as WSGI calls an application."""
        return WsgiResponse(environ, start_response, self._meter, self._meter.clock).by(self._app)


class WsgiResponse:
    """Watches one response from its request on; ``meter`` is given its ``Exchange`` once it is over."""

    route: str | None = None

    def __init__(
        self,
        environ: Environ,
        start_response: Callable[..., Any],
        meter: Meter,
        clock: Callable[[], float],
    ) -> None:
        self.request: Any = environ
        self.environ = environ
        self.meter = meter
        self.status: int | None = None
        self.bytes = 0
        self._method = environ.get("REQUEST_METHOD", "GET")
        # Now: who dispatches by path moves parts of it from one to the other.
        self._script = environ.get("SCRIPT_NAME", "")
        self._path = self._script + environ.get("PATH_INFO", "")
        self._layers, self._is_first = _layers.enter(environ)
        self._start_response = start_response
        self._clock = clock
        self._begun = clock()
        self._over = False
        self._headers: list[tuple[str, str]] = []
        self._file: object = None  # what a file_wrapper that is no class has returned
        self._wrap_file = environ.get(FILE_WRAPPER)

    def by(self, app: Application) -> Iterable[bytes]:
        """Let ``app`` answer; return the body, which is watched to its end."""
        environ = self.environ
        watched = self._wrap_file is not None and not isinstance(self._wrap_file, type)
        if watched:
            environ[FILE_WRAPPER] = self._wrapped
        try:
            body = app(environ, self.start)
        except BaseException:
            self.end(complete=False)
            raise
        finally:
            if watched:  # or it would be a cycle
                environ[FILE_WRAPPER] = self._wrap_file
        return self.watched(body)

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any, **named: Any) -> Any:
        """Start the response, as the application calls ``start_response``."""
        write = self._start_response(status, headers, *exc_info, **named)
        self.status = _code(status)
        self._headers = headers
        # Now: Flask says here which route it has found, and forgets it afterwards.
        self.route = _routes.of_environ(self.environ, self._script)

        def writing(chunk: bytes) -> None:
            write(chunk)
            self.count(chunk)

        return writing

    def watched(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return ``body`` such that this response is over when it ends or is closed."""
        if self._over:
            return body
        if type(body) is list or type(body) is tuple:  # nothing is left to happen
            self.bytes += sum(len(chunk) for chunk in body if isinstance(chunk, bytes))
            self.end(complete=True)
            return body
        if self._is_file(body):
            self._watch_close(body)
            return body
        return _SizedBody(self, body) if hasattr(body, "__len__") else _Body(self, body)

    def count(self, chunk: bytes) -> None:
        """Count a chunk that is handed to the server; if it is no bytes, the server is who complains."""
        if isinstance(chunk, bytes):
            self.bytes += len(chunk)

    def end(self, *, complete: bool) -> None:
        """Make the event, unless it is made already."""
        if self._over:
            return
        self._over = True
        if self._is_first:
            _layers.leave(self.environ)
        seconds = self._clock() - self._begun
        path = self._path
        if not path.isascii():
            path = path.encode("latin-1", "replace").decode("utf-8", "replace")  # as WSGI has it
        size = 0 if is_without_body(self._method, self.status) else self.bytes
        is_special = self._method == "OPTIONS" or self.status in STATUSES
        self.meter(
            Exchange(self.request, self._method, path, self.route, self.status, size, seconds, complete),
            self._layers,
            self._left_out() if is_special else None,
        )

    def end_early(self) -> None:
        """Make the event of a body that was closed, whether or not it had come to its end."""
        length = content_length(self._headers)
        enough = length is not None and self.bytes >= length
        self.end(complete=enough or is_without_body(self._method, self.status))

    def _left_out(self) -> LeftOut | None:
        """Say why the request is no event for what it is, if it is not."""
        environ = self.environ
        if self._method == "OPTIONS" and ASKS_WHETHER in environ:
            return "preflight"
        if self.status not in STATUSES or self.route is not None:  # a redirect of the application's own
            return None
        # As the application saw it: what stands between may have changed it to what a proxy says it was.
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = quote(path, encoding="latin-1", errors="replace")
        host = environ.get("HTTP_HOST") or f"{environ.get('SERVER_NAME')}:{environ.get('SERVER_PORT')}"
        url = f"{environ.get('wsgi.url_scheme')}://{host}{path}?{environ.get('QUERY_STRING', '')}"
        to = header(self._headers, "location")
        return "slash redirect" if is_for_a_slash(self._method, self.status, url, to) else None

    def _wrapped(self, *file: Any) -> Any:
        assert self._wrap_file is not None  # noqa: S101  else this would not be called
        self._file = self._wrap_file(*file)
        return self._file

    def _is_file(self, body: object) -> bool:
        """Whether ``body`` is a file that the server sends by itself, and could not if it were wrapped."""
        if isinstance(self._wrap_file, type):
            return isinstance(body, self._wrap_file)
        return body is self._file

    def _watch_close(self, body: Any) -> None:
        close = getattr(body, "close", None)

        def closing() -> None:
            try:
                if close is not None:
                    close()
            finally:
                self._end_file()

        try:
            body.close = closing
        except (AttributeError, TypeError):  # made in C
            self._end_file()

    def _end_file(self) -> None:
        self.bytes += content_length(self._headers) or 0
        self.end(complete=True)


def _code(status: object) -> int | None:
    """Read the code of a status line; ``None`` where it is none, of which the server complains."""
    code = status[:3] if isinstance(status, str) else ""
    return int(code) if code.isdecimal() else None


class _Body:
    """Hands a body on chunk by chunk, and counts."""

    def __init__(self, metered: WsgiResponse, body: Iterable[bytes]) -> None:
        self._metered = metered
        self._body = body
        self._chunks: Iterator[bytes] | None = None
        self._close = getattr(body, "close", None)

    def __iter__(self) -> Iterator[bytes]:
        if self._chunks is None:
            self._chunks = iter(self._body)
        return self

    def __next__(self) -> bytes:
        self._chunks = chunks = iter(self._body) if self._chunks is None else self._chunks
        try:
            chunk = next(chunks)
        except BaseException as end:
            self._metered.end(complete=isinstance(end, StopIteration))
            raise
        self._metered.count(chunk)
        return chunk

    def close(self) -> None:
        """Close the body, unless it is closed already."""
        close, self._close = self._close, None
        try:
            if close is not None:
                close()
        finally:
            self._metered.end_early()


class _SizedBody(_Body):
    """Says how many chunks a body has, too: a server may derive the ``Content-Length`` from a single one."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # it was asked
