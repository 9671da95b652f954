"""A server that plays scripts of raw bytes, and notes for itself which events it took.

There are sockets and threads in it, and nothing else: no library's idea of HTTP, nothing of the sandbox's.
What it answers may be early, cut, doubled or a lie; what it took is the one thing that it is honest about,
and what a test is judged by.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import attrs

CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"  # of localhost, self-signed; its key opens nothing
LOOK = 0.003  # seconds between two looks of an idle conversation at what it is to do
PATIENCE = 10.0  # seconds that a test waits for what has to come


class Gone(Exception):  # noqa: N818  what ends a conversation is no error of the server's
    """The client has closed the connection, or the server has, or it stops."""


class Step(Protocol):
    """One thing that the server does in a conversation."""

    def do(self, talk: Talk) -> None:
        """Do it."""


@attrs.frozen
class Request:
    """A request as far as it was read: ``events`` is empty until it is whole."""

    connection: int
    path: str
    length: int
    events: tuple[tuple[str, str], ...] = ()  # number of the event, and its id

    @property
    def ids(self) -> list[str]:
        """The events' ids."""
        return [event_id for _, event_id in self.events]


@attrs.define(eq=False)
class Record:
    """What the server knows: changed by its conversations, each under the lock, and read by the test."""

    lock: threading.Lock = attrs.field(factory=threading.Lock)
    requests: list[Request] = attrs.field(factory=list)  # those that were read wholly
    plays: list[tuple[Step, ...]] = attrs.field(factory=list)  # what each of those got
    taken: Counter[str] = attrs.field(factory=Counter)  # id -> how often its event was taken
    ids: dict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))  # event's number -> ids it had
    begun: int = 0  # requests of which a byte was read
    connections: int = 0
    failures: list[str] = attrs.field(factory=list)  # the server's own: a test that saw one proves nothing

    def read(self, request: Request, play: tuple[Step, ...]) -> None:
        """Note a request that was read wholly, and what it gets."""
        with self.lock:
            self.requests.append(request)
            self.plays.append(play)
            for number, event_id in request.events:
                self.ids[number].add(event_id)

    def story(self, event_id: str) -> str:
        """Tell what became of the requests that held an event."""
        told = [
            f"connection {request.connection}, {len(request.ids)} events: {play}"
            for request, play in zip(self.requests, self.plays, strict=True)
            if event_id in request.ids
        ]
        return "\n".join([f"{event_id}, taken {self.taken[event_id]} times:", *told])

    def take(self, ids: Iterable[str]) -> None:
        """Take events."""
        with self.lock:
            self.taken.update(ids)


class Talk:
    """A conversation over one connection."""

    def __init__(self, server: WireServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.number = number
        self.request = Request(number, "", 0)
        self.play: tuple[Step, ...] = ()  # what the request gets
        self.is_idle = False
        self.is_over = False  # nothing is done any more, but waiting for the client to leave
        self.interjected: list[tuple[Step, ...]] = []
        self._sock = sock
        self._unread = b""
        self._head_length = 0

    # --- what steps do ---

    def read(self, part: str) -> None:
        """Read the request: its ``head``, ``half`` of its body too, or the ``whole``."""
        while b"\r\n\r\n" not in self._unread:
            self._receive()
        head, _, _ = self._unread.partition(b"\r\n\r\n")
        self._head_length = len(head) + 4
        self.request = Request(self.number, *_path_and_length(head))
        share = {"head": 0.0, "half": 0.5, "whole": 1.0}[part]
        until = self._head_length + int(self.request.length * share)
        while len(self._unread) < until:
            self._receive()
        if part == "whole":
            body = self._unread[self._head_length : until]
            self._unread, self._head_length = self._unread[until:], 0
            self.request = attrs.evolve(self.request, events=_events(body))
            self.server.record.read(self.request, self.play)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        if self.server.stopping.wait(seconds):
            raise Gone

    def end(self) -> None:
        """Send nothing more (FIN; under TLS without saying so)."""
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Cut the connection (RST)."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone

    def wait_for_end(self) -> None:
        """Wait until the client has left, and look at nothing of what it sends."""
        self.is_over = True
        while True:
            self._receive()

    # --- one request after the other ---

    def hold(self) -> None:
        """Talk until somebody leaves."""
        for step in self.server.next_greeting():
            step.do(self)
        while True:
            self._wait_for_a_request()
            self.play = self.server.next_play()
            for step in self.play:
                step.do(self)
            if self._head_length:  # the play has read a part of it, and the connection is still open
                self.read("whole")

    def _wait_for_a_request(self) -> None:
        self.is_idle = True
        while not self._unread and not self._is_readable(LOOK):
            while self.interjected:
                for step in self.interjected[0]:
                    step.do(self)
                del self.interjected[0]  # now that it is done
        self.is_idle = False
        if not self._unread:
            self._receive()
        with self.server.record.lock:
            self.server.record.begun += 1

    def _is_readable(self, seconds: float) -> bool:
        if self.server.stopping.is_set():
            raise Gone
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        return bool(select.select([self._sock], [], [], seconds)[0])

    def _receive(self) -> None:
        while not self._is_readable(0.05):
            pass
        try:
            data = self._sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._unread += data


class WireServer:
    """Listens on loopback, and plays: to each connection its greeting, to each request its play.

    ``plays`` go to requests, ``greetings`` to connections, both in the order in which they come, whatever
    connection that is; once they are used up, each request gets ``then``. ``buffer``: how many bytes the
    system keeps of what was not read yet. ``handshakes``: with how many connections it shakes hands, under
    TLS; to others it never says anything.
    """

    def __init__(
        self,
        plays: Iterable[Iterable[Step]] = (),
        then: Iterable[Step] = (),
        *,
        greetings: Iterable[Iterable[Step]] = (),
        tls: bool = False,
        buffer: int = 0,
        handshakes: int = 1_000_000,
    ) -> None:
        self.record = Record()
        self.stopping = threading.Event()
        self._plays = [tuple(play) for play in plays]
        self._greetings = [tuple(steps) for steps in greetings]
        self.then = tuple(then)
        self._handshakes = handshakes
        self._lock = threading.Lock()
        self._talks: list[Talk] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.05)
        if buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(CERTIFICATE)
        self._run(self._accept)

    @property
    def url(self) -> str:
        """Where it listens."""
        port = self._listener.getsockname()[1]
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    @property
    def plays_left(self) -> int:
        """How many plays no request has had yet."""
        return len(self._plays)

    def next_play(self) -> tuple[Step, ...]:
        """What the next request gets."""
        with self._lock:
            return self._plays.pop(0) if self._plays else self.then

    def next_greeting(self) -> tuple[Step, ...]:
        """What the next connection gets, before any request."""
        with self._lock:
            return self._greetings.pop(0) if self._greetings else ()

    def behave(self) -> None:
        """Forget the script: from now on each request gets ``then``."""
        with self._lock:
            self._plays.clear()
            self._greetings.clear()

    def interject(self, *steps: Step) -> int:
        """Do something on every connection, once none is busy; returns on how many it was done."""
        assert wait(lambda: all(talk.is_idle or talk.is_over for talk in self._open()))
        idle = [talk for talk in self._open() if not talk.is_over]
        for talk in idle:
            talk.interjected.append(steps)
        assert wait(lambda: not any(talk.interjected and not talk.is_over for talk in self._open()))
        return len(idle)

    def _open(self) -> list[Talk]:
        with self._lock:
            return list(self._talks)

    def stop(self) -> None:
        """End every conversation, and wait for it."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _run(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=self._watched, args=(work, *args), name="wire-server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watched(self, work: Callable[..., None], *args: Any) -> None:
        try:
            work(*args)
        except Exception as error:  # whatever it is, the test that it serves has to hear of it
            self.record.failures.append(f"{type(error).__name__}: {error}")

    def _accept(self) -> None:
        while not self.stopping.is_set():
            with suppress(TimeoutError):
                sock, _ = self._listener.accept()
                self.record.connections += 1
                self._run(self._talk, sock, self.record.connections)

    def _talk(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if number > self._handshakes:
            with sock:
                self.stopping.wait()
            return
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except OSError:  # the client went away
                sock.close()
                return
        talk = Talk(self, sock, number)
        with self._lock:
            self._talks.append(talk)
        with sock, suppress(Gone):
            try:
                talk.hold()
            finally:
                with self._lock:
                    self._talks.remove(talk)


@contextmanager
def serving(*args: Any, **kwargs: Any) -> Iterator[WireServer]:
    """Have a server, and none of its threads afterwards."""
    server = WireServer(*args, **kwargs)
    try:
        yield server
    finally:
        server.stop()
    assert server.record.failures == []


def wait(predicate: Callable[[], Any], timeout: float = PATIENCE) -> bool:
    """Wait until the predicate is true; return whether it became so."""
    until = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > until:
            return False
        threading.Event().wait(0.002)
    return True


def _path_and_length(head: bytes) -> tuple[str, int]:
    first, *fields = head.split(b"\r\n")
    method, path, version = first.split(b" ")
    assert (method, version) == (b"POST", b"HTTP/1.1"), first
    lengths = [
        value for name, _, value in (f.partition(b":") for f in fields) if name.lower() == b"content-length"
    ]
    (length,) = lengths
    return path.decode(), int(length)


def _events(body: bytes) -> tuple[tuple[str, str], ...]:
    sent = json.loads(body)
    events = sent["events"] if "events" in sent else [sent["event"]]
    return tuple((event["dimensions"]["number"], event["id"]) for event in events)
