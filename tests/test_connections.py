"""Which connection carries a request: a kept one only after one whole reply that is Togai's own word."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_server import CERTIFICATE, FINE, Say, raw_server, tunnel_to
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from virtual import Clock

from togai_shipper import DeliveryError, FlushReport, Shipper
from togai_shipper._engine.exchange import MAX_IDLE, exchange
from togai_shipper._engine.timed_http import MAX_AGE, tame
from togai_shipper._engine.transport import MIN_READ, Transport
from togai_shipper._engine.verdict import Accepted, Reply, TryLater, judge
from togai_shipper._engine.whole_reply import NotWhole
from togai_shipper._secret import Secret

BODY = b'{"event":{"id":"1"}}'
LARGE = b"x" * 4_000_000  # more than the system takes before the server reads


def send(transport: Transport, time_left: float = 1e6, body: bytes = BODY) -> Reply:
    return transport.post("/ingest", body, Secret("secret"), time_left)


def connections(*script: Say | bytes, count: int = 3) -> list[int]:
    """On which connection each of so many requests came, the first ones answered as the script says."""
    with raw_server(*script) as server:
        transport = Transport(server.url, (5, 5))
        for _ in range(count):
            send(transport)
        transport.close()
        return server.requests


def test_one_connection_carries_all_requests_while_all_is_well() -> None:
    assert connections() == [1, 1, 1]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 102 Wait\r\n\r\n" + FINE,
        b"HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Go on\r\n\r\n" + FINE,
        b'HTTP/1.1 400 No\r\nContent-Length: 17\r\n\r\n{"message": "no"}',
        b"HTTP/1.1 202 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_a_connection_is_kept_after_one_whole_reply_of_togai(reply: bytes) -> None:
    assert connections(reply) == [1, 1, 1]


@pytest.mark.parametrize(
    "reply",
    [
        FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        FINE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        FINE + b"\r\n",
        FINE + FINE,
        FINE + b"HTTP/1.1 408 Late\r\n\r\n",
        FINE.replace(b"17", b"16"),
        FINE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        FINE.replace(b"\r\n\r\n", b"\r\nContent-Length: 18\r\n\r\n"),
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\nContent-Length: 4\r\n\r\npage",
        b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\npage",
        *(
            b'HTTP/1.1 %d No\r\nContent-Length: 17\r\n\r\n{"message": "no"}' % status
            for status in (302, 401, 403, 404, 408, 421, 429, 500, 503)
        ),
    ],
)
def test_after_anything_else_the_name_is_looked_up_again(reply: bytes) -> None:
    assert connections(reply) == [1, 2, 2]


def test_after_no_reply_the_name_is_looked_up_again() -> None:
    assert connections(Say(b"", close=True)) == [1, 2, 2]
    assert connections(Say(FINE[:-1], close=True)) == [1, 2, 2]


# --- what is no word on the request -------------------------------------------------------------------------


def verdicts(*script: Say | bytes, body: bytes = BODY) -> list[object]:
    """What the replies to as many requests as there are in the script came to."""
    with raw_server(*script) as server:
        transport = Transport(server.url, (5, 5))
        seen = [judge(send(transport, body=body)) for _ in script]
        transport.close()
        return seen


def test_a_reply_is_the_word_on_its_own_request_behind_any_number_of_informational_ones() -> None:
    hints = b"HTTP/1.1 103 Hints\r\n\r\n"
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

    said = verdicts(hints + FINE, hints * 50 + busy, hints + FINE, hints + busy)

    assert [verdict == Accepted() for verdict in said] == [True, False, True, False]


@pytest.mark.parametrize(
    "say",
    [
        Say(FINE + FINE),
        Say(FINE + b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
        Say(FINE.replace(b"17", b"16")),
        Say(FINE.replace(b"17", b"18"), close=True),
        Say(b"HTTP/1.1 202 Fine\r\n\r\n", close=True),
        Say(b'HTTP/1.1 202 Fine\r\n\r\n{"success": false, "errors": [', close=True),
        Say(b"HTTP/1.1 202 Fine\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"),
        Say(b"HTTP/1.1 202 Fine\r\nContent-Length: 17\r\n", close=True),
    ],
)
def test_a_reply_that_may_be_cut_or_another_ones_ends_no_event(say: Say) -> None:
    (verdict,) = verdicts(say)

    assert isinstance(verdict, TryLater)
    assert verdict.maybe_read


@pytest.mark.parametrize(
    "say",
    [
        Say(b'HTTP/1.1 202 Fine\r\n\r\n{"success": true}', close=True),
        Say(FINE + b"\r\n"),
        Say(FINE.replace(b"\r\n\r\n", b"\r\nContent-Encoding: identity\r\n\r\n")),
        Say(FINE.replace(b"HTTP/1.1", b"HTTP/1.0"), close=True),
    ],
)
def test_a_reply_that_can_be_read_in_one_way_only_is_believed(say: Say) -> None:
    assert verdicts(say) == [Accepted()]


def test_a_202_to_half_a_request_is_not_believed_and_a_refusal_is() -> None:
    refusal = b'HTTP/1.1 413 No\r\nContent-Length: 17\r\n\r\n{"message": "no"}'

    taken, refused = verdicts(Say(FINE, unread=True), Say(refusal, unread=True), body=LARGE)

    assert isinstance(taken, TryLater)
    assert not isinstance(refused, Accepted)


HINTS = b"HTTP/1.1 103 H\r\n\r\n"


def is_one_whole_202(reply: bytes) -> bool:
    while reply.startswith(HINTS):
        reply = reply.removeprefix(HINTS)
    return reply.rstrip(b"\r\n") == FINE


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([FINE, FINE, HINTS, FINE[:9], FINE[30:], b"\r\n", b"{}"]) | st.binary(), max_size=4
    )
)
def test_a_reply_of_any_pieces_is_accepted_only_where_it_is_one_whole_reply(pieces: list[bytes]) -> None:
    reply = b"".join(pieces)
    (verdict,) = verdicts(Say(reply, close=True))

    assert (verdict == Accepted()) <= is_one_whole_202(reply)


# --- what came before it was asked --------------------------------------------------------------------------


def test_a_connection_on_which_something_came_while_it_was_idle_is_not_used() -> None:
    with raw_server() as server:
        transport = Transport(server.url, (5, 5))
        send(transport)
        server.connections[0].sendall(b"HTTP/1.1 202 Fine\r\nContent-Length: 0\r\n\r\n")
        server.script.append(Say(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
        assert send(transport).status == 503
        transport.close()

    assert server.requests == [1, 2]


@pytest.mark.parametrize("greeting", [FINE, b""], ids=["speaks", "resets"])
def test_to_a_server_that_speaks_or_leaves_before_it_is_asked_nothing_is_sent(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.0)
        received = []

        def clock() -> float:
            with suppress(BlockingIOError):  # it is asked at once after connecting, too
                connection, _ = listener.accept()
                connection.sendall(greeting)
                received.append(connection)
                if not greeting:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()
            return 0.0

        transport = Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", (5, 5), clock=clock)
        reply = send(transport)
        transport.close()
        (connection,) = received
        assert not greeting or connection.recv(1) == b""
        connection.close()

    assert (reply.status, reply.sent) == (None, False)
    assert "before it was asked" in reply.error


def test_what_a_session_asks_for_beside_our_request_keeps_no_connection_for_it() -> None:
    class WithToken(requests.Session):
        def post(self, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
            self.headers["X-Token"] = str(super().post(server.url + "/token", BODY).json())
            return super().post(url, *args, **kwargs)

    with raw_server(FINE + FINE) as server:
        transport = Transport(server.url, (5, 5), WithToken)
        assert judge(send(transport)) == Accepted()
        transport.close()

    assert server.requests == [1, 2]


# --- how long a connection is kept --------------------------------------------------------------------------


def kept_for(seconds: float, time_left: float = 1e6, count: int = 2) -> list[int]:
    """On which connections the requests came, so many seconds apart."""
    clock = Clock()
    with raw_server() as server:
        transport = Transport(server.url, (5, 5), clock=clock)
        for _ in range(count):
            send(transport, time_left)
            clock.now += seconds
        transport.close()
    return server.requests


def test_a_connection_is_not_used_that_was_idle_for_30_seconds() -> None:
    assert kept_for(MAX_IDLE - 0.1) == [1, 1]
    assert kept_for(MAX_IDLE) == [1, 2]


def test_a_connection_is_not_used_that_is_older_than_5_minutes() -> None:
    requests_each = int(MAX_AGE / 20)

    assert kept_for(20.0, count=requests_each + 1) == [1] * requests_each + [2]


def test_where_time_is_short_a_connection_that_may_swallow_a_request_is_not_used() -> None:
    assert kept_for(0.9, time_left=10.0) == [1, 1]
    assert kept_for(1.0, time_left=10.0) == [1, 2]


def test_a_server_that_closed_the_idle_connection_costs_no_attempt() -> None:
    with raw_server() as server:
        transport = Transport(server.url, (5, 5))
        send(transport)
        server.connections[0].shutdown(socket.SHUT_RDWR)
        assert send(transport).status == 202
        transport.close()

    assert server.requests == [1, 2]


@pytest.mark.parametrize("factory", [None, requests.Session])
def test_the_system_probes_whether_an_idle_connection_is_still_there(
    factory: Callable[[], requests.Session] | None,
) -> None:
    with raw_server() as server:
        transport = Transport(server.url, (5, 5), factory)
        send(transport)
        pools = transport.open().get_adapter(server.url).poolmanager.pools  # type: ignore[attr-defined]  # an HTTPAdapter's
        (pool,) = map(pools.get, pools.keys())
        sock = pool.pool.get(block=False).sock
        transport.close()

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        sock.close()


def test_a_connection_that_the_application_used_is_not_ours_and_ours_serves_the_application() -> None:
    with raw_server() as server:
        session = requests.Session()
        transport = Transport(server.url, (5, 5), lambda: session)
        send(transport)
        assert session.post(server.url, BODY).json() == {"success": True}
        send(transport)
        send(transport)
        transport.close()

    assert server.requests == [1, 1, 2, 2]


# --- by TLS -------------------------------------------------------------------------------------------------


def test_by_tls_a_connection_is_kept_and_left_by_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with raw_server(FINE, FINE, FINE + FINE, tls=True) as server:
        transport = Transport(server.url, (5, 5))
        said = [judge(send(transport)) == Accepted() for _ in range(5)]
        transport.close()

    assert server.requests == [1, 1, 1, 2, 2]
    assert said == [True, True, False, True, True]


# --- whether a byte of the request was sent -----------------------------------------------------------------


def sent_by(url: str, factory: Callable[[], requests.Session] | None = None) -> Reply:
    transport = Transport(url, (1, 1), factory, allow_insecure=True)
    reply = send(transport)
    transport.close()
    assert reply.status is None
    return reply


def test_nothing_was_sent_to_who_does_not_speak_tls() -> None:
    with raw_server(Say(b"plain", close=True)) as server:
        assert not sent_by(server.url.replace("http:", "https:")).sent


def test_nothing_was_sent_to_a_name_that_is_none() -> None:
    assert not sent_by("http://no-such-host.invalid").sent


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 Fine\r\n\r\nno TLS", b""],
    ids=["refused", "no TLS behind it", "no reply"],
)
def test_nothing_was_sent_through_a_proxy_that_makes_no_tunnel(
    reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with raw_server(Say(reply, close=True)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert not sent_by("https://togai.invalid").sent


def test_nothing_was_sent_through_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        assert not sent_by("https://togai.invalid").sent


def test_a_tunnel_through_a_proxy_is_kept_like_any_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with raw_server(tls=True) as server, tunnel_to(server.port) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy}")
        transport = Transport(f"https://localhost:{server.port}", (5, 5), requests.Session)
        assert [send(transport).status for _ in range(2)] == [202, 202]
        transport.close()

    assert server.requests == [1, 1]


def test_what_goes_to_a_proxy_in_the_clear_may_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with raw_server(Say(b"", close=True)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert sent_by("http://togai.invalid").sent


def test_a_request_whose_first_byte_found_nobody_was_not_sent() -> None:
    with raw_server() as server:
        transport = Transport(server.url, (1, 1))
        send(transport)
        pools = transport.open().get_adapter(server.url).poolmanager.pools  # type: ignore[attr-defined]  # an HTTPAdapter's
        (pool,) = map(pools.get, pools.keys())
        connection = pool.pool.get(block=False)
        connection.sock.shutdown(socket.SHUT_WR)
        with exchange(5.0) as current, pytest.raises((BrokenPipeError, NotWhole)):  # as soon as it hangs up
            connection.request("POST", "/ingest", BODY)
        connection.close()

    assert not current.begun


def test_a_session_that_raises_before_it_sends_has_sent_nothing() -> None:
    class Down(requests.Session):
        def post(self, *args: object, **kwargs: object) -> requests.Response:  # type: ignore[override]
            raise requests.ConnectionError("down")

    assert not sent_by("http://127.0.0.1:9", Down).sent


def test_what_a_session_sends_by_connections_of_its_own_may_have_arrived() -> None:
    class Elsewhere(HTTPAdapter):
        def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
            return HTTPConnectionPool("127.0.0.1", server.port)

        get_connection = get_connection_with_tls_context

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("http://", Elsewhere())
        return made

    huge = b"HTTP/1.1 202 Fine\r\n\r\n" + b"x" * MIN_READ * 2
    cut = FINE.replace(b"17", b"18")
    with raw_server(Say(b"", close=True), FINE, Say(cut, close=True), Say(huge, close=True)) as server:
        assert sent_by("http://togai.invalid", session).sent
        transport = Transport("http://togai.invalid", (1, 1), session, allow_insecure=True)
        assert judge(send(transport)) == Accepted()
        assert send(transport).error == "no reply: HTTP 202, cut after 17 of 18 bytes"
        assert send(transport).error == f"no reply: HTTP 202, more than {MIN_READ} bytes"
        transport.close()


def test_where_no_adapter_is_mounted_nothing_was_sent() -> None:
    def session() -> requests.Session:
        made = requests.Session()
        made.adapters.clear()
        return made

    assert not sent_by("http://127.0.0.1:9", session).sent


def test_what_was_given_up_while_a_connection_was_made_is_not_sent() -> None:
    with raw_server() as server:
        transport = Transport(server.url, (1, 1))
        reply = transport.post("/ingest", BODY, Secret("secret"), 1e6, lambda: False)
        transport.close()

    assert reply == Reply(None, error="no reply: given up before it was sent", sent=False)
    assert server.requests == []


def test_what_was_given_up_is_not_sent_by_connections_of_the_sessions_own_either() -> None:
    class Nowhere(requests.adapters.BaseAdapter):
        def send(self, *args: object, **kwargs: object) -> requests.Response:  # type: ignore[override]  # it is not asked
            raise AssertionError

        def close(self) -> None: ...

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("http://", Nowhere())
        return made

    reply = Transport("http://127.0.0.1:9", (1, 1), session).post(
        "/ingest", BODY, Secret("secret"), 9, lambda: False
    )

    assert reply == Reply(None, error="no reply: given up before it was sent", sent=False)


def test_what_close_gives_up_while_nobody_shakes_hands_was_never_sent() -> None:
    told: list[DeliveryError] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:  # TLS never begins there
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        shipper = Shipper("secret", base_url=url, on_error=lambda error, _: told.append(error))
        shipper.track("api_call", "acme", {"count": 1})
        assert not shipper.close(timeout=0.3)

    assert [getattr(error, "maybe_delivered", None) for error in told] == [False]


class Closable:
    """A connection that notes that it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_connections_that_are_idle_in_a_pool_that_goes_are_closed() -> None:
    adapter = tame(requests.Session()).get_adapter("http://127.0.0.1:1")
    assert isinstance(adapter, HTTPAdapter)
    pool = adapter.poolmanager.connection_from_url("http://127.0.0.1:1").QueueCls(2)
    connection = Closable()
    pool.put(connection)
    pool.put(None)  # as urllib3 fills a pool
    del pool

    assert connection.is_closed


def test_an_informational_reply_to_a_session_with_a_pool_of_its_own_shifts_no_later_one() -> None:
    class OwnPool(HTTPAdapter):
        def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
            return pool

        get_connection = get_connection_with_tls_context

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("http://", OwnPool())
        return made

    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    with raw_server(HINTS, busy) as server:
        pool = HTTPConnectionPool("127.0.0.1", server.port)
        transport = Transport("http://togai.invalid", (1, 1), session, allow_insecure=True)
        assert isinstance(judge(send(transport)), TryLater)
        send(transport)
        transport.close()
        pool.close()

    assert server.requests == [1, 2]  # not on the connection on which the 202 of the one before is to come


class Retrying(requests.Session):
    """An application's session, which sends again by itself."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        try:
            return super().send(*arguments, **options)
        except requests.ConnectionError:
            return super().send(*arguments, **options)


def test_a_reply_tells_that_the_session_has_sent_the_request_twice() -> None:
    with raw_server(Say(b"", close=True), FINE, FINE) as server:
        transport = Transport(server.url, (1, 1), Retrying)
        assert send(transport).repeated
        assert not send(transport).repeated
        transport.close()


def test_what_a_session_has_sent_twice_and_togai_knows_is_delivered() -> None:
    known = b'{"message": "event id already exists"}'
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(known), known)
    with raw_server(Say(b"", close=True), refusal) as server:
        shipper = Shipper("secret", base_url=server.url, session_factory=Retrying)
        shipper.track("api_call", "acme", {"count": 1})
        assert shipper.close() == FlushReport(delivered=1)
