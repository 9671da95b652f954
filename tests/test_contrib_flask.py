"""Flask's extension: an event a request, with what the request knew."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, g, request, send_file, stream_with_context
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import EnvironBuilder

from togai_shipper.contrib.flask import Exchange, Togai
from togai_shipper.contrib.wsgi import TogaiMiddleware
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


def test_the_functions_run_before_the_application_lets_go_of_what_the_request_has_opened(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    @app.before_request
    def connect() -> None:
        g.database = {"account": "acme"}

    @app.teardown_appcontext
    def disconnect(_: BaseException | None) -> None:
        g.database.clear()

    Togai(app, schema_name="api_call", account_id=lambda exchange: g.database["account"])
    app.test_client().get("/items/7")
    app.testing = True
    with pytest.raises(LookupError):
        app.test_client().get("/error")
    recorded_events.assert_tracked("api_call", account="acme", times=2)


def test_two_extensions_meter_one_application(app: Flask, recorded_events: RecordedEvents) -> None:
    Togai(app, schema_name="api_call", account_id=account)
    Togai(app, schema_name="traffic", account_id=account)

    app.test_client().get("/items/7", headers={"account": "acme"})
    app.test_client().get("/stream?rest=lo", headers={"account": "acme"}).close()
    recorded_events.assert_tracked("api_call", account="acme", times=2)
    recorded_events.assert_tracked("traffic", account="acme", times=2)


def test_an_application_that_is_metered_twice_by_one_extension_is_an_error(app: Flask) -> None:
    togai = Togai(app, schema_name="api_call", account_id=account)

    with pytest.raises(RuntimeError, match="twice"):
        togai.init_app(app)


def test_an_error_after_the_response_was_made_is_the_response_that_counts(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    errors = [LookupError()]

    class Sessions(SecureCookieSessionInterface):
        def save_session(self, *_: Any) -> None:
            if errors:
                raise errors.pop()

    app.secret_key = "secret"
    app.session_interface = Sessions()
    app.register_error_handler(500, lambda error: (iter(["sor", "ry"]), 500))
    size: Callable[[Exchange], int] = lambda exchange: exchange.response_bytes  # noqa: E731  typed
    Togai(app, schema_name="api_call", account_id=account, attributes={"size": size}, outcome="outcome")

    assert app.test_client().get("/items/7654321", headers={"account": "acme"}).text == "sorry"
    recorded_events.assert_tracked(
        "api_call", attributes={"size": 5}, dimensions={"outcome": "error"}, times=1
    )


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_what_is_put_around_the_application_may_hold_its_answer_back(
    app: Flask, recorded_events: RecordedEvents, *, inside: bool
) -> None:
    def held_back(application: Any) -> Any:
        def around(environ: Any, start_response: Any) -> list[bytes]:
            started: list[Any] = []
            body = b"".join(application(environ, lambda *given: started.extend(given)))
            start_response(started[0], [("Content-Length", str(2 * len(body)))])
            return [2 * body]

        return around

    if inside:
        app.wsgi_app = held_back(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says to
    Togai(app, schema_name="api_call", account_id=account, outcome="outcome")
    if not inside:
        app.wsgi_app = held_back(app.wsgi_app)  # type: ignore[method-assign]  # likewise

    assert app.test_client().get("/items/7", headers={"account": "acme"}).text == "77"
    recorded_events.assert_tracked("api_call", account="acme", dimensions={"outcome": "ok"}, times=1)


def test_the_middleware_around_a_metered_application_counts_what_reaches_it(
    app: Flask, recorded_events: RecordedEvents
) -> None:
    Togai(app, schema_name="api_call", account_id=account)
    packed: Any = lambda application: lambda *given: [5 * b"".join(application(*given))]  # noqa: E731  short
    size: Callable[[Exchange], int] = lambda exchange: exchange.response_bytes  # noqa: E731  typed
    outside = TogaiMiddleware(
        packed(app.wsgi_app), schema_name="traffic", account_id="acme", attributes={"size": size}
    )

    environ = EnvironBuilder(path="/items/7", headers={"account": "acme"}).get_environ()
    assert outside(environ, lambda *given: None) == [b"77777"]
    recorded_events.assert_tracked("api_call", account="acme", times=1)
    recorded_events.assert_tracked("traffic", attributes={"size": 5}, times=1)


def test_a_request_that_no_server_has_asked_is_no_event(app: Flask, recorded_events: RecordedEvents) -> None:
    Togai(app, schema_name="api_call", account_id=account)

    with app.test_request_context("/items/7"):
        assert app.full_dispatch_request().data == b"7"
    recorded_events.assert_nothing_tracked()
