"""The route of a request is the whole pattern, whatever is mounted in what: by the real frameworks."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint, Flask
from hypercorn.middleware import DispatcherMiddleware as AsgiDispatcher
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar, asgi, get
from litestar import Router as LitestarRouter
from litestar.middleware import DefineMiddleware
from litestar.response import Redirect as LitestarRedirect
from litestar.types import Receive, Scope, Send
from quart import Blueprint as QuartBlueprint
from quart import Quart
from quart import redirect as quart_redirect
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from togai_shipper.contrib import flask, wsgi
from togai_shipper.contrib.asgi import Exchange, TogaiMiddleware
from togai_shipper.testing import RecordedEvents


@pytest.fixture(autouse=True)
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


async def answer(request: Request) -> Response:
    return PlainTextResponse("hello")


ROUTES = [Route("/items/{item}", answer), Route("/", answer)]


async def request(app: Any, url: str, root: str) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        await client.get(url)


def route(app: Any, url: str, root: str = "") -> str | None:
    """The route that the middleware around ``app`` is told of."""
    told: list[Exchange] = []
    asyncio.run(request(TogaiMiddleware(app, schema_name="api_call", account_id=told.append), url, root))
    [exchange] = told
    return exchange.route


def starlette() -> Starlette:
    inner = Starlette(routes=[*ROUTES, Mount("/shelves/{shelf}", routes=ROUTES)])
    return Starlette(
        routes=[
            *ROUTES,
            Mount("/shops/{shop}", app=inner),
            Mount("/packed/{shop}", app=GZipMiddleware(inner)),
            Host("{name}.host", app=Starlette(routes=[Mount("/shops/{shop}", app=inner)])),
            Mount("/{anything}", app=PlainTextResponse("hello")),
        ]
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/items/7", "/items/{item}"),
        ("/shops/1/items/7", "/shops/{shop}/items/{item}"),
        ("/shops/1/", "/shops/{shop}/"),
        ("/shops/1/shelves/2/items/7", "/shops/{shop}/shelves/{shelf}/items/{item}"),
        ("/packed/1/shelves/2/items/7", "/packed/{shop}/shelves/{shelf}/items/{item}"),
        ("http://its.host/shops/1/items/7", "/shops/{shop}/items/{item}"),
        ("/shops/1/nowhere", "/shops/{shop}"),
        ("/other/items/7", "/{anything}"),
    ],
)
def test_starlettes_route_is_the_pattern_of_every_mount_on_the_way(url: str, expected: str | None) -> None:
    assert route(starlette(), url) == expected


def test_what_the_server_has_mounted_is_in_no_route() -> None:
    assert route(starlette(), "/behind/shops/1/items/7", root="/behind") == "/shops/{shop}/items/{item}"


def test_a_pattern_of_too_many_mounts_ends_as_the_client_wrote_it() -> None:
    routes: list[BaseRoute] = [*ROUTES]
    for _ in range(22):
        routes = [Mount("/in/{shop}", routes=routes)]

    expected = 20 * "/in/{shop}" + 2 * "/in/1" + "/items/{item}"
    assert route(Starlette(routes=routes), 22 * "/in/1" + "/items/7") == expected


def test_the_route_that_an_inner_middleware_is_told_of_starts_where_the_outermost_application_does() -> None:
    told: list[Exchange] = []
    inner = TogaiMiddleware(Starlette(routes=ROUTES), schema_name="api_call", account_id=told.append)

    asyncio.run(request(Starlette(routes=[Mount("/shops/{shop}", app=inner)]), "/shops/1/items/7", ""))

    assert [exchange.route for exchange in told] == ["/shops/{shop}/items/{item}"]


def fastapi() -> FastAPI:
    items, shelves = APIRouter(prefix="/items"), APIRouter()
    items.get("/{item}")(lambda item: item)
    items.add_route("/plain/{item}", answer)
    shelves.include_router(items, prefix="/shelves/{shelf}")
    mounted, app = FastAPI(), FastAPI()
    for each in (mounted, app):
        each.include_router(shelves, prefix="/v1")
        each.add_route("/plain/{item}", answer)
    mounted.mount("/starlette/{name}", Starlette(routes=ROUTES))
    app.mount("/shops/{shop}", mounted)
    return app


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/v1/shelves/2/items/7", "/v1/shelves/{shelf}/items/{item}"),
        ("/plain/7", "/plain/{item}"),
        ("/docs", "/docs"),
        ("/shops/1/v1/shelves/2/items/7", "/shops/{shop}/v1/shelves/{shelf}/items/{item}"),
        ("/shops/1/plain/7", "/shops/{shop}/plain/{item}"),
        ("/shops/1/v1/shelves/2/plain/7", "/shops/{shop}/v1/shelves/{shelf}/plain/{item}"),
        ("/shops/1/starlette/2/items/7", "/shops/{shop}/starlette/{name}/items/{item}"),
        ("/shops/1/nowhere", "/shops/{shop}"),
        ("/nowhere", None),
    ],
)
def test_fastapis_route_has_the_prefix_of_every_router_and_every_application(
    url: str, expected: str | None
) -> None:
    assert route(fastapi(), url) == expected


@get("/items/{item:int}", sync_to_thread=False)
def litestars_item() -> int:
    return 7


@asgi("/mounted", is_mount=True, copy_scope=False)
async def mounted_in_litestar(scope: Scope, receive: Receive, send: Send) -> None:
    routes = [Mount("/shops/{shop}", routes=[Route("/items/{item}/", answer)])]
    await Starlette(routes=routes)(scope, receive, send)  # type: ignore[arg-type]  # of the same protocol


def litestar(**options: Any) -> Litestar:
    shelves = LitestarRouter("/shelves/{shelf:str}", route_handlers=[litestars_item])
    handlers = [litestars_item, shelves, mounted_in_litestar]
    return Litestar(handlers, openapi_config=None, logging_config=None, **options)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/items/7", "/items/{item}"),
        ("/shelves/2/items/7", "/shelves/{shelf}/items/{item}"),
        ("/mounted/nowhere", "/mounted"),
        ("/nowhere", None),
    ],
)
def test_litestars_route_is_its_whole_template(url: str, expected: str | None) -> None:
    assert route(litestar(), url) == expected
    assert route(litestar(), f"/behind{url}", root="/behind") == expected


def test_the_route_of_an_application_that_litestar_has_mounted_begins_with_the_mount() -> None:
    expected = "/mounted/shops/{shop}/items/{item}/"  # Litestar ends the path of what it mounts by a slash

    assert route(litestar(), "/mounted/shops/1/items/7") == expected


def test_litestars_route_is_known_to_a_middleware_that_litestar_has_made() -> None:
    told: list[Exchange] = []
    measures: Any = {"schema_name": "api_call", "account_id": told.append}
    app = litestar(middleware=[DefineMiddleware(TogaiMiddleware, **measures)])

    asyncio.run(request(app, "/shelves/2/items/7", ""))

    assert [exchange.route for exchange in told] == ["/shelves/{shelf}/items/{item}"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/shops/1/shelves/2/items/7", "/shops/{shop}/shelves/{shelf}/items/{item}"),
        ("/shops/1/nowhere", "/shops/{shop}"),
    ],
)
def test_the_route_of_litestar_that_starlette_has_mounted_begins_with_the_mount(
    url: str, expected: str
) -> None:
    assert route(Starlette(routes=[Mount("/shops/{shop}", app=litestar())]), url) == expected


def quart() -> Quart:
    app, shelves = Quart("shop"), QuartBlueprint("shelves", "shelves", url_prefix="/shelves/<shelf>")

    async def item(item: int, shelf: str = "") -> str:
        return shelf

    app.add_url_rule("/items/<int:item>", "item", item)
    shelves.add_url_rule("/items/<int:item>", "item", item)
    app.register_blueprint(shelves)
    return app


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/items/7", "/items/<int:item>"),
        ("/shelves/2/items/7", "/shelves/<shelf>/items/<int:item>"),
        ("/nowhere", None),
    ],
)
def test_quarts_route_is_its_rule(url: str, expected: str | None) -> None:
    assert route(quart(), url) == expected
    assert route(quart(), f"/behind{url}", root="/behind") == expected


def test_quarts_route_is_known_to_a_middleware_within_it() -> None:
    app, told = quart(), list[Exchange]()
    metered = TogaiMiddleware(app.asgi_app, schema_name="api_call", account_id=told.append)
    app.asgi_app = metered  # type: ignore[method-assign]  # as Quart says to

    asyncio.run(request(app, "/items/7", ""))

    assert [exchange.route for exchange in told] == ["/items/<int:item>"]


def test_the_route_of_quart_that_is_mounted_begins_with_the_mount() -> None:
    in_starlette = Starlette(routes=[Mount("/shops/{shop}", app=quart())])
    by_hypercorn: Any = AsgiDispatcher({"/shops": quart()})

    assert route(in_starlette, "/shops/1/items/7") == "/shops/{shop}/items/<int:item>"
    assert route(by_hypercorn, "/shops/items/7") == "/shops/items/<int:item>"


def test_a_request_of_quart_that_nobody_meters_is_answered() -> None:
    TogaiMiddleware(quart(), schema_name="api_call", account_id="acme")  # it listens from now on

    assert asyncio.run(quart().test_client().get("/items/7")).status_code == 200


SEGMENTS = st.sampled_from(["/shops/{shop}", "/v1", "/v1/{one}/{other}", "/{anything}"])
LAYERS: dict[str, Callable[[str, Any], Any]] = {
    "Starlette": lambda path, app: Starlette(routes=[Mount(path, app=app)]),
    "FastAPI": lambda path, app: mounted_in(FastAPI(), path, app),
    "a router": lambda path, app: mounted_in(APIRouter(), path, app),
    "packed": lambda path, app: GZipMiddleware(Starlette(routes=[Mount(path, app=app)])),
}
INNERMOST: dict[str, Callable[[], Any]] = {
    "/items/{item}": lambda: Starlette(routes=ROUTES),
    "/v1/shelves/{shelf}/items/{item}": fastapi,
    "/shelves/{shelf}/items/{item}": litestar,
    "/shelves/<shelf>/items/<int:item>": quart,
}


def mounted_in(parent: Any, path: str, app: Any) -> Any:
    parent.mount(path, app)
    return parent


@given(st.lists(st.tuples(st.sampled_from([*LAYERS]), SEGMENTS), max_size=4), st.sampled_from([*INNERMOST]))
@settings(deadline=None, max_examples=40)
def test_whatever_is_mounted_in_what_the_route_is_the_patterns_one_after_the_other(
    layers: list[tuple[str, str]], leaf: str
) -> None:
    app, pattern = INNERMOST[leaf](), leaf
    for name, path in layers:
        app, pattern = LAYERS[name](path, app), path + pattern

    assert route(app, re.sub(r"[{<].*?[}>]", "7", pattern)) == pattern


def test_quart_is_not_imported_for_whom_does_not_use_it() -> None:
    program = "import sys; from togai_shipper.contrib import asgi; "
    program += "asgi.TogaiMiddleware(print, schema_name='api_call', account_id='acme'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert "quart" not in loaded.stdout.split()


@get("/moved", sync_to_thread=False)
def litestars_moved() -> LitestarRedirect:
    return LitestarRedirect("/moved/", status_code=308)


def quart_that_redirects() -> Quart:
    app = quart()
    app.add_url_rule("/moved", "moved", lambda: quart_redirect("/moved/", 308))
    app.add_url_rule("/shelves/", "shelves", lambda: "hello")
    return app


@pytest.mark.parametrize(
    ("app", "url", "told"),
    [
        (Litestar([litestars_moved], openapi_config=None, logging_config=None), "/moved", ["/moved"]),
        (quart_that_redirects(), "/moved", ["/moved"]),
        (quart_that_redirects(), "/shelves", []),
    ],
    ids=["Litestar's view", "Quart's view", "Quart itself"],
)
def test_a_redirect_for_a_slash_counts_where_a_view_has_made_it(app: Any, url: str, told: list[str]) -> None:
    routes: list[str | None] = []
    metered = TogaiMiddleware(
        app, schema_name="api_call", account_id=lambda exchange: routes.append(exchange.route)
    )

    asyncio.run(request(metered, url, ""))

    assert routes == told


class Moody(Mount):
    """A mount of somebody's own, which matches each request once."""

    asked = 0

    def matches(self, scope: Any) -> Any:
        self.asked += 1
        assert self.asked == 1
        return super().matches(scope)


def test_a_mount_that_cannot_be_asked_again_costs_the_route_and_not_the_answer() -> None:
    app = Starlette(routes=[Moody("/shops/{shop}", routes=ROUTES)])

    assert route(app, "/shops/1/items/7") is None


def flask_app() -> Flask:
    app, shelves = Flask("shop"), Blueprint("shelves", "shelves", url_prefix="/shelves/<shelf>")
    app.add_url_rule("/items/<item>", "item", lambda item: item)
    shelves.add_url_rule("/items/<int:item>", "item", lambda shelf, item: iter(["hel", "lo"]))
    app.register_blueprint(shelves)
    return app


FLASKS = [
    ("/items/7", "/items/<item>"),
    ("/shelves/2/items/7", "/shelves/<shelf>/items/<int:item>"),
    ("/shops/items/7", "/shops/items/<item>"),
    ("/shops/shelves/2/items/7", "/shops/shelves/<shelf>/items/<int:item>"),
    ("/shops/nowhere", None),
    ("/nowhere", None),
]


@pytest.mark.parametrize(("path", "expected"), FLASKS)
def test_the_route_of_flask_is_known_to_the_middleware_for_wsgi_with_what_is_mounted(
    path: str, expected: str | None
) -> None:
    told: list[Exchange] = []
    app = DispatcherMiddleware(flask_app(), {"/shops": flask_app()})
    client = Client(wsgi.TogaiMiddleware(app, schema_name="api_call", account_id=told.append))

    client.get(f"/behind{path}", environ_overrides={"SCRIPT_NAME": "/behind", "PATH_INFO": path}).get_data()

    assert [(exchange.route, exchange.path) for exchange in told] == [(expected, f"/behind{path}")]


@pytest.mark.parametrize(("path", "expected"), FLASKS)
def test_the_route_of_a_flask_that_is_mounted_in_another_begins_with_the_mount(
    path: str, expected: str | None
) -> None:
    told: list[Exchange] = []
    app = flask_app()
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/shops": flask_app()})  # type: ignore[method-assign]
    flask.Togai(app, schema_name="api_call", account_id=told.append)

    app.test_client().get(path).get_data()

    assert [exchange.route for exchange in told] == [expected]


def test_a_websocket_of_a_mounted_application_is_what_it_was(recorded_events: RecordedEvents) -> None:
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(f"hello, {socket.path_params['name']}")

    app = Starlette(routes=[Mount("/shops/{shop}", routes=[WebSocketRoute("/greet/{name}", greet)])])
    scope = {"type": "websocket", "path": "/shops/1/greet/ada", "headers": [], "query_string": b""}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(TogaiMiddleware(app, schema_name="api_call", account_id="acme")(scope, receive, send))

    assert sent[-1] == {"type": "websocket.send", "text": "hello, ada"}
    recorded_events.assert_nothing_tracked()
