"""Reads one HTTP reply off a stream of bytes: the whole of it, or ``NotWhole`` is raised.

``http.client`` is lenient: it takes a 103 for the final reply, a head that is cut for a whole one, and of two
lengths the first. A reply that can be read in two ways could end an event that the server never took, and
what is left of it would be read as the reply to the next request. Here such a reply is none.
"""

from __future__ import annotations

import http.client
import re
from typing import Protocol

import attrs

MAX_HEAD = 64 * 1024  # bytes of a reply's head, together with the informational replies before it
CHUNKED, TO_THE_END = -1, -2  # how a body ends, where its length is not known beforehand
SWITCHING = 101  # informational by its number, but nothing follows it that could be a reply

_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)\r?\n")
_FOLDED = re.compile(rb"[ \t]+([^\r\n\0]*)\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?\r?\n")
_LENGTH = re.compile("[0-9]{1,15}")
_BLANK = (b"\r\n", b"\n")


class NotWhole(http.client.HTTPException):
    """There is no whole reply that can be read in one way only."""


class Stream(Protocol):
    """Bytes as they come in; both wait for as many as are asked for, and return fewer at the end alone."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line with its end, of at most ``size`` bytes."""

    def read(self, size: int, /) -> bytes:
        """Return the next ``size`` bytes."""


@attrs.frozen
class Head:
    """A reply's status line and fields."""

    version: int  # 10 or 11
    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]

    def field(self, name: str) -> str | None:
        """Return the value of a field that comes once; ``None`` where it comes not at all, or twice."""
        values = [value for known, value in self.fields if known.lower() == name]
        return values[0] if len(values) == 1 else None

    def words(self, name: str) -> list[str]:
        """Return what a field lists, in lower case, over all its occurrences."""
        values = (value for known, value in self.fields if known.lower() == name)
        return [word.strip().lower() for value in values for word in value.split(",")]

    @property
    def leaves_open(self) -> bool:
        """Whether the server says nothing against another request on the connection."""
        is_closing = "close" in self.words("connection") + self.words("proxy-connection")
        return self.version > 10 and not is_closing and self.status != SWITCHING  # noqa: PLR2004  HTTP/1.0

    @property
    def length(self) -> int:
        """How many bytes its body has, or ``CHUNKED``, or ``TO_THE_END`` of the connection.

        Raises ``NotWhole`` where that can be read in two ways.
        """
        codings, lengths = self.words("transfer-encoding"), set(self.words("content-length"))
        if self.status < 200 or self.status in (204, 304):  # noqa: PLR2004  those that never have a body
            return 0
        if codings:
            if codings != ["chunked"] or lengths or self.version == 10:  # noqa: PLR2004  HTTP/1.0
                raise NotWhole("two lengths, or none that is understood")
            return CHUNKED
        if not lengths:
            return TO_THE_END
        (length, *others) = lengths
        if others or not _LENGTH.fullmatch(length):
            raise NotWhole("two lengths, or none that is understood")
        return int(length)


def read_head(stream: Stream) -> Head:
    """Read the head of the final reply, and past every informational one before it but 101."""
    lines = _Lines(stream)
    while True:
        head = _read_head(lines)
        if head.status >= 200 or head.status == SWITCHING:  # noqa: PLR2004  the first that is final
            return head


def read_body(stream: Stream, length: int, limit: int) -> bytes:
    """Read a body of this ``Head.length``; raises ``NotWhole`` where it is cut, or longer than ``limit``."""
    if length == CHUNKED:
        return _read_chunks(stream, limit)
    body = stream.read(limit + 1 if length == TO_THE_END else min(length, limit + 1))
    if len(body) > limit:
        raise NotWhole(f"more than {limit} bytes")
    if len(body) < length:
        raise NotWhole(f"cut after {len(body)} of {length} bytes")
    return body


class _Lines:
    """The lines of heads and trailers, as many as ``MAX_HEAD`` bytes hold."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = MAX_HEAD

    def next(self) -> bytes:
        line = self._stream.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise NotWhole(f"a head of more than {MAX_HEAD} bytes")
        if line and not line.endswith(b"\n"):
            raise NotWhole("cut within its head")
        return line


def _read_head(lines: _Lines) -> Head:
    line = lines.next()
    if not line:
        raise http.client.RemoteDisconnected("the connection was closed without response")
    found = _STATUS.fullmatch(line)
    if not found:
        raise http.client.BadStatusLine(line.decode("latin-1"))
    version, status, reason = found.groups(b"")
    return Head(11 if version > b"0" else 10, int(status), reason.decode("latin-1").strip(), _fields(lines))


def _fields(lines: _Lines) -> tuple[tuple[str, str], ...]:
    fields: list[tuple[str, str]] = []
    while (line := lines.next()) not in _BLANK:
        if found := _FIELD.fullmatch(line):
            name, value = (part.decode("latin-1").strip(" \t") for part in found.groups())
        elif fields and (found := _FOLDED.fullmatch(line)):
            name, value = fields.pop()
            value += " " + found[1].decode("latin-1").strip(" \t")
        else:
            raise NotWhole("a head that is cut or garbled")
        fields.append((name, value))
    return tuple(fields)


def _read_chunks(stream: Stream, limit: int) -> bytes:
    body = bytearray()
    while True:
        found = _CHUNK.fullmatch(stream.readline(MAX_HEAD))
        if not found:
            raise NotWhole(f"cut, or garbled, after {len(body)} bytes in chunks")
        size = int(found[1], 16)
        if len(body) + size > limit:
            raise NotWhole(f"more than {limit} bytes")
        if size == 0:
            break
        chunk = stream.read(size)
        body += chunk
        if len(chunk) < size or stream.readline(2) not in _BLANK:
            raise NotWhole(f"cut, or garbled, after {len(body)} bytes in chunks")
    _fields(_Lines(stream))  # the trailer; what it says is of no use to us
    return bytes(body)
