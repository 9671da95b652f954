"""The middleware for ASGI: an event a request, and the answer is what it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from togai_shipper.contrib.asgi import Exchange, TogaiMiddleware
from togai_shipper.testing import RecordedEvents

SCOPE = {"type": "http", "method": "GET", "path": "/items/7", "headers": []}
START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


class Metered:
    """An application under the middleware; what it was told of, and what it sent, is kept."""

    def __init__(self, app: Any, **measures: Any) -> None:
        self.told: list[Exchange] = []
        self.sent: list[Any] = []
        self.app = TogaiMiddleware(app, schema_name="api_call", account_id=self._account, **measures)

    def _account(self, exchange: Exchange) -> str:
        self.told.append(exchange)
        return "acme"

    async def receive(self) -> Any:
        return {"type": "http.request"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def ask(self, **scope: Any) -> None:
        await self.app({**SCOPE, **scope}, self.receive, self.send)

    @property
    def exchange(self) -> Exchange:
        (exchange,) = self.told
        return exchange


def sending(*messages: Any) -> Any:
    """An application that sends these."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def body(chunk: bytes, *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


async def get(app: Any, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.get(path, headers=headers)


def test_a_request_of_fastapi_is_an_event_with_what_the_functions_say_of_it(
    recorded_events: RecordedEvents,
) -> None:
    app = FastAPI()
    app.add_middleware(
        TogaiMiddleware,
        schema_name="api_call",
        account_id=lambda exchange: Request(exchange.request).headers.get("account"),
        attributes={"count": 1, "tokens": lambda exchange: exchange.request["state"]["tokens"]},
        dimensions={"route": lambda exchange: exchange.route, "path": lambda exchange: exchange.path},
        duration="took",
        outcome="outcome",
    )

    @app.get("/items/{item}")
    async def item(item: int, request: Request) -> int:
        request.state.tokens = 12
        return item

    assert asyncio.run(get(app, "/items/7?key=secret", account="acme")).json() == 7
    recorded_events.assert_tracked(
        "api_call",
        account="acme",
        attributes={"count": 1, "tokens": 12},
        dimensions={"route": "/items/{item}", "path": "/items/7", "outcome": "ok"},
        times=1,
    )


def test_a_request_of_starlette_that_streams_is_over_at_its_end_and_not_after_its_background_task(
    recorded_events: RecordedEvents,
) -> None:
    seen: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"hel"
        seen.append(len(recorded_events))
        yield b"lo"

    async def afterwards() -> None:
        seen.append(len(recorded_events))

    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks(), background=BackgroundTask(afterwards))

    app = Starlette(routes=[Route("/", stream)])
    app.add_middleware(
        TogaiMiddleware,
        schema_name="api_call",
        account_id="acme",
        attributes={"size": lambda exchange: exchange.response_bytes},
    )
    assert asyncio.run(get(app, "/")).text == "hello"
    recorded_events.assert_tracked("api_call", attributes={"size": 5}, times=1)
    assert seen == [0, 1]


def test_an_error_of_the_application_is_answered_by_starlette_and_the_request_has_failed(
    recorded_events: RecordedEvents,
) -> None:
    async def fail(request: Request) -> Response:
        raise LookupError

    app = Starlette(routes=[Route("/", fail)])
    app.add_middleware(TogaiMiddleware, schema_name="api_call", account_id="acme", outcome="outcome")

    assert asyncio.run(get(app, "/")).status_code == 500
    recorded_events.assert_tracked("api_call", dimensions={"outcome": "error"}, times=1)


def test_a_bad_event_is_refused_and_the_request_answered(recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
    app.add_middleware(
        TogaiMiddleware, schema_name="api_call", account_id=lambda exchange: 1 / 0, shipper=shipper
    )

    assert asyncio.run(get(app, "/")).text == "hello"
    assert shipper.stats().refused["invalid"] == 1


def test_every_message_reaches_the_server_as_it_is(recorded_events: RecordedEvents) -> None:
    messages = [START, body(b"hel", more=True), body(b"lo"), {"type": "http.response.trailers"}]
    metered = Metered(sending(*messages))
    asyncio.run(metered.ask())

    assert all(sent is message for sent, message in zip(metered.sent, messages, strict=True))
    assert (metered.exchange.response_bytes, metered.exchange.complete) == (5, True)


def test_a_response_to_head_has_no_bytes(recorded_events: RecordedEvents) -> None:
    metered = Metered(sending(START, body(b"hello")))
    asyncio.run(metered.ask(method="HEAD"))

    assert metered.exchange.response_bytes == 0


def test_a_file_that_the_server_sends_by_itself_has_the_bytes_of_its_length(
    recorded_events: RecordedEvents,
) -> None:
    length = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"5")]
    metered = Metered(sending({**START, "headers": length}, {"type": "http.response.pathsend", "path": "/x"}))
    asyncio.run(metered.ask())

    assert (metered.exchange.response_bytes, metered.exchange.complete) == (5, True)


def test_a_response_that_is_left_unfinished_is_cut_short(recorded_events: RecordedEvents) -> None:
    metered = Metered(sending(START, body(b"hel", more=True)))
    asyncio.run(metered.ask())

    assert (metered.exchange.status, metered.exchange.response_bytes) == (200, 3)
    assert metered.exchange.failed


def test_what_sending_raises_is_raised_and_the_response_is_cut_short(recorded_events: RecordedEvents) -> None:
    async def hung_up(message: Any) -> None:
        raise OSError

    metered = Metered(sending(START))
    with pytest.raises(OSError):  # noqa: PT011  the client has hung up
        asyncio.run(metered.app({**SCOPE}, metered.receive, hung_up))
    assert metered.exchange.status is None


def test_a_request_that_is_cancelled_has_failed_and_stays_cancelled(recorded_events: RecordedEvents) -> None:
    answering = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        answering.set()
        await asyncio.Event().wait()

    async def cancelling(metered: Metered) -> None:
        asked = asyncio.ensure_future(metered.ask())
        await answering.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    metered = Metered(app)
    asyncio.run(cancelling(metered))
    assert (metered.exchange.status, metered.exchange.complete) == (200, False)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_no_request_passes_through_untouched(recorded_events: RecordedEvents, kind: str) -> None:
    given: list[Any] = []

    async def app(*passed: Any) -> None:
        given.extend(passed)

    scope, receive, send = {"type": kind}, object(), object()
    metered = Metered(app)
    asyncio.run(metered.app(scope, receive, send))  # type: ignore[arg-type]

    assert all(mine is theirs for mine, theirs in zip(given, [scope, receive, send], strict=True))
    recorded_events.assert_nothing_tracked()


def test_the_body_of_the_request_is_left_to_the_application(recorded_events: RecordedEvents) -> None:
    given: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        given.append(receive)

    metered = Metered(app)
    asyncio.run(metered.app({**SCOPE}, metered.receive, metered.send))

    assert given == [metered.receive]


def test_the_body_is_counted_as_the_application_made_it(recorded_events: RecordedEvents) -> None:
    async def packing(message: Any) -> None:
        message["body"] = b""

    metered = Metered(sending(body(b"hello")))
    asyncio.run(metered.app({**SCOPE}, metered.receive, packing))
    assert metered.exchange.response_bytes == 5


async def answer(request: Request) -> Response:
    return PlainTextResponse("hello")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7", "/items/{item}"),
        ("/v1/items/7", "/v1/items/{item}"),
        ("/v1/nowhere", "/v1"),
        ("/v1/inner/items/7", "/v1/inner/items/{item}"),
        ("/nowhere", None),
    ],
)
def test_the_route_of_a_mounted_application_starts_where_the_outermost_does(
    recorded_events: RecordedEvents, path: str, route: str | None
) -> None:
    routes = [Route("/items/{item}", answer)]
    app = Starlette(routes=[*routes, Mount("/v1", routes=[*routes, Mount("/inner", routes=routes)])])
    told: list[Exchange] = []
    app.add_middleware(TogaiMiddleware, schema_name="api_call", account_id=told.append)

    asyncio.run(get(app, path))
    assert [exchange.route for exchange in told] == [route]


@pytest.mark.parametrize(
    ("path", "route"),
    [("/v1/items/7", "/v1/items/{item}"), ("/mounted/v1/items/7", "/mounted/v1/items/{item}")],
)
def test_the_route_of_an_included_router_has_its_prefix(
    recorded_events: RecordedEvents, path: str, route: str
) -> None:
    router = APIRouter()
    router.get("/items/{item}")(lambda item: item)
    app, mounted = FastAPI(), FastAPI()
    app.include_router(router, prefix="/v1")
    mounted.include_router(router, prefix="/v1")
    app.mount("/mounted", mounted)
    told: list[Exchange] = []
    app.add_middleware(TogaiMiddleware, schema_name="api_call", account_id=told.append)

    asyncio.run(get(app, path))
    assert [exchange.route for exchange in told] == [route]
