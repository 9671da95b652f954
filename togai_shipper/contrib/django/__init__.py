"""Django: a middleware that makes an event of each request, at the end of its response.

In the settings of the project::

    INSTALLED_APPS = [..., "togai_shipper.contrib.django"]
    MIDDLEWARE = ["togai_shipper.contrib.django.TogaiMiddleware", ...]   # the first one sees everything
    TOGAI = {
        "schema_name": "api_call",
        "account_id": "shop.billing.account",             # a function of the Exchange, or where it is
        "dimensions": {"route": lambda exchange: exchange.route or "none"},
        "options": {"spool": "/var/lib/shop/togai"},       # of the Shipper behind togai_shipper.track
    }

Further keys: ``attributes`` (default: ``{"count": 1}``), ``idempotency_key``, ``duration``, ``outcome``,
``when`` and ``failures``, as for the middleware of ``contrib.wsgi``, and ``shipper`` (instead of
``options``). A function may be given as text: where to import it from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from togai_shipper._outcome import LeftOut
from togai_shipper.contrib import _layers
from togai_shipper.contrib._http import (
    PREFLIGHT,
    Exchange,
    Measures,
    Metering,
    content_length,
    is_without_body,
)
from togai_shipper.contrib._slash import STATUSES, is_for_a_slash

__all__ = ["Exchange", "TogaiMiddleware"]

NEEDED = {"schema_name", "account_id"}
FUNCTIONS = ("account_id", "attributes", "dimensions", "idempotency_key", "when")
NOT_FOUND = 404
SPECIAL = STATUSES | {NOT_FOUND}
KNOWN = NEEDED | set(Measures.__annotations__) | {"options"}


class TogaiMiddleware:
    """Wraps a project, under WSGI or ASGI: each request is answered as without it, and then becomes an event.

    The event is made when the response is over. A streamed one is over when its body ends, or when the server
    closes it before; a file that the server sends by itself, when it is closed: of that, ``response_bytes``
    is the ``Content-Length``, or 0. The request's body is not touched.

    No event, and counted in ``stats().left_out``: a redirect of ``APPEND_SLASH``, a CORS preflight, what an
    inner middleware has made an event of, what ``when`` says no to. If ``when`` raises, the request counts,
    and the log says so.

    Its settings are in ``TOGAI``: see the module. What a function raises, and an event that breaks a limit,
    is counted in ``stats().refused["invalid"]``, logged and told to ``on_error``; the request does not
    notice. Under ASGI the functions run in the event loop and must not wait, so neither ask the database: let
    them read what a view or another middleware has put on the request.

    Raises:
        ImproperlyConfigured: ``TOGAI`` lacks ``schema_name`` or ``account_id``, has a key that is unknown,
            says to import what cannot be, or has a ``when`` that is no plain function or stands beside
            ``failures=False``.

    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction  # noqa: PLC0415  when used
        from django.conf import settings  # noqa: PLC0415  likewise

        self._get_response = get_response
        self._meter = metering(getattr(settings, "TOGAI", {}))
        self._is_redirected = _redirects(get_response, settings.MIDDLEWARE)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Answer a request, as Django calls a middleware."""
        if self._is_async:
            return self._acall(request)
        metered = _DjangoResponse(request, self._meter, self._is_redirected)
        try:
            response = self._get_response(request)
        except BaseException:
            metered.end(complete=False)
            raise
        return metered.watched(response)

    async def _acall(self, request: Any) -> Any:
        metered = _DjangoResponse(request, self._meter, self._is_redirected)
        try:
            response = await self._get_response(request)
        except BaseException:
            metered.end(complete=False)
            raise
        return metered.watched(response)


def metering(settings: Mapping[str, Any]) -> Metering:
    """Read from ``settings.TOGAI`` what is to be measured.

    Raises:
        ImproperlyConfigured: a key is missing or unknown, says to import what cannot be, or is at odds with
            another.

    """
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415  when used
    from django.utils.module_loading import import_string  # noqa: PLC0415  likewise

    if missing := NEEDED - set(settings):
        raise ImproperlyConfigured(f"TOGAI must say {', '.join(sorted(missing))}")
    if unknown := set(settings) - KNOWN:
        raise ImproperlyConfigured(f"TOGAI must not have {', '.join(map(repr, sorted(unknown)))}")
    given = {name: value for name, value in settings.items() if name != "options"}
    for name in FUNCTIONS:
        if isinstance(given.get(name), str):
            try:
                given[name] = import_string(given[name])
            except ImportError as error:
                raise ImproperlyConfigured(f"TOGAI[{name!r}]: {error}") from error
    try:
        return Metering(**given)
    except TypeError as error:
        raise ImproperlyConfigured(f"TOGAI: {error}") from error


def _redirects(get_response: Callable[[Any], Any], middleware: Iterable[str]) -> Callable[[Any], bool]:
    """Return a function that says whether the project redirects a request that was not found, for a slash.

    Django's ``CommonMiddleware`` does so on the way out. Where it stands above this middleware, all that is
    seen here is the 404.
    """
    from django.middleware.common import CommonMiddleware  # noqa: PLC0415  when used
    from django.utils.module_loading import import_string  # noqa: PLC0415  likewise

    for each in map(import_string, middleware):
        if isinstance(each, type) and issubclass(each, CommonMiddleware):
            return CommonMiddleware(get_response).should_redirect_with_slash  # type: ignore[no-any-return]
    return lambda _: False


class _DjangoResponse:
    """Watches one response, and makes the event of its request once it is over."""

    def __init__(self, request: Any, meter: Metering, is_redirected: Callable[[Any], bool]) -> None:
        self._request = request
        self._is_redirected = is_redirected
        self._meter: Metering | None = meter
        self._clock = meter.clock
        self._begun = meter.clock()
        self._status: int | None = None
        self._bytes = 0
        self._is_file = False
        self._location = ""
        scope: _layers.Carrier | None = getattr(request, "scope", None)
        self._carrier = request.META if scope is None else scope
        self._layers, self._is_first = _layers.enter(self._carrier)

    def watched(self, response: Any) -> Any:
        """Return ``response`` such that it is over here when its body ends or is closed."""
        self._status = response.status_code
        self._location = response.get("Location", "")
        if not response.streaming:
            self._bytes = len(response.content)
            self.end(complete=True)
            return response
        if getattr(response, "file_to_stream", None) is None:
            chunks = response.streaming_content
            counted = _AsyncChunks if response.is_async else _Chunks
            response.streaming_content = counted(self, chunks)
        else:  # the server may know how to send it, and would not if it were wrapped
            self._bytes = content_length(response.items()) or 0
            self._is_file = True
        response._resource_closers.append(self._closed)  # noqa: SLF001  as Django's handlers do
        return response

    def _closed(self) -> None:
        """Make the event before Django sends ``request_finished`` and closes the request's connections."""
        self.end(complete=self._is_file or is_without_body(self._request.method, self._status))

    def count(self, chunk: bytes) -> None:
        self._bytes += len(chunk)

    def end(self, *, complete: bool) -> None:
        """Make the event, unless it is made already."""
        meter, self._meter = self._meter, None
        if meter is None:
            return
        if self._is_first:
            _layers.leave(self._carrier)
        request = self._request
        seconds = self._clock() - self._begun
        match = request.resolver_match
        route = None if match is None else match.route
        size = 0 if is_without_body(request.method, self._status) else self._bytes
        exchange = Exchange(
            request, request.method, request.path, route, self._status, size, seconds, complete=complete
        )
        is_special = request.method == "OPTIONS" or self._status in SPECIAL
        meter(exchange, self._layers, self._left_out() if is_special else None)

    def _left_out(self) -> LeftOut | None:
        """Say why the request is no event for what it is, if it is not."""
        request, status = self._request, self._status
        if request.method == "OPTIONS" and PREFLIGHT in request.headers:
            return "preflight"
        if status not in SPECIAL or request.resolver_match is not None:  # a view's own
            return None
        if status == NOT_FOUND:
            return "slash redirect" if self._is_redirected(request) else None
        meta = request.META
        host = meta.get("HTTP_HOST") or f"{meta.get('SERVER_NAME')}:{meta.get('SERVER_PORT')}"
        url = (
            f"{request.scheme}://{host}{quote(request.path, errors='replace')}?{meta.get('QUERY_STRING', '')}"
        )
        return "slash redirect" if is_for_a_slash(request.method, status, url, self._location) else None


class _Chunks:
    """Hands a body on chunk by chunk, and counts."""

    def __init__(self, metered: _DjangoResponse, chunks: Iterator[bytes]) -> None:
        self._metered = metered
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except BaseException as end:
            self._metered.end(complete=isinstance(end, StopIteration))
            raise
        self._metered.count(chunk)
        return chunk


class _AsyncChunks:
    """Hands on a body that comes asynchronously, chunk by chunk, and counts."""

    def __init__(self, metered: _DjangoResponse, chunks: AsyncIterator[bytes]) -> None:
        self._metered = metered
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except BaseException as end:
            self._metered.end(complete=isinstance(end, StopAsyncIteration))
            raise
        self._metered.count(chunk)
        return chunk
