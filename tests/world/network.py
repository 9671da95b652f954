"""The network between processes and Togai: addresses, connections, and bytes that take their time."""

from __future__ import annotations

import errno
import io
import select
import socket as python
from typing import TYPE_CHECKING, Any

from . import kernel

if TYPE_CHECKING:
    from .process import Process
    from .scheduler import Task

LATENCY = 0.005  # seconds that bytes are on their way
PORT = 80


class Connection:
    """Two ends: what the client has sent, and what comes back to it, and when."""

    def __init__(self, process: Process, address: str, now: float) -> None:
        self.process = process
        self.address = address
        self.opened_at = self.used_at = now
        self.received = bytearray()  # by the server, of the request under way
        self.requests = 0
        self.is_sending = False  # a request has begun, and is not whole
        self.swallows = False  # whatever is sent is lost, and nothing comes back
        self.is_open = True  # at the client's end
        self._coming: list[tuple[float, bytes]] = []
        self._over: tuple[float, BaseException | None] | None = None  # when it ends, and how
        self._reader: Task | None = None

    # --- the server's end ---

    def send(self, at: float, data: bytes) -> None:
        """Let bytes arrive at that moment."""
        self._coming.append((at, data))
        self._changed()

    def end(self, at: float, error: BaseException | None = None) -> None:
        """Let the connection end at that moment, properly or with an error."""
        self._over = (at, error)
        self._changed()

    def _changed(self) -> None:
        if self._reader is not None:
            kernel.scheduler().wake(self._reader)

    # --- the client's end ---

    def is_readable(self, now: float) -> bool:
        """Whether a read would return at once."""
        return bool(self._coming and self._coming[0][0] <= now) or self.is_ended(now)

    def is_ended(self, now: float) -> bool:
        """Whether the other side has ended it."""
        return self._over is not None and self._over[0] <= now

    def receive(self, most: int, timeout: float | None) -> bytes:
        """What has arrived; waits for it."""
        scheduler = kernel.scheduler()
        until = None if timeout is None else scheduler.now + timeout
        while True:
            now = scheduler.now
            if self._coming and self._coming[0][0] <= now:
                at, data = self._coming.pop(0)
                if len(data) > most:
                    self._coming.insert(0, (at, data[most:]))
                return data[:most]
            if self._over is not None and self._over[0] <= now:
                if self._over[1] is not None:
                    raise self._over[1]
                return b""
            if until is not None and now >= until:
                raise TimeoutError("timed out")
            times = [at for at, _ in self._coming[:1]] + [at for at, _ in [self._over or (None, None)] if at]
            self._reader = scheduler.task
            scheduler.wait(min([*times, *([] if until is None else [until])], default=None))
            self._reader = None


class Socket:
    """Stands for ``socket.socket``: its bytes go through the world's network."""

    family, type, proto = python.AF_INET, python.SOCK_STREAM, 0

    def __init__(self, *_: Any, **__: Any) -> None:
        self._timeout: float | None = None
        self.connection: Connection | None = None
        self._options: dict[Any, Any] = {}

    # --- what http.client and urllib3 ask of one ---

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int, *_: Any) -> Any:
        return self._options.get((level, option), 0)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        return self._timeout

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  as socket has it
        self._timeout = None if flag else 0.0

    def fileno(self) -> int:
        return 1_000_000  # of no file

    def getpeername(self) -> tuple[str, int]:
        assert self.connection is not None
        return self.connection.address, PORT

    def connect(self, address: tuple[str, int]) -> None:
        here = kernel.process()
        assert here is not None, "nobody but a process connects"
        self.connection = kernel.world().internet.connect(here, address[0], self._timeout)

    def sendall(self, data: Any) -> None:
        if self.connection is None or not self.connection.is_open:
            raise OSError(errno.EBADF, "not connected")
        kernel.world().internet.sent(self.connection, bytes(data), self._timeout)

    def send(self, data: Any) -> int:
        self.sendall(data)
        return len(data)

    def recv(self, most: int, flags: int = 0) -> bytes:
        if self.connection is None or not self.connection.is_open:
            raise OSError(errno.EBADF, "not connected")
        if flags & python.MSG_PEEK:
            if not self.connection.is_readable(kernel.scheduler().now):
                raise BlockingIOError(errno.EAGAIN, "nothing there")
            return b"" if self.connection.is_ended(kernel.scheduler().now) else b"x"
        return self.connection.receive(most, self._timeout)

    def recv_into(self, buffer: Any, *_: Any) -> int:
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return _Reader(self)  # type: ignore[return-value]  # unbuffered: what http.client wraps it in buffers

    def shutdown(self, how: int) -> None:
        """As far as we care."""

    def close(self) -> None:
        if self.connection is not None:
            self.connection.is_open = False

    def detach(self) -> int:
        self.close()
        return -1


class _Reader(io.RawIOBase):
    """A socket as a file. Closing it leaves the socket open."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._socket.recv_into(buffer)


class Poll:
    """Stands for ``select.poll``: asks the world's sockets."""

    def __init__(self) -> None:
        self._sockets: list[tuple[Socket, int]] = []

    def register(self, socket: Any, mask: int = 0) -> None:
        if isinstance(socket, Socket):
            self._sockets.append((socket, mask))

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        now = kernel.scheduler().now if self._sockets else 0.0
        return [
            (socket.fileno(), select.POLLIN)
            for socket, mask in self._sockets
            if mask & select.POLLIN and socket.connection is not None and socket.connection.is_readable(now)
        ]


def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
    """Where a host is, as the world's name server says at the moment."""
    return [
        (python.AF_INET, python.SOCK_STREAM, 6, "", (address, port))
        for address in kernel.world().internet.addresses(host)
    ]
