"""The life of the sandbox: start, stop, restart, threads, forks, frozen clocks, and what it leaves behind."""

from __future__ import annotations

import ast
import asyncio
import doctest
import gc
import http.client
import json
import logging
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import freezegun
import pytest
import requests

import togai_shipper.sandbox
from togai_shipper.sandbox import fake
from togai_shipper.sandbox.server import listen
from togai_shipper.testing import FakeTogai, faults

EVENT = {
    "id": "e-1",
    "schemaName": "api_call",
    "timestamp": "2024-01-01T00:00:00Z",
    "accountId": "acme",
    "attributes": [],
    "dimensions": {},
}
BODY = json.dumps({"event": EVENT}).encode()
HEAD = (
    "POST /ingest HTTP/1.1\r\nHost: togai\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer secret\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()


def single(session: requests.Session, togai: FakeTogai) -> int:
    return session.post(togai.url + "/ingest", json={"event": EVENT}, timeout=10).status_code


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def open_files() -> int:
    """How many files this process has open, once what other tests have left to be collected is gone."""
    gc.collect()  # of the files that it finds unclosed, each is an error
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def connect(togai: FakeTogai) -> socket.socket:
    return socket.create_connection(("127.0.0.1", togai.port), 10)


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_example_in_the_docstring_is_true() -> None:
    assert doctest.testmod(fake).attempted > 0
    assert doctest.testmod(fake).failed == 0


def test_it_listens_on_a_free_port_of_loopback_until_it_is_stopped(session: requests.Session) -> None:
    with FakeTogai() as togai, FakeTogai() as other:
        assert togai.url == f"http://127.0.0.1:{togai.port}"
        assert togai.port != other.port
        assert single(session, togai) == 202

    with pytest.raises(ConnectionRefusedError):
        connect(togai)


def test_a_port_can_be_asked_for_and_a_taken_one_is_an_error_at_once() -> None:
    with FakeTogai() as togai, pytest.raises(OSError, match="in use"):
        FakeTogai(port=togai.port).start()


def test_before_the_start_there_is_no_url() -> None:
    togai = FakeTogai()

    with pytest.raises(RuntimeError, match="not started"):
        togai.url  # noqa: B018  reading it is the act
    assert repr(togai) == "<FakeTogai [not started, 0 requests, 0 metered]>"
    togai.release()
    togai.stop()


def test_it_comes_back_on_the_same_port_with_its_ledger(session: requests.Session) -> None:
    togai = FakeTogai().start()
    url = togai.url
    assert togai.start() is togai
    single(session, togai)
    togai.stop()
    assert repr(togai) == f"<FakeTogai [{url}, stopped, 1 requests, 1 metered]>"

    with togai:
        assert togai.url == url
        single(session, togai)

    assert togai.ledger.get("e-1").accepted == 2
    assert togai.ledger.metered == 1


def test_a_stop_drops_every_open_connection_whatever_its_request_waits_for(session: requests.Session) -> None:
    togai = FakeTogai().start()
    waits = [
        faults.Hang(),
        faults.Slow(3600),
        faults.Hold(),
        faults.Drip(3600),
        faults.Drip(3600, "headers"),
        faults.Huge(10**12),
    ]
    togai.script(*waits)
    connections = [connect(togai) for _ in waits]
    for number, connection in enumerate(connections, 1):
        connection.sendall(HEAD + BODY)
        assert togai.wait(lambda number=number: len(togai.requests) == number)
    half_sent, idle = connect(togai), connect(togai)
    half_sent.sendall(HEAD + BODY[:10])
    single(session, togai)

    togai.stop()

    for connection in (half_sent, idle, *connections[:3]):
        assert is_closed(connection)
    for connection in (half_sent, idle, *connections):
        connection.close()
    assert togai.ledger.accepted == 1


def test_a_client_that_leaves_while_it_sends_is_no_request(session: requests.Session) -> None:
    with FakeTogai() as togai:
        with connect(togai) as leaving:
            leaving.sendall(HEAD + BODY[:10])
        assert single(session, togai) == 202

        assert [request.size for request in togai.requests] == [len(BODY)]


def test_a_stop_leaves_no_thread_and_no_socket() -> None:
    before = open_files()
    with FakeTogai() as togai:
        assert f"sandbox-{togai.port}" in threads()
        with connect(togai) as connection:
            connection.sendall(HEAD + BODY)
            assert connection.recv(12) == b"HTTP/1.1 202"

    assert f"sandbox-{togai.port}" not in threads()
    assert open_files() == before


def test_a_stop_leaves_no_socket_of_clients_that_come_just_then() -> None:
    def come(togai: FakeTogai) -> None:
        with suppress(OSError):  # it is gone
            while True:
                connect(togai).close()

    before = open_files()
    for _ in range(5):
        with FakeTogai() as togai:
            clients = [threading.Thread(target=come, args=(togai,)) for _ in range(2)]
            for client in clients:
                client.start()
            connect(togai).close()
        for client in clients:
            client.join()

    assert open_files() == before


def test_a_connection_is_kept_open_for_further_requests() -> None:
    with FakeTogai() as togai, connect(togai) as connection:
        for _ in range(3):
            connection.sendall(HEAD + BODY)
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            assert (reply.status, reply.read()) == (202, b'{"success": true}')


def test_a_reply_does_not_wait_for_the_acknowledgement_of_its_headers() -> None:
    """Its effect is 40 ms, and no test measures time; so the option of the accepted socket is looked at."""

    async def nodelay() -> int:
        accepted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        listener = listen("127.0.0.1", 0)

        def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer.get_extra_info("socket"))
            writer.close()

        async with await asyncio.start_server(accept, sock=listener):
            with socket.create_connection(listener.getsockname()):
                return (await accepted).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert asyncio.run(nodelay()) == 1


def test_what_is_no_http_is_refused_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with FakeTogai() as togai, connect(togai) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"

        assert togai.requests == ()
    assert capfd.readouterr() == ("", "")


def test_nothing_is_logged_whatever_happens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeTogai() as togai:
        togai.script(faults.Reset(), faults.Raw(b"x"), faults.Hang(), faults.Huge(10**12))
        for number in range(1, 5):
            with connect(togai) as connection:
                connection.sendall(HEAD + BODY)
                assert togai.wait(lambda number=number: len(togai.requests) == number)

    assert [record for record in caplog.records if not record.name.startswith("asyncio")] == []


def test_waiting_ends_when_the_predicate_is_true_or_the_time_is_over(session: requests.Session) -> None:
    with FakeTogai() as togai:
        assert not togai.wait(lambda: togai.requests, timeout=0)
        assert not togai.wait(lambda: togai.requests, timeout=0.001)

        sender = threading.Thread(target=single, args=(session, togai))
        sender.start()
        assert togai.wait(lambda: togai.ledger.metered == 1)
        sender.join(10)


def test_a_frozen_clock_does_not_stop_the_sandbox(session: requests.Session) -> None:
    with freezegun.freeze_time("2024-01-01"), FakeTogai(clock=time.time) as togai:
        togai.script(faults.Slow(0.001))
        assert single(session, togai) == 202

        reply = session.get(togai.url + "/events", timeout=10)
        assert reply.headers["Date"] == "Mon, 01 Jan 2024 00:00:00 GMT"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_holds_no_connection_of_the_sandbox_open(session: requests.Session) -> None:
    hold_child, free_child = os.pipe()
    with FakeTogai() as togai:
        togai.script(faults.Hold(faults.Raw(b"bye")))
        with connect(togai) as connection:
            connection.sendall(HEAD + BODY)
            assert togai.wait(lambda: togai.requests)
            child = os.fork()
            if child == 0:
                os.close(free_child)
                togai.stop()  # is the parent's to do
                os.read(hold_child, 1)
                os._exit(0)

            togai.release()

            assert connection.recv(10) == b"bye"
            assert is_closed(connection)
        assert single(session, togai) == 202
    with pytest.raises(ConnectionRefusedError):
        connect(togai)

    os.close(free_child)
    os.close(hold_child)
    assert os.waitpid(child, 0)[1] == 0


def test_the_sandbox_imports_nothing_of_the_library() -> None:
    for source in Path(togai_shipper.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, f"{source.name}: {node.module}"
                assert node.level == 1 or not (node.module or "").startswith("togai_shipper"), source.name
            elif isinstance(node, ast.Import):
                assert not any(each.name.startswith("togai_shipper") for each in node.names), source.name
