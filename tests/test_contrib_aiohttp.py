"""The middleware for aiohttp's server: an event a request, and the answer is what it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from togai_shipper.contrib.aiohttp import Exchange, TogaiMiddleware
from togai_shipper.testing import RecordedEvents

LARGE = 64 * 1024 * 1024  # bytes: more than a connection takes in before somebody reads


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


async def item(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["item"])


class Shop:
    """An application under the middleware; what it was told of is kept."""

    def __init__(self, *routes: web.RouteDef, around: Any = (), within: Any = (), **measures: Any) -> None:
        self.told: list[Exchange] = []
        self.over = asyncio.Event()
        middleware = TogaiMiddleware(schema_name="api_call", account_id=self._account, **measures)
        self.app = web.Application(middlewares=[*around, middleware, *within])
        self.app.add_routes([web.get("/items/{item}", item), *routes])

    def _account(self, exchange: Exchange) -> str:
        self.told.append(exchange)
        self.over.set()
        return "acme"

    @property
    def exchange(self) -> Exchange:
        [exchange] = self.told
        return exchange


def serve(app: web.Application, ask: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """Serve it on loopback, and let ``ask`` have a client."""

    async def served() -> Any:
        async with TestClient(TestServer(app), **options) as client:
            return await ask(client)

    return asyncio.run(served())


async def get(client: Any, path: str = "/items/7", method: str = "GET", **options: Any) -> tuple[int, bytes]:
    async with client.request(method, path, allow_redirects=False, **options) as response:
        return response.status, await response.read()


def test_a_request_is_an_event_with_what_the_functions_say_of_it(recorded_events: RecordedEvents) -> None:
    app = web.Application(
        middlewares=[
            TogaiMiddleware(
                schema_name="api_call",
                account_id=lambda exchange: exchange.request.headers.get("account"),
                attributes={"count": 1, "size": lambda exchange: exchange.response_bytes},
                dimensions={"route": lambda exchange: exchange.route, "path": lambda exchange: exchange.path},
                duration="took",
                outcome="outcome",
            )
        ]
    )
    app.router.add_get("/items/{item:\\d+}", item)

    answer = serve(app, lambda client: get(client, "/items/7?key=secret", headers={"account": "acme"}))

    assert answer == (200, b"7")
    recorded_events.assert_tracked(
        "api_call",
        account="acme",
        attributes={"count": 1, "size": 1},
        dimensions={"route": "/items/{item}", "path": "/items/7", "outcome": "ok"},
        times=1,
    )


def test_requests_of_one_connection_are_an_event_each(recorded_events: RecordedEvents) -> None:
    shop = Shop()

    async def ask(client: Any) -> None:
        for _ in range(3):
            await get(client)

    serve(shop.app, ask)

    assert [exchange.response_bytes for exchange in shop.told] == [1, 1, 1]


async def refuse(request: web.Request) -> web.Response:
    raise web.HTTPForbidden(text="no")


async def fail(request: web.Request) -> web.Response:
    raise LookupError


async def give_up(request: web.Request) -> web.Response:
    raise asyncio.TimeoutError  # another one up to Python 3.10


@pytest.mark.parametrize(
    ("path", "status", "route", "failed"),
    [
        ("/refuse", 403, "/refuse", False),
        ("/nowhere", 404, None, False),
        ("/fail", 500, "/fail", True),
        ("/give-up", 504, "/give-up", True),
    ],
)
def test_what_a_handler_raises_is_answered_by_aiohttp_and_counts_with_its_status(
    recorded_events: RecordedEvents, path: str, status: int, route: str | None, failed: object
) -> None:
    shop = Shop(web.get("/refuse", refuse), web.get("/fail", fail), web.get("/give-up", give_up))

    answered, _ = serve(shop.app, lambda client: get(client, path))

    exchange = shop.exchange
    assert answered == status
    assert (exchange.status, exchange.route, exchange.failed, exchange.complete) == (
        status,
        route,
        failed,
        True,
    )


@web.middleware
async def pages_for_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    with suppress(LookupError, web.HTTPForbidden):
        return await handler(request)  # type: ignore[no-any-return]
    return web.Response(status=418, text="teapot")


@pytest.mark.parametrize("path", ["/fail", "/refuse"])
def test_what_counts_is_what_a_middleware_around_has_made_of_it(
    recorded_events: RecordedEvents, path: str
) -> None:
    shop = Shop(web.get("/fail", fail), web.get("/refuse", refuse), around=[pages_for_errors])

    assert serve(shop.app, lambda client: get(client, path)) == (418, b"teapot")
    assert (shop.exchange.status, shop.exchange.response_bytes) == (418, 6)


def test_a_response_that_streams_is_over_at_its_end(recorded_events: RecordedEvents) -> None:
    seen: list[int] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"hel")
        seen.append(len(shop.told))
        await response.write_eof(b"lo")
        return response

    shop = Shop(web.get("/", stream))

    assert serve(shop.app, lambda client: get(client, "/")) == (200, b"hello")
    assert seen == [0]
    assert (shop.exchange.response_bytes, shop.exchange.complete) == (5, True)


def test_a_body_that_is_generated_is_counted(recorded_events: RecordedEvents) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"hel"
        yield b"lo"

    async def stream(request: web.Request) -> web.Response:
        return web.Response(body=chunks())

    shop = Shop(web.get("/", stream))

    assert serve(shop.app, lambda client: get(client, "/")) == (200, b"hello")
    assert (shop.exchange.response_bytes, shop.exchange.complete) == (5, True)


def test_a_response_to_head_has_no_bytes(recorded_events: RecordedEvents) -> None:
    shop = Shop()

    assert serve(shop.app, lambda client: get(client, method="HEAD")) == (200, b"")
    assert (shop.exchange.response_bytes, shop.exchange.complete) == (0, True)


def file_of(size: int, folder: Path) -> web.RouteDef:
    (folder / "file").write_bytes(size * b"x")

    async def send(request: web.Request) -> web.FileResponse:
        return web.FileResponse(folder / "file")

    return web.get("/file", send)


def test_a_file_that_the_kernel_sends_has_the_bytes_of_its_length(
    recorded_events: RecordedEvents, tmp_path: Path
) -> None:
    shop = Shop(file_of(100_000, tmp_path))

    status, content = serve(shop.app, lambda client: get(client, "/file"))

    assert (status, len(content)) == (200, 100_000)
    assert (shop.exchange.response_bytes, shop.exchange.complete) == (100_000, True)


async def hang_up(client: Any, path: str, shop: Shop) -> None:
    response = await client.get(path)
    response.close()
    await asyncio.wait_for(shop.over.wait(), 30)


def test_a_client_that_hangs_up_in_a_file_is_a_failed_request(
    recorded_events: RecordedEvents, tmp_path: Path
) -> None:
    shop = Shop(file_of(LARGE, tmp_path))

    serve(shop.app, lambda client: hang_up(client, "/file", shop))

    assert (shop.exchange.status, shop.exchange.failed) == (200, True)


def test_a_client_that_hangs_up_in_a_stream_is_a_failed_request(recorded_events: RecordedEvents) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(100_000 * b"x")

    shop = Shop(web.get("/endless", endless))

    serve(shop.app, lambda client: hang_up(client, "/endless", shop))

    assert (shop.exchange.status, shop.exchange.failed) == (200, True)
    assert shop.exchange.response_bytes >= 100_000


def test_an_error_after_the_response_has_begun_is_a_failed_request(recorded_events: RecordedEvents) -> None:
    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"hel")
        raise LookupError

    shop = Shop(web.get("/", begin))

    async def ask(client: Any) -> None:
        with suppress(aiohttp.ClientError):
            await get(client, "/")

    serve(shop.app, ask)

    assert (shop.exchange.status, shop.exchange.response_bytes, shop.exchange.complete) == (200, 3, False)


def test_a_request_that_is_cancelled_has_failed(recorded_events: RecordedEvents) -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def wait(request: web.Request) -> web.Response:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        shop = Shop(web.get("/", wait))
        server = TestServer(shop.app)  # it cancels a handler whose client hangs up
        async with TestClient(server) as client:
            asked = asyncio.ensure_future(client.get("/"))
            await begun.wait()
            asked.cancel()  # which hangs up
            await asyncio.wait_for(shop.over.wait(), 30)
        assert (shop.exchange.status, shop.exchange.failed) == (None, True)

    asyncio.run(scenario())


def test_a_websocket_passes_through(recorded_events: RecordedEvents) -> None:
    async def greet(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(f"hello, {await socket.receive_str()}")
        await socket.close()
        return socket

    shop = Shop(web.get("/greet", greet))

    async def ask(client: Any) -> Any:
        async with client.ws_connect("/greet") as socket:
            await socket.send_str("ada")
            return await socket.receive_str()

    assert serve(shop.app, ask) == "hello, ada"
    assert shop.told == []


def test_a_websocket_that_fails_is_no_event_either(recorded_events: RecordedEvents) -> None:
    async def greet(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        raise LookupError

    shop = Shop(web.get("/greet", greet))

    async def ask(client: Any) -> Any:
        async with client.ws_connect("/greet") as socket:
            return (await socket.receive()).type

    assert serve(shop.app, ask) in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)
    assert shop.told == []


def test_an_application_within_another_is_one_event_by_its_whole_route(
    recorded_events: RecordedEvents,
) -> None:
    shipper = recorded_events.make()
    within, shop = Shop(shipper=shipper), Shop(shipper=shipper)
    shop.app.add_subapp("/v1", within.app)

    serve(shop.app, lambda client: get(client, "/v1/items/7"))

    assert [exchange.route for exchange in within.told] == ["/v1/items/{item}"]
    assert shop.told == []
    assert shipper.stats().left_out["twice"] == 1
    assert len(recorded_events) == 1


async def moved(request: web.Request) -> web.Response:
    raise web.HTTPPermanentRedirect("/moved/")


@pytest.mark.parametrize(
    ("method", "path", "headers", "left_out"),
    [
        ("GET", "/items/7/", {}, "slash redirect"),
        ("GET", "/moved", {}, None),
        ("OPTIONS", "/items/7", {"Access-Control-Request-Method": "GET"}, "preflight"),
        ("OPTIONS", "/items/7", {}, None),
    ],
)
def test_what_asks_for_no_work_is_no_event(
    recorded_events: RecordedEvents, method: str, path: str, headers: Any, left_out: str | None
) -> None:
    shipper = recorded_events.make()
    slashes = web.normalize_path_middleware(append_slash=False, remove_slash=True)
    shop = Shop(web.get("/moved", moved), within=[slashes], shipper=shipper)

    serve(shop.app, lambda client: get(client, path, method, headers=headers))

    assert len(shop.told) == (left_out is None)
    assert [why for why, count in shipper.stats().left_out.items() if count] == [left_out][
        : left_out is not None
    ]


def test_a_bad_event_is_refused_and_the_request_answered(recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    middleware = TogaiMiddleware(schema_name="api_call", account_id=lambda exchange: 1 / 0, shipper=shipper)
    app = web.Application(middlewares=[middleware])
    app.router.add_get("/items/{item}", item)

    assert serve(app, get) == (200, b"7")
    assert shipper.stats().refused["invalid"] == 1
