"""The middleware for any WSGI application: an event a request, and the answer is what it was."""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from togai_shipper import Shipper, _default
from togai_shipper.contrib.wsgi import Exchange, TogaiMiddleware
from togai_shipper.testing import RecordedEvents

TEXT = [("Content-Type", "text/plain")]
OK = "200 OK"


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


class Body:
    """Chunks that note what is done with them."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.closed = 0
        self._chunks = chunks
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed += 1


class SizedBody(Body):
    def __len__(self) -> int:
        return len(self._chunks)


def answering(body: Any, status: str = OK, headers: Iterable[tuple[str, str]] = TEXT) -> Any:
    """An application that answers with this, whatever it is asked."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response(status, list(headers))
        return body

    return app


class Metered:
    """An application under the middleware, asked as a server would; what it was told of is kept."""

    def __init__(self, app: Any, **measures: Any) -> None:
        self.told: list[Exchange] = []
        self.started: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []
        self.app = TogaiMiddleware(app, schema_name="api_call", account_id=self._account, **measures)

    def _account(self, exchange: Exchange) -> str:
        self.told.append(exchange)
        return "acme"

    def start_response(self, *given: Any) -> Callable[[bytes], Any]:
        self.started.append(given)
        return self.written.append

    def ask(self, **environ: Any) -> Any:
        """Returns the iterable."""
        environ = {name.replace("__", "."): value for name, value in environ.items()}
        setup_testing_defaults(environ)
        return self.app(environ, self.start_response)

    @property
    def exchange(self) -> Exchange:
        (exchange,) = self.told
        return exchange


def test_a_request_is_an_event_with_what_the_functions_say_of_it(recorded_events: RecordedEvents) -> None:
    app = TogaiMiddleware(
        answering([b"hel", b"lo"], "404 Not Found"),
        schema_name="api_call",
        account_id=lambda exchange: exchange.request["HTTP_X_ACCOUNT"],
        attributes={"count": 1, "size": lambda exchange: (exchange.response_bytes, "Bytes")},
        dimensions=lambda exchange: {"path": exchange.path, "status": str(exchange.status)},
        duration="took",
        outcome="outcome",
    )
    environ = {"HTTP_X_ACCOUNT": "acme", "SCRIPT_NAME": "/shop", "PATH_INFO": "/caf\u00c3\u00a9"}
    setup_testing_defaults(environ)

    assert app(environ, lambda *given: None) == [b"hel", b"lo"]
    (event,) = recorded_events.assert_tracked(
        "api_call",
        account="acme",
        attributes={"count": 1, "size": (5, "Bytes")},
        dimensions={"path": "/shop/café", "status": "404", "outcome": "ok"},
    )
    assert event.attributes[-1].unit == "Milliseconds"


def test_a_shipper_that_is_given_is_used(recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    Metered(answering([]), shipper=shipper).ask()

    assert shipper.stats().accepted == 1


def test_a_body_that_is_streamed_is_counted_when_it_has_come_to_its_end(
    recorded_events: RecordedEvents,
) -> None:
    metered = Metered(answering(Body(b"hel", b"lo")))
    body = metered.ask()
    chunks = iter(body)
    assert [next(chunks), next(chunks)] == [b"hel", b"lo"]
    assert metered.told == []

    assert list(chunks) == []
    assert (metered.exchange.response_bytes, metered.exchange.complete) == (5, True)
    body.close()
    assert len(recorded_events) == 1


def test_a_body_that_is_closed_early_is_cut_short_and_is_closed_once(recorded_events: RecordedEvents) -> None:
    given = Body(b"hel", b"lo")
    metered = Metered(answering(given))
    body = metered.ask()
    assert next(iter(body)) == b"hel"
    body.close()
    body.close()

    assert given.closed == 1
    assert (metered.exchange.response_bytes, metered.exchange.complete) == (3, False)
    assert metered.exchange.failed


def test_a_generator_without_a_close_of_its_own_may_be_closed(recorded_events: RecordedEvents) -> None:
    metered = Metered(answering(iter([b"hello"])))
    metered.ask().close()

    assert not metered.exchange.complete


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", OK), ("GET", "304 Not Modified"), ("DELETE", "204 No Content")]
)
def test_a_response_without_a_body_is_complete_though_nobody_asks_for_one(
    recorded_events: RecordedEvents, method: str, status: str
) -> None:
    metered = Metered(answering(Body(b"hello"), status))
    body = metered.ask(REQUEST_METHOD=method)
    list(body)
    body.close()
    unread = Metered(answering(Body(b"hello"), status))
    unread.ask(REQUEST_METHOD=method).close()

    assert (metered.exchange.response_bytes, metered.exchange.complete) == (0, True)
    assert (unread.exchange.response_bytes, unread.exchange.complete) == (0, True)


def test_a_body_is_complete_when_all_that_its_length_says_was_taken(recorded_events: RecordedEvents) -> None:
    metered = Metered(answering(Body(b"hel", b"lo", b"!"), headers=[*TEXT, ("Content-Length", "5")]))
    body = metered.ask()
    chunks = iter(body)
    assert [next(chunks), next(chunks)] == [b"hel", b"lo"]
    body.close()

    assert metered.exchange.complete


def test_a_length_that_is_no_number_says_nothing(recorded_events: RecordedEvents) -> None:
    metered = Metered(answering(Body(b"hello"), headers=[("Content-Length", "some")]))
    metered.ask().close()

    assert not metered.exchange.complete


def test_an_error_in_the_application_is_raised_and_the_request_has_failed(
    recorded_events: RecordedEvents,
) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise LookupError

    metered = Metered(app, outcome="outcome")
    with pytest.raises(LookupError):
        metered.ask()
    assert (metered.exchange.status, metered.exchange.complete) == (None, False)
    recorded_events.assert_tracked("api_call", dimensions={"outcome": "error"}, times=1)


def test_an_error_in_the_body_is_raised_and_the_request_has_failed(recorded_events: RecordedEvents) -> None:
    given = Body(b"hel", error=LookupError())
    metered = Metered(answering(given))
    body = metered.ask()
    with pytest.raises(LookupError):
        list(body)
    body.close()

    assert (metered.exchange.status, metered.exchange.failed, given.closed) == (200, True, 1)


def test_an_error_in_close_is_raised_and_the_event_is_made(recorded_events: RecordedEvents) -> None:
    class Hurt(Body):
        def close(self) -> None:
            raise LookupError

    metered = Metered(answering(Hurt(b"hello")))
    with pytest.raises(LookupError):
        metered.ask().close()
    assert not metered.exchange.complete


def test_failures_are_not_counted_if_told(recorded_events: RecordedEvents) -> None:
    Metered(answering([], "503 Service Unavailable"), failures=False).ask()
    Metered(answering([], "404 Not Found"), failures=False).ask()

    assert len(recorded_events) == 1


def test_a_function_says_which_requests_count(recorded_events: RecordedEvents) -> None:
    was_found: Any = lambda exchange: exchange.status < 400  # noqa: E731  short
    Metered(answering([], "404 Not Found"), when=was_found).ask()
    Metered(answering([]), when=was_found).ask()

    assert len(recorded_events) == 1


def test_what_when_cannot_tell_counts_and_the_request_is_answered(recorded_events: RecordedEvents) -> None:
    assert Metered(answering([b"hello"]), when=lambda exchange: exchange.nothing).ask() == [b"hello"]

    assert len(recorded_events) == 1


def test_start_response_takes_exc_info_and_the_last_status_counts(recorded_events: RecordedEvents) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(OK, TEXT)
        start_response("500 Oh", TEXT, ("kind", "error", "traceback"))
        return []

    metered = Metered(app)
    metered.ask()
    assert metered.started == [(OK, TEXT), ("500 Oh", TEXT, ("kind", "error", "traceback"))]
    assert metered.exchange.status == 500


def test_what_is_no_status_is_the_servers_affair(recorded_events: RecordedEvents) -> None:
    bytes_instead, words = Metered(answering([], b"200 OK")), Metered(answering([], "fine"))  # type: ignore[arg-type]
    bytes_instead.ask()
    words.ask()

    assert (bytes_instead.exchange.status, words.exchange.status) == (None, None)


def test_what_is_no_chunk_is_the_servers_affair(recorded_events: RecordedEvents) -> None:
    listed, streamed = Metered(answering([b"hello", None])), Metered(answering(iter([b"hello", None])))

    assert listed.ask() == list(streamed.ask()) == [b"hello", None]
    assert (listed.exchange.response_bytes, streamed.exchange.response_bytes) == (5, 5)


def test_what_is_written_reaches_the_server_and_is_counted(recorded_events: RecordedEvents) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(OK, TEXT)(b"hel")
        return (b"lo",)

    metered = Metered(app)
    assert metered.ask() == (b"lo",)
    assert metered.written == [b"hel"]
    assert metered.exchange.response_bytes == 5


def test_a_body_keeps_its_number_of_chunks(recorded_events: RecordedEvents) -> None:
    metered = Metered(answering(SizedBody(b"hello")))
    body = metered.ask()

    assert (len(body), list(body)) == (1, [b"hello"])


def test_a_chunk_may_be_asked_for_at_once(recorded_events: RecordedEvents) -> None:
    metered = Metered(answering(Body(b"hello")))

    assert next(metered.ask()) == b"hello"


def test_a_file_that_the_server_knows_how_to_send_stays_one(recorded_events: RecordedEvents) -> None:
    file = io.BytesIO(b"hello")

    def app(environ: Any, start_response: Any) -> Any:
        start_response(OK, [*TEXT, ("content-length", "5")])
        return environ["wsgi.file_wrapper"](file)

    metered = Metered(app)
    body = metered.ask(wsgi__file_wrapper=FileWrapper)
    assert type(body) is FileWrapper
    assert metered.told == []
    body.close()  # having sent it by its descriptor

    assert file.closed
    assert (metered.exchange.response_bytes, metered.exchange.complete) == (5, True)


def test_a_file_wrapper_that_is_a_function_gets_back_what_it_gave(recorded_events: RecordedEvents) -> None:
    class File:
        """One without ``close``."""

    file = File()

    def app(environ: Any, start_response: Any) -> Any:
        start_response(OK, TEXT)
        return environ["wsgi.file_wrapper"](file, 4096)

    metered = Metered(app)
    body = metered.ask(wsgi__file_wrapper=lambda file, size: file)
    assert body is file
    body.close()
    assert (metered.exchange.response_bytes, metered.exchange.complete) == (0, True)

    other = Metered(answering(Body(b"hello")))
    assert list(other.ask(wsgi__file_wrapper=lambda file, size: file)) == [b"hello"]


def test_a_request_leaves_its_environ_as_it_was(recorded_events: RecordedEvents) -> None:
    wrap: Any = lambda file, size: file  # noqa: E731  short
    environ: dict[str, Any] = {"wsgi.file_wrapper": wrap}
    setup_testing_defaults(environ)
    before = dict(environ)
    Metered(answering([b"hello"])).app(environ, lambda *given: None)

    assert environ == before


def test_a_file_whose_close_is_out_of_reach_is_counted_at_once(recorded_events: RecordedEvents) -> None:
    class Closed:
        __slots__ = ()

    metered = Metered(answering(Closed()))
    metered.ask(wsgi__file_wrapper=Closed)

    assert metered.exchange.complete


def test_no_account_no_event(recorded_events: RecordedEvents) -> None:
    TogaiMiddleware(answering([]), schema_name="api_call", account_id=lambda exchange: None)(
        {}, lambda *given: None
    )

    recorded_events.assert_nothing_tracked()


@pytest.mark.parametrize(
    "wrong",
    [
        {"account_id": lambda exchange: exchange.request["nobody"]},
        {"account_id": lambda exchange: 5},
        {"account_id": "acme", "attributes": {"count": lambda exchange: 1 / 0}},
        {"account_id": "acme", "dimensions": lambda exchange: {"too long": 201 * "x"}},
    ],
)
def test_a_bad_event_is_refused_and_the_request_answered(
    recorded_events: RecordedEvents, wrong: dict[str, Any]
) -> None:
    shipper = recorded_events.make()
    app = TogaiMiddleware(answering([b"hello"]), schema_name="api_call", shipper=shipper, **wrong)

    assert app({}, lambda *given: None) == [b"hello"]
    assert shipper.stats().refused["invalid"] == 1


def test_without_a_shipper_a_request_is_answered_and_the_log_says_so_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = TogaiMiddleware(answering([b"hello"]), schema_name="api_call", account_id="acme")
    with _default.replaced(lambda: Shipper(flush_interval=-1)):  # as an environment may say it
        assert [app({}, lambda *given: None) for _ in range(2)] == [[b"hello"], [b"hello"]]

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "refused (misconfigured): flush_interval" in record.getMessage()


# --- beside the application alone ---


def writing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response(OK, [*TEXT])(b"written, ")
    return iter([b"hel", b"lo"])


def sending(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response(OK, [*TEXT])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"))  # type: ignore[no-any-return]


def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response(OK, [*TEXT])
    return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))]


def generating(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response(OK, [*TEXT])
    yield b"hel"
    yield b"lo"


def raising(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    raise LookupError


APPS = {
    "list": answering([b"hello"]),
    "several": answering([b"hel", b"lo"]),
    "stream": answering(Body(b"hel", b"lo")),
    "sized": answering(SizedBody(b"hello")),
    "generator": generating,
    "write": writing,
    "file": sending,
    "empty": answering([], "204 No Content", []),
    "error": raising,
    "cut": answering(Body(b"hel", error=LookupError())),
    "reads": reading,
}


class Quiet(WSGIRequestHandler):
    """Without a log, and without what differs from one second to the next."""

    def log_message(self, *given: Any) -> None: ...

    def get_stderr(self) -> io.StringIO:
        return io.StringIO()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "always"


def raw(app: Any, request: bytes) -> bytes:
    """What a server puts on the wire."""
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        with socket.create_connection(server.server_address[:2]) as connection:  # type: ignore[arg-type]
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        serving.join()
    head, _, body = answer.partition(b"\r\n\r\n")
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Date:")) + body


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_a_server_answers_as_it_does_without_the_middleware(
    recorded_events: RecordedEvents, name: str, method: bytes
) -> None:
    request = method + b" / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody"
    metered = Metered(APPS[name])

    assert raw(metered.app, request) == raw(APPS[name], request)
    assert metered.exchange.complete == (name not in ("error", "cut"))


@pytest.mark.parametrize("name", [name for name in APPS if name not in ("error", "cut", "file", "write")])
def test_it_keeps_to_the_protocol_on_both_sides(recorded_events: RecordedEvents, name: str) -> None:
    app = APPS[name]
    metered = Metered(validator(app) if name != "empty" else app)
    environ: dict[str, Any] = {"CONTENT_LENGTH": "", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    body = validator(metered.app)(environ, metered.start_response)
    list(body)
    body.close()  # type: ignore[attr-defined]  # the validator's own

    assert metered.exchange.complete


def test_a_request_that_failed_leaves_the_id_of_its_key_to_the_one_that_is_answered(
    recorded_events: RecordedEvents,
) -> None:
    more = {"idempotency_key": "of the client", "outcome": "outcome"}
    for status in ("503 Service Unavailable", "500 Oh", OK, OK):
        Metered(answering([], status), **more).ask()

    recorded_events.assert_tracked("api_call", dimensions={"outcome": "error"}, times=1)
    recorded_events.assert_tracked("api_call", dimensions={"outcome": "ok"}, times=1)
