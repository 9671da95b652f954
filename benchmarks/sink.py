"""A server that counts events and says yes: never the bottleneck of what is measured beside it.

It runs in a process of its own, reads HTTP as plainly as can be, and tells how busy it was.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import attrs

from .dialects import DIALECTS, NOT_FOUND

GZIP = 31  # what zlib calls it


@attrs.frozen
class Count:
    """What came so far."""

    requests: int
    events: int
    busy: float  # seconds of CPU


class _State:
    def __init__(self) -> None:
        self.requests = self.events = 0


def _serve(connection: socket.socket, state: _State, latency: float) -> None:
    buffer = b""
    with connection, suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            while (end := buffer.find(b"\r\n\r\n")) < 0:
                chunk = connection.recv(1 << 20)
                if not chunk:
                    return
                buffer += chunk
            dialect = DIALECTS.get(buffer.split(b" ", 2)[1], NOT_FOUND)
            head = buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)  # none: a look-up
            parts, got = [buffer[end + 4 :]], len(buffer) - end - 4
            while got < length:
                parts.append(connection.recv(1 << 20))
                got += len(parts[-1])
            body = b"".join(parts)
            buffer = body[length:]
            if b"content-encoding: gzip" in head:
                body = zlib.decompress(body, GZIP)
                length = len(body)
            count = body.count(dialect.mark, 0, length)
            state.events += count
            state.requests += 1
            if latency:
                time.sleep(latency)
            connection.sendall(dialect.reply(count))


def _run(pipe: Connection, latency: float, cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    state = _State()
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve, args=(connection, state, latency), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    pipe.send(listening.getsockname()[1])
    while pipe.recv():
        pipe.send(Count(state.requests, state.events, time.process_time()))


class Sink:
    """One that runs."""

    def __init__(self, pipe: Connection, port: int) -> None:
        self._pipe = pipe
        self.url = f"http://127.0.0.1:{port}"

    def count(self) -> Count:
        """What came so far."""
        self._pipe.send(True)  # noqa: FBT003  any word will do
        count: Count = self._pipe.recv()
        return count


@contextmanager
def sink(latency: float = 0.0, cpu: int | None = None) -> Iterator[Sink]:
    """Run one; each reply takes ``latency`` seconds."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(theirs, latency, cpu), daemon=True
    )
    process.start()
    theirs.close()  # so that its end is seen here
    try:
        yield Sink(ours, ours.recv())
    finally:
        process.kill()
        process.join()
