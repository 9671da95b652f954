"""Django's application and middleware, sync and async: an event a request."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import django_project  # noqa: F401  the settings, before anything of Django is asked for
import pytest
from asgiref.sync import iscoroutinefunction
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotFound, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

import togai_shipper
from togai_shipper import ConfigurationError
from togai_shipper.contrib.django import Exchange, TogaiMiddleware
from togai_shipper.testing import RecordedEvents

ACME = {"account": "acme"}


class Body:
    """Chunks, with an end of its own."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self._chunks = iter(chunks)
        self._error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks, None)
        if chunk is not None:
            return chunk
        raise self._error or StopIteration

    def close(self) -> None:
        self.closed += 1


async def chunks() -> AsyncIterator[bytes]:
    yield b"hel"
    yield b"lo"


async def item_later(request: HttpRequest, item: int) -> HttpResponse:
    return HttpResponse(str(item))


async def stream_later(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks())


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError


def leave(request: HttpRequest) -> HttpResponse:
    raise KeyboardInterrupt


async def leave_later(request: HttpRequest) -> HttpResponse:
    raise asyncio.CancelledError


urlpatterns = [
    path("items/<int:item>", lambda request, item: HttpResponse(str(item))),
    path("later/<int:item>", item_later),
    path("stream", lambda request: StreamingHttpResponse(Body(b"hel", b"lo"))),
    path("stream-later", stream_later),
    path("file", lambda request: FileResponse(io.BytesIO(b"hello"), content_type="text/plain")),
    path("error", fail),
    path("leave", leave),
    path("leave-later", leave_later),
]


def account(exchange: Exchange) -> Any:
    return exchange.request.headers.get("account")


def acme(exchange: Exchange) -> str:
    return "acme"


def was_found(exchange: Exchange) -> bool:
    return exchange.status != 404


TOGAI = {
    "schema_name": "api_call",
    "account_id": account,
    "attributes": {"count": 1, "size": lambda exchange: exchange.response_bytes},
    "dimensions": {
        "route": lambda exchange: exchange.route or "none",
        "path": lambda exchange: exchange.path,
        "status": lambda exchange: str(exchange.status),
    },
    "outcome": "outcome",
}

PROJECT = override_settings(
    MIDDLEWARE=["togai_shipper.contrib.django.TogaiMiddleware"], ROOT_URLCONF=__name__, TOGAI=TOGAI
)


@pytest.fixture(autouse=True)
def _project() -> Iterator[None]:
    with PROJECT:
        yield


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


def client() -> Client:
    return Client(raise_request_exception=False, headers=ACME)


def test_a_request_is_an_event_with_what_the_functions_say_of_it(recorded_events: RecordedEvents) -> None:
    assert client().get("/items/7?key=secret").content == b"7"

    recorded_events.assert_tracked(
        "api_call",
        account="acme",
        attributes={"count": 1, "size": 1},
        dimensions={"route": "items/<int:item>", "path": "/items/7", "status": "200", "outcome": "ok"},
        times=1,
    )


def test_a_request_of_a_coroutine_is_an_event(recorded_events: RecordedEvents) -> None:
    async def asking() -> Any:
        return await AsyncClient().get("/later/7", headers=ACME)

    assert asyncio.run(asking()).content == b"7"
    recorded_events.assert_tracked(
        "api_call", account="acme", dimensions={"route": "later/<int:item>", "outcome": "ok"}, times=1
    )


def test_a_response_that_is_streamed_is_counted_at_its_end(recorded_events: RecordedEvents) -> None:
    response = client().get("/stream")
    recorded_events.assert_nothing_tracked()
    assert b"".join(response.streaming_content) == b"hello"

    recorded_events.assert_tracked("api_call", attributes={"size": 5}, dimensions={"outcome": "ok"}, times=1)


def test_around_a_coroutine_function_it_is_one() -> None:
    async def get_response(request: HttpRequest) -> HttpResponse: ...  # type: ignore[empty-body]

    assert iscoroutinefunction(TogaiMiddleware(get_response))
    assert not iscoroutinefunction(TogaiMiddleware(fail))


def test_a_response_that_is_streamed_by_a_coroutine_is_counted_at_its_end(
    recorded_events: RecordedEvents,
) -> None:
    async def asking() -> bytes:
        response = await AsyncClient().get("/stream-later", headers=ACME)
        return b"".join([chunk async for chunk in response.streaming_content])

    assert asyncio.run(asking()) == b"hello"
    recorded_events.assert_tracked("api_call", attributes={"size": 5}, dimensions={"outcome": "ok"}, times=1)


def answered(response: Any, **measures: Any) -> Any:
    """What the middleware hands on of a view's response."""
    with override_settings(TOGAI={**TOGAI, "account_id": lambda exchange: "acme", **measures}):
        request = HttpRequest()
        request.method, request.path = "GET", "/"
        return TogaiMiddleware(lambda request: response)(request)


def test_a_body_that_is_closed_early_is_cut_short_and_is_closed_once(recorded_events: RecordedEvents) -> None:
    body = Body(b"hel", b"lo")
    response = answered(StreamingHttpResponse(body))
    assert next(iter(response)) == b"hel"
    response.close()

    assert body.closed == 1
    recorded_events.assert_tracked(
        "api_call", attributes={"size": 3}, dimensions={"outcome": "error"}, times=1
    )


def test_an_error_in_the_body_is_raised_and_the_request_has_failed(recorded_events: RecordedEvents) -> None:
    response = answered(StreamingHttpResponse(Body(b"hel", error=LookupError())))
    with pytest.raises(LookupError):
        list(response)
    response.close()

    recorded_events.assert_tracked(
        "api_call", attributes={"size": 3}, dimensions={"outcome": "error"}, times=1
    )


def test_an_error_in_the_body_of_a_coroutine_is_raised_and_the_request_has_failed(
    recorded_events: RecordedEvents,
) -> None:
    async def hurt() -> AsyncIterator[bytes]:
        yield b"hel"
        raise LookupError

    async def reading() -> None:
        async for _ in answered(StreamingHttpResponse(hurt())):
            pass

    with pytest.raises(LookupError):
        asyncio.run(reading())
    recorded_events.assert_tracked(
        "api_call", attributes={"size": 3}, dimensions={"outcome": "error"}, times=1
    )


def test_a_file_that_the_server_knows_how_to_send_stays_one(recorded_events: RecordedEvents) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/file", "HTTP_ACCOUNT": "acme", "wsgi.file_wrapper": FileWrapper}
    setup_testing_defaults(environ)
    body = WSGIHandler()(environ, lambda status, headers: None)
    assert type(body) is FileWrapper
    recorded_events.assert_nothing_tracked()
    body.close()

    recorded_events.assert_tracked("api_call", attributes={"size": 5}, dimensions={"outcome": "ok"}, times=1)


def test_a_file_is_counted_before_django_closes_the_connections_of_the_request(
    recorded_events: RecordedEvents,
) -> None:
    told: list[str] = []
    finished: Any = lambda **_: told.append("finished")  # noqa: E731  short
    request_finished.connect(finished)
    with override_settings(TOGAI={**TOGAI, "account_id": lambda exchange: told.append("counted")}):
        environ: dict[str, Any] = {"PATH_INFO": "/file", "wsgi.file_wrapper": FileWrapper}
        setup_testing_defaults(environ)
        WSGIHandler()(environ, lambda status, headers: None).close()  # type: ignore[attr-defined]

    request_finished.disconnect(finished)
    assert told == ["counted", "finished"]


def test_an_error_of_a_view_is_answered_by_django_and_the_request_has_failed(
    recorded_events: RecordedEvents,
) -> None:
    assert client().get("/error").status_code == 500

    recorded_events.assert_tracked("api_call", dimensions={"status": "500", "outcome": "error"}, times=1)


def test_a_view_that_ends_the_process_does_so_and_the_request_has_failed(
    recorded_events: RecordedEvents,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        client().get("/leave")

    recorded_events.assert_tracked("api_call", dimensions={"status": "None", "outcome": "error"}, times=1)


def test_a_request_that_is_cancelled_has_failed_and_stays_cancelled(recorded_events: RecordedEvents) -> None:
    async def asking() -> None:
        await AsyncClient().get("/leave-later", headers=ACME)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asking())
    recorded_events.assert_tracked("api_call", dimensions={"status": "None", "outcome": "error"}, times=1)


def test_a_path_that_is_no_route_has_none(recorded_events: RecordedEvents) -> None:
    assert client().get("/nowhere").status_code == 404

    recorded_events.assert_tracked("api_call", dimensions={"route": "none", "status": "404"}, times=1)


def test_no_account_no_event(recorded_events: RecordedEvents) -> None:
    Client().get("/items/7")

    recorded_events.assert_nothing_tracked()


def test_a_bad_event_is_refused_and_the_request_answered(recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    response = HttpResponseNotFound()

    assert (
        answered(response, account_id=lambda exchange: exchange.request.nobody, shipper=shipper) is response
    )
    assert shipper.stats().refused["invalid"] == 1


def test_a_function_says_which_requests_count(recorded_events: RecordedEvents) -> None:
    answered(HttpResponseNotFound(), when=f"{__name__}.was_found")
    answered(HttpResponse(), when=f"{__name__}.was_found")

    recorded_events.assert_tracked("api_call", dimensions={"status": "200"}, times=1)


def test_a_function_may_be_where_to_import_it_from(recorded_events: RecordedEvents) -> None:
    answered(HttpResponse(), account_id=f"{__name__}.acme")

    recorded_events.assert_tracked("api_call", account="acme", times=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schema_name": "api_call"}, "TOGAI must say account_id"),
        ({**TOGAI, "acount": 1, "x": 1}, "TOGAI must not have 'acount', 'x'"),
        ({**TOGAI, "account_id": "os.nobody"}, r"TOGAI\['account_id'\]: .*nobody"),
        ({**TOGAI, "when": True}, "TOGAI: when must be a function that returns a bool, not bool"),
    ],
)
def test_wrong_settings_are_an_error_at_start(wrong: dict[str, Any], message: str) -> None:
    with override_settings(TOGAI=wrong), pytest.raises(ImproperlyConfigured, match=message):
        TogaiMiddleware(lambda request: HttpResponse())


def test_the_application_makes_the_default_shipper_with_its_options(recorded_events: RecordedEvents) -> None:
    with override_settings(TOGAI={**TOGAI, "options": {"close_timeout": 3}}):
        apps.get_app_config("togai_shipper").ready()

    assert recorded_events.shipper.close_timeout == 3


def test_wrong_options_are_an_error_at_start(recorded_events: RecordedEvents) -> None:
    with (
        override_settings(TOGAI={"options": {"close_timeout": -1}}),
        pytest.raises(ConfigurationError, match="close_timeout"),
    ):
        apps.get_app_config("togai_shipper").ready()
    togai_shipper.close()
