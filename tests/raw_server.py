"""A server that says exactly the bytes it is told to, request after request, on any connection."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import attrs

CERTIFICATE = Path(__file__).parent / "tls" / "localhost.pem"
FINE = b'HTTP/1.1 202 Fine\r\nContent-Length: 17\r\n\r\n{"success": true}'


@attrs.frozen
class Say:
    """One reply. ``unread``: it is said before the request's body is read, which never is."""

    reply: bytes
    close: bool = False
    unread: bool = False


@attrs.define(eq=False)
class RawServer:
    """What it says, and of each request that it read wholly the head, and on which connection it came."""

    listener: socket.socket
    script: list[Say]
    tls: ssl.SSLContext | None = None
    connections: list[socket.socket] = attrs.field(factory=list)
    requests: list[int] = attrs.field(factory=list)
    heads: list[bytes] = attrs.field(factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://localhost:{self.port}"

    def serve(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                args = (connection, len(self.connections))
                threading.Thread(target=self._talk, args=args, daemon=True).start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError):  # the client went away
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while self._exchange(connection, stream, number):
                    pass

    def _exchange(self, connection: socket.socket, stream: BinaryIO, number: int) -> bool:
        length, head = 0, b""
        while (line := stream.readline()) != b"\r\n":
            if not line:
                return False
            head += line
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        say = self.script.pop(0) if self.script else Say(FINE)
        if not say.unread:
            stream.read(length)
            self.requests.append(number)
            self.heads.append(head)
        connection.sendall(say.reply)
        return not (say.close or say.unread)


def tls_of_localhost() -> ssl.SSLContext:
    """What a server of localhost shows, whom nobody trusts who was not given ``CERTIFICATE``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    return context


@contextmanager
def raw_server(*script: Say | bytes, tls: bool = False) -> Iterator[RawServer]:
    """Run a server that says these, one a request; then that all is fine."""
    says = [say if isinstance(say, Say) else Say(say) for say in script]
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        server = RawServer(listener, says, tls_of_localhost() if tls else None)
        threading.Thread(target=server.serve, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def tunnel_to(port: int) -> Iterator[int]:
    """Run a proxy, on the port that is yielded, which makes one tunnel, and it leads to ``port``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_tunnel, args=(listener, port), daemon=True).start()
        yield int(listener.getsockname()[1])


def _tunnel(listener: socket.socket, port: int) -> None:
    try:
        inner, _ = listener.accept()
    except OSError:  # nobody came, and the test is over
        return
    with inner, socket.create_connection(("127.0.0.1", port)) as outer:
        while not inner.recv(4096).endswith(b"\r\n\r\n"):
            pass
        inner.sendall(b"HTTP/1.1 200 Fine\r\n\r\n")
        back = threading.Thread(target=_copy, args=(outer, inner), daemon=True)
        back.start()
        _copy(inner, outer)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side went away
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
