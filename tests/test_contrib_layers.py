"""A request that goes through several middlewares is one event for each shipper and schema."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import django_project  # noqa: F401  the settings, before anything of Django is asked for
import httpx
import pytest
from asgiref.wsgi import WsgiToAsgi
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from fastapi import FastAPI
from flask import Flask, Response, g
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from togai_shipper.contrib import asgi, wsgi
from togai_shipper.contrib.flask import Togai
from togai_shipper.testing import RecordedEvents

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is deprecated, and in use
    from starlette.middleware.wsgi import WSGIMiddleware

TOGAI = "togai_shipper.contrib.django.TogaiMiddleware"


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


def by(layer: str, **measures: Any) -> Any:
    """The arguments of a middleware whose events say which layer has made them, and what it saw."""
    seen = {"layer": layer, "saw": lambda exchange: f"{exchange.status} {exchange.route}"}
    return {"schema_name": "api_call", "account_id": "acme", "dimensions": seen, **measures}


def told(recorded: RecordedEvents) -> list[tuple[str, str]]:
    return [(event.dimensions["layer"], event.dimensions["saw"]) for event in recorded.events]


def twice(recorded: RecordedEvents) -> int:
    return recorded.shipper.stats().left_out["twice"]


# --- WSGI ---


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def streaming(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"hel"
    yield b"lo"


def ask(app: Any, url: str = "/items/7", method: str = "GET") -> str:
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://shop") as client:
        return client.request(method, url).text


@pytest.mark.parametrize("app", [hello, streaming])
def test_two_of_wsgi_are_one_event_of_the_inner_one(recorded_events: RecordedEvents, app: Any) -> None:
    inner = wsgi.TogaiMiddleware(app, **by("inner"))

    assert ask(wsgi.TogaiMiddleware(inner, **by("outer"))) == "hello"
    assert told(recorded_events) == [("inner", "200 None")]
    assert twice(recorded_events) == 1


def test_two_schemas_are_two_events(recorded_events: RecordedEvents) -> None:
    inner = wsgi.TogaiMiddleware(hello, **by("inner", schema_name="traffic"))
    ask(wsgi.TogaiMiddleware(inner, **by("outer")))

    recorded_events.assert_tracked("traffic", times=1)
    recorded_events.assert_tracked("api_call", times=1)
    assert twice(recorded_events) == 0


def test_two_shippers_are_two_events(recorded_events: RecordedEvents) -> None:
    other = recorded_events.make()
    inner = wsgi.TogaiMiddleware(hello, **by("inner", shipper=other))
    ask(wsgi.TogaiMiddleware(inner, **by("outer")))

    assert (other.stats().accepted, recorded_events.shipper.stats().accepted) == (1, 1)


def test_the_default_shipper_is_the_same_one_whether_it_is_named_or_not(
    recorded_events: RecordedEvents,
) -> None:
    inner = wsgi.TogaiMiddleware(hello, **by("inner", shipper=recorded_events.shipper))
    ask(wsgi.TogaiMiddleware(inner, **by("outer")))

    assert len(recorded_events) == 1


@pytest.mark.parametrize(
    "no_event",
    [
        {"account_id": lambda exchange: None},
        {"when": lambda exchange: False},
        {"account_id": lambda exchange: exchange.request["nobody"]},
    ],
    ids=["no account", "when", "an error"],
)
def test_where_the_inner_one_makes_no_event_the_outer_one_does(
    recorded_events: RecordedEvents, no_event: dict[str, Any]
) -> None:
    inner = wsgi.TogaiMiddleware(hello, **by("inner", **no_event))
    ask(wsgi.TogaiMiddleware(inner, **by("outer")))

    assert told(recorded_events) == [("outer", "200 None")]


def test_where_the_inner_one_is_not_asked_the_outer_one_makes_the_event(
    recorded_events: RecordedEvents,
) -> None:
    mounted = DispatcherMiddleware(hello, {"/v1": wsgi.TogaiMiddleware(hello, **by("inner"))})
    app = wsgi.TogaiMiddleware(mounted, **by("outer"))
    ask(app, "/items/7")
    ask(app, "/v1/items/7")

    assert [layer for layer, _ in told(recorded_events)] == ["outer", "inner"]


def test_what_is_left_out_for_what_it_is_is_counted_once_as_that(recorded_events: RecordedEvents) -> None:
    app = wsgi.TogaiMiddleware(wsgi.TogaiMiddleware(hello, **by("inner")), **by("outer"))
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://shop") as client:
        client.options("/", headers={"Access-Control-Request-Method": "POST"})

    left_out = recorded_events.shipper.stats().left_out
    assert (left_out["preflight"], left_out["twice"]) == (1, 1)


def test_an_environ_that_is_used_again_is_another_request(recorded_events: RecordedEvents) -> None:
    app = wsgi.TogaiMiddleware(hello, **by("only"))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    app(environ, lambda *given: None)
    app(environ, lambda *given: None)

    assert len(recorded_events) == 2
    assert environ == {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}


# --- Flask ---


def flask_app() -> Flask:
    app = Flask("shop")

    @app.get("/items/<item>")
    def item(item: str) -> str:
        g.account = "acme"
        return item

    app.add_url_rule("/stream", "stream", lambda: Response(iter(["hel", "lo"])))
    return app


@pytest.mark.parametrize("url", ["/items/7", "/stream"])
def test_two_extensions_of_one_flask_are_one_event_of_the_one_that_was_set_up_first(
    recorded_events: RecordedEvents, url: str
) -> None:
    app = flask_app()
    Togai(app, **by("first"))
    Togai(app, **by("second"))

    app.test_client().get(url).close()
    assert [layer for layer, _ in told(recorded_events)] == ["first"]


def test_two_extensions_may_share_the_requests_among_them(recorded_events: RecordedEvents) -> None:
    app = flask_app()
    Togai(app, **by("items", when=lambda exchange: exchange.path != "/stream"))
    Togai(app, **by("streams", when=lambda exchange: exchange.path == "/stream"))

    app.test_client().get("/items/7").close()
    app.test_client().get("/stream").close()
    assert [layer for layer, _ in told(recorded_events)] == ["items", "streams"]


def test_wsgi_around_a_metered_flask_is_one_event_of_the_extension_which_knows_the_route(
    recorded_events: RecordedEvents,
) -> None:
    app = flask_app()
    Togai(app, **by("flask", account_id=lambda exchange: g.account))

    assert ask(wsgi.TogaiMiddleware(app, **by("wsgi"))) == "7"
    assert told(recorded_events) == [("flask", "200 /items/<item>")]


def test_a_metered_flask_that_is_mounted_in_another_is_one_event(recorded_events: RecordedEvents) -> None:
    parent, child = flask_app(), flask_app()
    Togai(child, **by("child"))
    parent.wsgi_app = DispatcherMiddleware(parent.wsgi_app, {"/v1": child})  # type: ignore[method-assign]
    Togai(parent, **by("parent"))

    ask(parent, "/v1/items/7")
    ask(parent, "/items/7")
    assert [layer for layer, _ in told(recorded_events)] == ["child", "parent"]


# --- Django ---

urlpatterns = [
    path("items/<int:item>", lambda request, item: HttpResponse(str(item))),
    path("stream", lambda request: StreamingHttpResponse(iter([b"hel", b"lo"]))),
]


def settings(*middleware: str) -> Any:
    return override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=middleware,
        TOGAI=by("django", account_id=lambda exchange: "acme"),
    )


@pytest.mark.parametrize("url", ["/items/7", "/stream"])
def test_a_middleware_that_django_is_told_of_twice_makes_one_event(
    recorded_events: RecordedEvents, url: str
) -> None:
    with settings(TOGAI, TOGAI):
        response = Client().get(url)
        list(response)
        response.close()

    assert len(recorded_events) == twice(recorded_events) == 1


def test_so_it_does_under_asgi(recorded_events: RecordedEvents) -> None:
    async def asking() -> None:
        await AsyncClient().get("/items/7")

    with settings(TOGAI, TOGAI):
        asyncio.run(asking())

    assert len(recorded_events) == twice(recorded_events) == 1


def test_wsgi_around_a_metered_django_is_one_event_of_its_middleware(recorded_events: RecordedEvents) -> None:
    with settings(TOGAI):
        ask(wsgi.TogaiMiddleware(get_wsgi_application(), **by("wsgi")))

    assert told(recorded_events) == [("django", "200 items/<int:item>")]


# --- ASGI ---


async def item(request: Request) -> PlainTextResponse:
    return PlainTextResponse("7")


async def stream(request: Request) -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        yield "hel"
        yield "lo"

    return StreamingResponse(chunks())


async def fail(request: Request) -> PlainTextResponse:
    raise HTTPException(418)


def starlette_app(*layers: Any, prefix: str = "") -> Starlette:
    """One under middlewares, the innermost first."""
    app = Starlette(
        routes=[
            Route(f"{prefix}/items/{{item}}", item),
            Route(f"{prefix}/stream", stream),
            Route(f"{prefix}/fail", fail),
        ]
    )
    for layer in layers:
        if isinstance(layer, dict):
            app.add_middleware(asgi.TogaiMiddleware, **layer)
        else:
            app.add_middleware(layer)
    return app


class Between(BaseHTTPMiddleware):
    """Hands a response on from a task of its own, after it has ended within."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


def ask_later(app: Any, url: str = "/items/7") -> str:
    async def asking() -> str:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return (await client.get(url)).text

    return asyncio.run(asking())


@pytest.mark.parametrize("url", ["/items/7", "/stream", "/nowhere", "/fail"])
@pytest.mark.parametrize("between", [[], [Between], [GZipMiddleware]], ids=["none", "base", "gzip"])
def test_two_of_asgi_are_one_event_of_the_inner_one(
    recorded_events: RecordedEvents, url: str, between: list[Any]
) -> None:
    ask_later(starlette_app(by("inner"), *between, by("outer")), url)

    assert [layer for layer, _ in told(recorded_events)] == ["inner"]
    assert twice(recorded_events) == 1


def test_three_of_asgi_are_counted_from_within(recorded_events: RecordedEvents) -> None:
    size = {"attributes": {"size": lambda exchange: exchange.response_bytes}}
    unknown = {"account_id": lambda exchange: None}
    app = starlette_app(by("innermost", **unknown), by("middle", **size), by("outermost", **size))

    assert ask_later(app, "/stream") == "hello"
    assert [layer for layer, _ in told(recorded_events)] == ["middle"]
    recorded_events.assert_tracked("api_call", attributes={"size": 5}, times=1)


def test_a_mounted_application_and_its_parent_are_one_event(recorded_events: RecordedEvents) -> None:
    app = Starlette(routes=[Mount("/v1", starlette_app(by("child"))), Route("/items/{item}", item)])
    app.add_middleware(asgi.TogaiMiddleware, **by("parent"))

    ask_later(app, "/v1/items/7")
    ask_later(app, "/items/7")
    assert told(recorded_events) == [("child", "200 /v1/items/{item}"), ("parent", "200 /items/{item}")]


def test_so_they_are_in_fastapi(recorded_events: RecordedEvents) -> None:
    parent, child = FastAPI(), FastAPI()
    child.get("/items/{item}")(lambda item: item)
    child.add_middleware(asgi.TogaiMiddleware, **by("child"))
    parent.mount("/v1", child)
    parent.add_middleware(asgi.TogaiMiddleware, **by("parent"))

    ask_later(parent, "/v1/items/7")
    assert told(recorded_events) == [("child", "200 /v1/items/{item}")]


def test_the_outer_one_does_not_wait_for_an_inner_one_whose_answer_it_does_not_give(
    recorded_events: RecordedEvents,
) -> None:
    answered = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await answered.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    inner = asgi.TogaiMiddleware(slow, **by("inner"))

    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        async def ignored(message: Any) -> None: ...

        task = asyncio.ensure_future(inner(scope, receive, ignored))
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 504, "headers": []})
        await send({"type": "http.response.body"})
        recorded_events.assert_tracked("api_call", times=1)
        answered.set()
        await task

    ask_later(asgi.TogaiMiddleware(impatient, **by("outer")))
    assert told(recorded_events) == [("outer", "504 None")]


def test_an_inner_response_that_could_not_be_handed_on_is_cut_short_though_the_client_was_answered(
    recorded_events: RecordedEvents,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"hello"})
        answered.set()
        await asyncio.Event().wait()

    inner = asgi.TogaiMiddleware(app, **by("inner", outcome="outcome"))

    async def replacing(scope: Any, receive: Any, send: Any) -> None:
        async def refusing(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise OSError

        task = asyncio.ensure_future(inner(scope, receive, refusing))
        await answered.wait()
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    answered = asyncio.Event()
    ask_later(asgi.TogaiMiddleware(replacing, **by("outer", schema_name="traffic")))
    recorded_events.assert_tracked("api_call", dimensions={"outcome": "error"}, times=1)


# --- one in another ---


@pytest.mark.parametrize("bridge", [WSGIMiddleware, WsgiToAsgi])
def test_a_metered_wsgi_that_is_mounted_in_asgi_is_one_event(
    recorded_events: RecordedEvents, bridge: Any
) -> None:
    child = flask_app()
    Togai(child, **by("flask"))
    app = Starlette(routes=[Mount("/v1", bridge(child)), Route("/items/{item}", item)])
    app.add_middleware(asgi.TogaiMiddleware, **by("asgi"))

    assert ask_later(app, "/v1/items/caf%C3%A9?page=2") == "café"
    assert told(recorded_events) == [("flask", "200 /items/<item>")]
    ask_later(app, "/items/7")
    assert told(recorded_events)[1:] == [("asgi", "200 /items/{item}")]


def test_a_metered_django_under_wsgi_that_is_mounted_in_asgi_is_one_event(
    recorded_events: RecordedEvents,
) -> None:
    with settings(TOGAI):
        app = Starlette(routes=[Mount("/v1", WSGIMiddleware(get_wsgi_application()))])
        app.add_middleware(asgi.TogaiMiddleware, **by("asgi"))
        assert ask_later(app, "/v1/items/7") == "7"

    assert told(recorded_events) == [("django", "200 items/<int:item>")]


@pytest.mark.parametrize(
    ("method", "url"), [("GET", "/other/7"), ("GET", "/items/7?page=2"), ("POST", "/items/7")]
)
def test_another_request_that_an_application_makes_within_its_process_is_an_event_of_its_own(
    recorded_events: RecordedEvents, method: str, url: str
) -> None:
    inside = wsgi.TogaiMiddleware(hello, **by("inside"))

    async def asking(request: Request) -> PlainTextResponse:
        return PlainTextResponse(ask(inside, url, method))

    app = Starlette(routes=[Route("/items/{item}", asking)])
    app.add_middleware(asgi.TogaiMiddleware, **by("asgi"))

    assert ask_later(app) == "hello"
    assert [layer for layer, _ in told(recorded_events)] == ["inside", "asgi"]


def test_so_is_one_that_is_made_after_the_first_is_over(recorded_events: RecordedEvents) -> None:
    async def asking() -> None:
        app = asgi.TogaiMiddleware(starlette_app(), **by("asgi"))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await client.get("/items/7")
        ask(wsgi.TogaiMiddleware(hello, **by("wsgi")))

    asyncio.run(asking())
    assert [layer for layer, _ in told(recorded_events)] == ["asgi", "wsgi"]


def test_a_coroutine_that_is_closed_elsewhere_disturbs_nobody(recorded_events: RecordedEvents) -> None:
    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def begin() -> Any:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asked = asgi.TogaiMiddleware(waiting, **by("asgi"))(scope, None, None)  # type: ignore[arg-type]
        asked.send(None)  # type: ignore[attr-defined]  # a coroutine
        return asked

    asyncio.run(begin()).close()  # in a context that is not the one in which it began
    assert told(recorded_events) == [("asgi", "None None")]


def test_a_request_that_is_over_is_kept_by_nothing(recorded_events: RecordedEvents) -> None:
    class Scope(dict[str, Any]):
        """One whose end can be seen."""

    async def asking() -> weakref.ref[Any]:
        scope = Scope(type="http", method="GET", path="/stream", headers=[], query_string=b"")

        async def send(message: Any) -> None: ...

        app = asgi.TogaiMiddleware(asgi.TogaiMiddleware(streaming_later, **by("inner")), **by("outer"))
        await app(scope, None, send)  # type: ignore[arg-type]
        return weakref.ref(scope)

    async def streaming_later(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    gc.disable()
    try:
        assert asyncio.run(asking())() is None
    finally:
        gc.enable()


def test_a_request_that_django_has_not_made_of_an_environ_is_an_event(
    recorded_events: RecordedEvents,
) -> None:
    from togai_shipper.contrib.django import TogaiMiddleware  # noqa: PLC0415  with the settings

    request = HttpRequest()
    request.method, request.path = "GET", "/"
    with settings():
        TogaiMiddleware(lambda request: HttpResponse())(request)

    assert len(recorded_events) == 1
    assert request.META == {}
