"""What asks for no work is no event: redirects that a framework makes for a slash, and CORS preflights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import django_project  # noqa: F401  the settings, before anything of Django is asked for
import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import override_settings
from django.urls import include, re_path
from django.urls import path as django_path
from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse
from flask import Blueprint, Flask, redirect
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from togai_shipper.contrib import asgi, wsgi
from togai_shipper.contrib.flask import Togai
from togai_shipper.contrib.wsgi import Exchange
from togai_shipper.testing import RecordedEvents

VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
ACME: dict[str, Any] = {
    "schema_name": "api_call",
    "account_id": "acme",
    "dimensions": {"asked": lambda exchange: f"{exchange.method} {exchange.path} {exchange.status}"},
}
COMMON = ["django.middleware.common.CommonMiddleware", f"{__name__}.passing"]
TOGAI = "togai_shipper.contrib.django.TogaiMiddleware"


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


# --- what is asked: /items/ and /v1/items/ have a slash, /things has none, the rest redirects ---


def flask_app() -> Flask:
    app, v1 = Flask("shop"), Blueprint("v1", "v1")
    for router in (app, v1):
        router.add_url_rule("/items/", "items", lambda: "items", methods=VERBS)
    app.register_blueprint(v1, url_prefix="/v1")
    app.add_url_rule("/moved", "moved", lambda: redirect("/items/", 301), methods=VERBS)
    app.add_url_rule("/own", "own", lambda: redirect("/own/", 301), methods=VERBS)
    return app


def fastapi_app() -> FastAPI:
    app, v1 = FastAPI(), APIRouter()
    for router in (app, v1):
        router.api_route("/items/", methods=VERBS)(lambda: "items")
    app.api_route("/things", methods=VERBS)(lambda: "things")
    app.include_router(v1, prefix="/v1")
    app.api_route("/moved", methods=VERBS)(lambda: RedirectResponse("/items/", 301))
    app.api_route("/own", methods=VERBS)(lambda: RedirectResponse("/own/"))
    app.api_route("/own/", methods=VERBS)(lambda: "own")
    return app


async def items(request: Request) -> Response:
    return PlainTextResponse("items")


async def moved(request: Request) -> Response:
    return RedirectResponse("/items/", 301)


async def own(request: Request) -> Response:
    return RedirectResponse("/own/")


def starlette_app() -> Starlette:
    listed = [Route("/items/", items, methods=VERBS)]
    return Starlette(
        routes=[
            *listed,
            Route("/things", items, methods=VERBS),
            Mount("/v1", Starlette(routes=listed)),
            Route("/moved", moved, methods=VERBS),
            Route("/own", own, methods=VERBS),
            Route("/own/", items, methods=VERBS),
        ]
    )


def acme(exchange: Exchange) -> str:
    return "acme"


def passing(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that is a function."""
    return get_response


def django_items(request: HttpRequest) -> HttpResponse:
    return HttpResponse("items")


urlpatterns = [
    django_path("items/", django_items),
    django_path("v1/", include([django_path("items/", django_items)])),
    django_path("moved", lambda request: HttpResponseRedirect("/items/")),
    re_path("^own$", lambda request: HttpResponseRedirect("/own/")),
]


# --- how it is metered ---


def in_flask() -> Any:
    app = flask_app()
    Togai(app, **ACME)
    return app


def around_flask() -> Any:
    return wsgi.TogaiMiddleware(flask_app(), **ACME)


def around_django() -> Any:
    return wsgi.TogaiMiddleware(get_wsgi_application(), **ACME)


def around_django_under_asgi() -> Any:
    return asgi.TogaiMiddleware(get_asgi_application(), **ACME)


def in_fastapi() -> Any:
    app = fastapi_app()
    app.add_middleware(asgi.TogaiMiddleware, **ACME)
    return app


def in_starlette() -> Any:
    app = starlette_app()
    app.add_middleware(asgi.TogaiMiddleware, **ACME)
    return app


WSGI: dict[str, Callable[[], Any]] = {
    "flask": in_flask,
    "wsgi around flask": around_flask,
    "django": get_wsgi_application,
    "django, below": get_wsgi_application,
    "wsgi around django": around_django,
}
ASGI: dict[str, Callable[[], Any]] = {
    "fastapi": in_fastapi,
    "starlette": in_starlette,
    "django under asgi": get_asgi_application,
    "asgi around django": around_django_under_asgi,
}
KNOWS_VIEWS = [
    "flask",
    "wsgi around flask",
    "django",
    "django, below",
    "fastapi",
    "starlette",
    "django under asgi",
]
CUTS_SLASHES = ["fastapi", "starlette"]


def settings(name: str) -> Any:
    """Django's settings for a kind of application."""
    above = [TOGAI] if name in ("django", "django under asgi") else []
    below = [TOGAI] if name == "django, below" else []
    return override_settings(
        ROOT_URLCONF=__name__, MIDDLEWARE=[*above, *COMMON, *below], TOGAI={**ACME, "account_id": acme}
    )


async def asked(transport: Any, method: str, url: str, headers: dict[str, str] | None) -> list[int]:
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        response = await client.request(method, url, headers=headers)
        return [each.status_code for each in (*response.history, response)]


def ask(name: str, method: str, url: str, headers: dict[str, str] | None = None) -> list[int]:
    """The statuses that a client is answered with which follows redirects."""
    with settings(name):
        if name in WSGI:
            with httpx.Client(transport=httpx.WSGITransport(WSGI[name]()), follow_redirects=True) as client:
                response = client.request(method, f"http://shop:8000{url}", headers=headers)
                return [each.status_code for each in (*response.history, response)]
        return asyncio.run(asked(httpx.ASGITransport(ASGI[name]()), method, f"http://shop{url}", headers))


def told(recorded: RecordedEvents) -> list[str]:
    return [event.dimensions["asked"] for event in recorded.events]


def left_out(recorded: RecordedEvents) -> dict[str, int]:
    return {reason: count for reason, count in recorded.shipper.stats().left_out.items() if count}


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_a_redirect_for_a_slash_is_no_event_and_what_follows_it_is_one(
    recorded_events: RecordedEvents, name: str, method: str
) -> None:
    first, last = ask(name, method, "/items?page=2&q=caf%C3%A9%20+x")

    assert (first in (301, 307, 308), last) == (True, 200)
    assert [each.partition(" ")[2] for each in told(recorded_events)] == ["/items/ 200"]
    assert left_out(recorded_events) == {"slash redirect": 1}


@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_so_it_is_below_a_prefix(recorded_events: RecordedEvents, name: str) -> None:
    ask(name, "GET", "/v1/items")

    assert told(recorded_events) == ["GET /v1/items/ 200"]


@pytest.mark.parametrize("name", CUTS_SLASHES)
def test_so_it_is_where_the_slash_is_one_too_many(recorded_events: RecordedEvents, name: str) -> None:
    ask(name, "GET", "/things/?page=2")

    assert told(recorded_events) == ["GET /things 200"]


@pytest.mark.parametrize("name", ["flask", "wsgi around flask"])
def test_so_it_is_where_slashes_are_merged(recorded_events: RecordedEvents, name: str) -> None:
    ask(name, "GET", "/v1//items/")

    assert told(recorded_events) == ["GET /v1/items/ 200"]


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_a_redirect_of_the_application_to_another_page_is_an_event(
    recorded_events: RecordedEvents, name: str, method: str
) -> None:
    ask(name, method, "/moved")

    assert len(recorded_events) == 2
    assert left_out(recorded_events) == {}


@pytest.mark.parametrize("name", KNOWS_VIEWS)
def test_a_redirect_for_a_slash_that_a_view_of_the_application_makes_is_an_event(
    recorded_events: RecordedEvents, name: str
) -> None:
    ask(name, "GET", "/own")

    assert told(recorded_events)[0].startswith("GET /own 30")
    assert left_out(recorded_events) == {}


@pytest.mark.parametrize("name", ["django", "django, below"])
def test_what_is_not_found_in_django_with_a_slash_either_is_an_event(
    recorded_events: RecordedEvents, name: str
) -> None:
    ask(name, "GET", "/nowhere")
    with override_settings(APPEND_SLASH=False):
        ask(name, "GET", "/items")

    assert told(recorded_events) == ["GET /nowhere 404", "GET /items 404"]


@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_a_preflight_is_no_event(recorded_events: RecordedEvents, name: str) -> None:
    preflight = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
    ask(name, "OPTIONS", "/items/", preflight)

    recorded_events.assert_nothing_tracked()
    assert left_out(recorded_events) == {"preflight": 1}


@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_other_questions_for_options_and_other_methods_with_that_header_are_events(
    recorded_events: RecordedEvents, name: str
) -> None:
    ask(name, "OPTIONS", "/items/", {"Origin": "http://elsewhere"})
    ask(name, "GET", "/moved", {"Access-Control-Request-Method": "POST"})

    assert len(recorded_events) == 3


def test_a_redirect_from_a_form_that_did_its_work_is_an_event_also_where_nobody_says_that_a_view_made_it(
    recorded_events: RecordedEvents,
) -> None:
    def create(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("302 Found", [("Location", "/jobs/")])
        return []

    app = wsgi.TogaiMiddleware(create, **ACME)
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://shop") as client:
        client.post("/jobs")
        client.get("/jobs")

    assert told(recorded_events) == ["POST /jobs 302"]


@pytest.mark.parametrize(
    ("endpoint", "events"),
    [(None, 0), (fastapi_app, 1), (partial(fastapi_app), 1), (HTTPEndpoint, 1), (Starlette(), 0)],
    ids=["none", "function", "partial", "class", "mounted"],
)
def test_a_starlette_that_names_no_route_names_its_view(
    recorded_events: RecordedEvents, endpoint: Any, events: int
) -> None:
    async def redirecting(scope: Any, receive: Any, send: Any) -> None:
        scope.update(endpoint=endpoint)
        await RedirectResponse("/items/")(scope, receive, send)

    app = asgi.TogaiMiddleware(redirecting, **ACME)

    async def asking() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            await client.get("http://shop/items")

    asyncio.run(asking())
    assert len(recorded_events) == events


def test_a_request_is_judged_by_what_a_proxy_says_it_was(recorded_events: RecordedEvents) -> None:
    app = flask_app()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1, x_proto=1, x_prefix=1)  # type: ignore[method-assign]
    Togai(app, **ACME)
    forwarded = {
        "X-Forwarded-Host": "shop.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/api",
    }
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://10.0.0.7:8000") as client:
        found = client.get("/items", headers=forwarded)

    assert found.headers["Location"] == "https://shop.example/api/items/"
    recorded_events.assert_nothing_tracked()


def test_a_flask_that_is_mounted_redirects_below_its_prefix(recorded_events: RecordedEvents) -> None:
    app = wsgi.TogaiMiddleware(DispatcherMiddleware(Flask("root"), {"/shop": flask_app()}), **ACME)
    with httpx.Client(transport=httpx.WSGITransport(app), follow_redirects=True) as client:
        assert client.get("http://host/shop/items").text == "items"

    assert told(recorded_events) == ["GET /shop/items/ 200"]


def test_a_request_without_a_host_is_told_by_its_server(recorded_events: RecordedEvents) -> None:
    def redirecting(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("301 Moved Permanently", [("Location", "http://shop:8000/items/")])
        return []

    async def redirecting_later(scope: Any, receive: Any, send: Any) -> None:
        location = [(b"location", b"http://shop:8000/items/")]
        await send({"type": "http.response.start", "status": 301, "headers": location})
        await send({"type": "http.response.body"})

    async def nothing(message: Any) -> None: ...

    environ = {"SERVER_NAME": "shop", "SERVER_PORT": "8000", "wsgi.url_scheme": "http"}
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/items", **environ}
    wsgi.TogaiMiddleware(redirecting, **ACME)(asked, lambda *given: None)
    scope = {"type": "http", "method": "GET", "path": "/items", "server": ("shop", 8000), "headers": []}
    asyncio.run(asgi.TogaiMiddleware(redirecting_later, **ACME)(scope, None, nothing))  # type: ignore[arg-type]

    assert left_out(recorded_events) == {"slash redirect": 2}


def test_a_test_that_expected_an_event_is_told_what_was_left_out(recorded_events: RecordedEvents) -> None:
    ask("flask", "OPTIONS", "/items/", {"Access-Control-Request-Method": "POST"})

    with pytest.raises(AssertionError, match="left out: preflight 1"):
        recorded_events.assert_tracked("api_call")


def test_when_is_not_asked_about_what_is_left_out(recorded_events: RecordedEvents) -> None:
    asked: list[Exchange] = []

    def when(exchange: Exchange) -> bool:
        asked.append(exchange)
        return True

    app = flask_app()
    Togai(app, **ACME, when=when)
    app.test_client().get("/items", follow_redirects=True)

    assert [exchange.status for exchange in asked] == [200]
