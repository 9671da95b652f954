"""One request, one reply: over real sockets, whatever comes back."""

from __future__ import annotations

import gzip
import json
import queue
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from togai_shipper import ConfigurationError
from togai_shipper._engine.exchange import exchange
from togai_shipper._engine.key import Key, KeyUnavailable
from togai_shipper._engine.no_reply import why
from togai_shipper._engine.timed_http import _addresses, _Connections, _TimedConnection
from togai_shipper._engine.transport import MIN_READ, Transport
from togai_shipper._engine.verdict import Reply
from togai_shipper._secret import Secret
from togai_shipper.testing import FakeTogai, faults

BODY = (
    b'{"event":{"schemaName":"a","id":"1","timestamp":"2026-01-01T00:00:00Z","accountId":"b",'
    b'"attributes":[],"dimensions":{}}}'
)
LONG = 30.0


@pytest.fixture
def transport(togai: FakeTogai) -> Iterator[Transport]:
    transport = Transport(togai.url, (1.0, 0.4))
    yield transport
    transport.close()


def send(transport: Transport, time_left: float = LONG, body: bytes = BODY) -> Reply:
    return transport.post("/ingest", body, Secret("secret"), time_left)


def test_a_reply_comes_back_with_its_status_and_body(transport: Transport) -> None:
    assert send(transport) == Reply(202, b'{"success": true}')


def test_the_key_goes_as_a_bearer_even_where_a_netrc_knows_another(
    togai: FakeTogai, transport: Transport, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"  # type: ignore[operator]  # a pathlib.Path
    netrc.write_text("machine 127.0.0.1 login jane password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))

    assert send(transport).status == 202
    assert togai.requests[0].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("event_id", ["order-7", "a/b?c=d#e f", "ü%2F", "..x"])
def test_an_event_is_looked_up_by_its_id_whatever_that_holds(
    togai: FakeTogai, transport: Transport, event_id: str
) -> None:
    send(transport, body=BODY.replace(b'"id":"1"', json.dumps({"id": event_id})[1:-1].encode()))
    send(transport)

    reply = transport.look_up(Secret("secret"), LONG, event_id=event_id)
    assert [record["eventPayload"]["id"] for record in json.loads(reply.body)["events"]] == [event_id]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.Reset(), "reset"),
        (faults.Raw(), "without response"),
        (faults.Raw(b"garbage\r\n\r\n"), "garbage"),
        (faults.Raw(b"HTTP/1.1 202 Fine\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}"), "no reply"),
        (faults.Raw(b"\x1b[31mFORGED\x07 line\r\n\r\n"), "not HTTP:  [31mFORGED  line  "),
        (faults.Cut(), "cut after 8 of 17 bytes"),
        (faults.Hang(), "timed out"),
        (faults.Drip(0.01), "timed out"),
        (faults.Drip(0.01, "headers"), "timed out"),
        (faults.Huge(MIN_READ * 3), "more than"),
    ],
    ids=[
        "reset",
        "closed",
        "garbage",
        "chunk",
        "control",
        "cut",
        "hang",
        "dripping-body",
        "dripping-headers",
        "huge",
    ],
)
def test_no_whole_reply_is_no_reply_in_bounded_time(
    togai: FakeTogai, transport: Transport, fault: faults.Fault, error: str
) -> None:
    togai.script(fault)
    reply = send(transport)

    assert reply.status is None
    assert reply.sent
    assert error in reply.error
    assert send(transport).status == 202  # and the next request is none the worse


@pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"two"])
def test_a_reply_with_a_length_that_is_none_is_no_reply(
    togai: FakeTogai, transport: Transport, length: bytes
) -> None:
    togai.script(faults.Raw(b"HTTP/1.1 202 Fine\r\nContent-Length: " + length + b"\r\n\r\n{}"))

    reply = send(transport)

    assert (reply.status, reply.sent) == (None, True)
    assert "two lengths" in reply.error


def test_a_request_for_which_no_time_is_left_is_not_sent(togai: FakeTogai, transport: Transport) -> None:
    assert not send(transport, time_left=0.0).sent
    assert len(togai.requests) == 0


def test_a_request_takes_no_longer_than_the_time_that_is_left(togai: FakeTogai) -> None:
    transport = Transport(togai.url, (30, 30))
    togai.script(faults.Drip(0.01, "headers"))
    began = time.monotonic()
    reply = send(transport, time_left=0.2)
    transport.close()

    assert reply.status is None
    assert time.monotonic() - began < 5  # it bounds a hang: the drip would never end


def test_a_refused_connection_was_never_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        transport = Transport(f"http://127.0.0.1:{unused.getsockname()[1]}", (1, 1))
        reply = send(transport)
        transport.close()

    assert (reply.status, reply.sent) == (None, False)
    assert "refused" in reply.error


def test_a_connection_that_is_never_made_was_never_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        taken = [socket.create_connection(full.getsockname())]
        transport = Transport(f"http://127.0.0.1:{full.getsockname()[1]}", (0.1, 0.1))
        replies = [send(transport) for _ in range(3)]
        transport.close()
        for connection in taken:
            connection.close()

    assert {reply.status for reply in replies} == {None}
    assert replies[-1].sent is False


def test_the_addresses_of_a_host_share_the_time_to_connect() -> None:
    """Each of them may swallow what is sent there; urllib3 tries them in turn, and gives each all of it."""
    seen: list[float] = []

    class Connection:
        host, port, timeout = "localhost", 80, 6.0

        def connect(self) -> None:
            seen.append(self.timeout)

    class Timed(_TimedConnection, Connection):
        pass

    Timed().connect()  # of the application's own
    with exchange(LONG):
        Timed().connect()

    assert seen == [6.0, 6.0 / len(socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM))]
    assert _addresses("no-such-host.invalid", 80) == 1


def test_a_wait_that_begins_after_the_deadline_ends_at_once() -> None:
    with (
        exchange(0.0) as late,
        socket.socket() as sock,
        pytest.raises(TimeoutError, match="timed out, there is no connection"),
    ):
        late.bound(sock)


def test_a_redirect_is_a_reply_like_any_other(togai: FakeTogai, transport: Transport) -> None:
    togai.script(faults.Answer(302, b"moved", headers={"Location": togai.url + "/ingest"}))

    assert send(transport) == Reply(302, b"moved")
    assert len(togai.requests) == 1


def test_a_reply_that_is_compressed_unasked_is_unpacked(togai: FakeTogai, transport: Transport) -> None:
    togai.script(
        faults.Answer(200, gzip.compress(b'{"success": true}'), headers={"Content-Encoding": "gzip"}),
        faults.Answer(200, b"not gzip", headers={"Content-Encoding": "gzip"}),
    )

    assert send(transport).body == b'{"success": true}'
    assert send(transport).body == b""


def test_retry_after_is_read(togai: FakeTogai, transport: Transport) -> None:
    togai.script(faults.Throttle(7))

    assert send(transport).retry_after == 7.0


def test_a_session_of_the_callers_making_is_used_and_follows_no_redirect(togai: FakeTogai) -> None:
    session = requests.Session()
    session.headers["X-Mine"] = "yes"
    transport = Transport(togai.url, (1, 1), lambda: session)
    togai.script(
        faults.Answer(302, b"x" * 100, headers={"Location": togai.url + "/ingest"}), faults.Drip(0.01)
    )

    assert send(transport).status == 302
    assert send(transport).status is None  # its body, too, has a deadline
    transport.close()
    assert togai.requests[0].headers["x-mine"] == "yes"


def test_an_http_proxy_of_the_environment_does_not_lead_to_loopback(
    togai: FakeTogai, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    transport = Transport(togai.url, (1, 1))

    assert send(transport).status == 202
    transport.close()


def test_a_proxy_is_used_where_one_is_needed(togai: FakeTogai, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", togai.url)
    monkeypatch.delenv("no_proxy", raising=False)
    transport = Transport("http://togai.invalid", (1, 1), allow_insecure=True)

    assert send(transport).status is not None
    transport.close()


def test_why_there_is_no_reply_is_told_by_the_innermost_cause_alone() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        transport = Transport(f"http://127.0.0.1:{nobody.getsockname()[1]}", (1, 1))
        reply = send(transport)
        transport.close()

    assert reply.error == "no reply: [Errno 111] Connection refused"


def test_an_adapter_that_is_none_of_requests_own_is_left_as_it_is(togai: FakeTogai) -> None:
    class Nowhere(requests.adapters.BaseAdapter):
        def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:  # type: ignore[override]  # what is asked of it
            raise requests.exceptions.InvalidSchema("nowhere")

        def close(self) -> None: ...

    session = requests.Session()
    session.mount("http://", Nowhere())
    transport = Transport(togai.url, (1, 1), lambda: session)

    assert send(transport).error == "no reply: nowhere"
    transport.close()


def test_an_error_whose_causes_run_in_a_circle_is_told_all_the_same() -> None:
    class Circular(requests.exceptions.ConnectionError):
        def __str__(self) -> str:
            return "round and round"

    error = Circular()
    error.args = (Circular(error),)
    error.args[0].args = (error,)

    assert why(error) == "round and round"


def test_a_server_that_does_not_read_the_request_has_the_time_of_the_whole_reply_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        transport = Transport(url, (0.05, 1.0))
        began = time.monotonic()
        reply = send(transport, body=b"x" * 20_000_000)

    assert reply.error.startswith("no reply: timed out, ")
    assert " of 20,000,233 bytes of the request have gone" in reply.error
    assert 0.9 < time.monotonic() - began < 5  # not the time to connect alone, nor for ever
    transport.close()


def test_a_session_that_the_application_shares_with_us_still_serves_the_application(togai: FakeTogai) -> None:
    session = requests.Session()
    transport = Transport(togai.url, (1, 1), lambda: session)
    assert send(transport).status == 202

    answer = session.post(togai.url + "/ingest", BODY, headers={"Authorization": "Bearer secret"}, timeout=5)
    assert answer.status_code < 500


def test_idle_connections_are_kept_without_a_lock_that_a_fork_could_find_taken(
    togai: FakeTogai, transport: Transport
) -> None:
    send(transport)
    send(transport)
    pools = transport.open().get_adapter(togai.url).poolmanager  # type: ignore[attr-defined]  # an HTTPAdapter's
    (pool,) = map(pools.pools.get, pools.pools.keys())
    assert (pool.num_connections, pool.num_requests) == (1, 2)  # kept alive

    idle = _Connections(1)
    idle.put("one")
    with pytest.raises(queue.Full):
        idle.put("two", block=False)
    assert (idle.qsize(), idle.get(block=False)) == (1, "one")
    with pytest.raises(queue.Empty):
        idle.get(block=False)
    assert not any("lock" in type(part).__name__.lower() for part in vars(idle).values())


def test_a_session_that_raises_on_its_own_account_is_no_reply_and_says_what_it_raised(
    togai: FakeTogai,
) -> None:
    class Broken(requests.Session):
        def post(self, *args: object, **kwargs: object) -> requests.Response:  # type: ignore[override]
            raise KeyError("tenant")

    reply = send(Transport(togai.url, (1, 1), Broken))

    assert reply.error == "no reply: KeyError: 'tenant'"


# --- the key ------------------------------------------------------------------------------------------------


def test_a_callable_is_asked_once_until_its_key_is_refused() -> None:
    keys = iter(["one", "two"])
    key = Key(lambda: next(keys))

    assert (key.current(), key.current()) == (Secret("one"), Secret("one"))
    assert key.renewed(Secret("one")) == Secret("two")
    assert key.renewed(Secret("one")) == Secret(
        "two"
    )  # another flusher, refused with the old one, takes what is known by now


def test_a_key_that_is_handed_over_while_another_is_asked_for_is_the_one() -> None:
    def ask() -> str:
        key.replace("new")
        return "old"

    def fail() -> str:
        key.replace("newer")
        raise OSError("no vault")

    key = Key(ask)
    assert (key.current(), key.current()) == (Secret("new"), Secret("new"))
    key.replace(fail)
    assert key.renewed(Secret("new")) == Secret("newer")


def test_a_fixed_key_is_never_another() -> None:
    assert Key("one").renewed(Secret("one")) is None


@pytest.mark.parametrize("answer", ["", "with blank", None, 5])
def test_what_cannot_be_a_key_is_none(answer: object) -> None:
    with pytest.raises(KeyUnavailable) as raised:
        Key(lambda: answer).current()  # type: ignore[arg-type,return-value]  # the point
    assert isinstance(raised.value.__cause__, ConfigurationError)
