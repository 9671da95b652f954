"""Flask's extension: an event a request, with what the request knew."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, g, request, send_file, stream_with_context

from togai_shipper.contrib.flask import Exchange, Togai
from togai_shipper.testing import RecordedEvents


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


@pytest.fixture
def app() -> Flask:
    app = Flask("shop")

    @app.before_request
    def sign_in() -> None:
        g.account = request.headers.get("account")

    @app.get("/items/<int:item>")
    def item(item: int) -> str:
        g.tokens = item
        return str(item)

    @app.get("/stream")
    def stream() -> Any:
        def chunks() -> Iterator[str]:
            yield "hel"
            yield request.args["rest"]

        return Response(stream_with_context(chunks()))

    @app.get("/file")
    def file() -> Any:
        return send_file(io.BytesIO(b"hello"), "text/plain")

    @app.get("/error")
    def error() -> str:
        raise LookupError

    return app


def account(exchange: Exchange) -> Any:
    return g.account


def test_a_request_is_an_event_with_what_its_context_knew(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    Togai(
        app,
        schema_name="api_call",
        account_id=account,
        attributes={"size": lambda exchange: exchange.response_bytes, "tokens": lambda exchange: g.tokens},
        dimensions={
            "route": lambda exchange: exchange.route or "none",
            "agent": lambda exchange: exchange.request.headers["User-Agent"],
        },
        outcome="outcome",
    )

    assert app.test_client().get("/items/7", headers={"account": "acme", "User-Agent": "curl"}).text == "7"
    recorded_events.assert_tracked(
        "api_call",
        account="acme",
        attributes={"size": 1, "tokens": 7},
        dimensions={"route": "/items/<int:item>", "agent": "curl", "outcome": "ok"},
        times=1,
    )


def test_a_factory_gives_the_application_later(app: Flask, recorded_events: RecordedEvents) -> None:
    togai = Togai(schema_name="api_call", account_id=account)
    togai.init_app(app)

    app.test_client().get("/items/7", headers={"account": "acme"})
    assert app.extensions["togai"] is togai
    recorded_events.assert_tracked("api_call", account="acme", times=1)


def test_no_account_no_event(app: Flask, recorded_events: RecordedEvents) -> None:
    Togai(app, schema_name="api_call", account_id=account)
    app.test_client().get("/items/7")

    recorded_events.assert_nothing_tracked()


@pytest.mark.parametrize("path", ["/stream?rest=lo", "/file"])
def test_a_response_that_is_streamed_is_counted_at_its_end_with_the_context_that_it_had(
    app: Flask, recorded_events: RecordedEvents, path: str
) -> None:
    size: Callable[[Exchange], int] = lambda exchange: exchange.response_bytes  # noqa: E731  typed
    Togai(app, schema_name="api_call", account_id=account, attributes={"size": size})

    response = app.test_client().get(path, headers={"account": "acme"}, buffered=False)
    recorded_events.assert_nothing_tracked()
    assert response.get_data() == b"hello"
    response.close()
    recorded_events.assert_tracked("api_call", account="acme", attributes={"size": 5}, times=1)


def test_an_error_of_a_view_is_answered_by_flask_and_the_request_has_failed(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    Togai(app, schema_name="api_call", account_id=account, outcome="outcome")

    with app.test_client().get("/error", headers={"account": "acme"}) as response:  # closed, as by a server
        assert response.status_code == 500
    recorded_events.assert_tracked("api_call", account="acme", dimensions={"outcome": "error"}, times=1)


def test_an_error_that_flask_passes_on_is_raised_and_the_request_has_failed(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    app.testing = True
    Togai(app, schema_name="api_call", account_id=account, outcome="outcome")

    with pytest.raises(LookupError):
        app.test_client().get("/error", headers={"account": "acme"})
    recorded_events.assert_tracked("api_call", account="acme", dimensions={"outcome": "error"}, times=1)


def test_a_path_that_is_no_route_has_none(app: Flask, recorded_events: RecordedEvents) -> None:
    Togai(
        app,
        schema_name="api_call",
        account_id="acme",
        dimensions={"route": lambda exchange: str(exchange.route), "status": lambda it: str(it.status)},
    )

    with app.test_client().get("/nowhere") as response:  # closed, as by a server
        assert response.status_code == 404
    recorded_events.assert_tracked("api_call", dimensions={"route": "None", "status": "404"}, times=1)


def test_what_is_answered_before_flask_sees_it_is_told_as_wsgi_has_it(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    def maintenance(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Here", [])
        return [b"later"]

    app.wsgi_app = maintenance  # type: ignore[method-assign]  # as Flask says to
    Togai(
        app, schema_name="api_call", account_id=lambda exchange: exchange.request.get("HTTP_ACCOUNT", "none")
    )

    assert app.test_client().get("/items/7", headers={"account": "acme"}).text == "later"
    recorded_events.assert_tracked("api_call", account="acme", times=1)


def test_a_bad_event_is_refused_and_the_request_answered(app: Flask, recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    Togai(app, schema_name="api_call", account_id=lambda exchange: g.nobody, shipper=shipper)

    assert app.test_client().get("/items/7").text == "7"
    assert shipper.stats().refused["invalid"] == 1


def test_a_request_that_a_function_before_it_answers_is_told_with_its_context(
    recorded_events: RecordedEvents,
) -> None:
    app = Flask("shop")

    @app.before_request
    def turn_away() -> str:
        g.account = "acme"
        return "no"

    Togai(app, schema_name="api_call", account_id=account)
    assert app.test_client().get("/items/7").text == "no"
    recorded_events.assert_tracked("api_call", account="acme", times=1)
