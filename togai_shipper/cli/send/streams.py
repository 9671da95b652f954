"""The bytes of lines, whatever they are packed in: unpacked, in UTF-8, and with their beginning looked at."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import Any

from .file_kinds import is_gzip, is_utf16, why_refused

_BLOCK = 1 << 18  # bytes that are read at once
_HEAD = 1 << 16  # bytes that are looked at, if no line ends before

#: What reading may raise where a stream is broken.
BROKEN = (OSError, EOFError, zlib.error)


class NotLines(Exception):  # noqa: N818  it says what it is
    """A stream does not hold lines of text; the text says what it is, and what to do."""


class LineBytes:
    """The bytes of lines, unpacked and in UTF-8.

    Args:
        stream: where they come from. It stays open.
        packed: whether its name says that it is packed by gzip.

    Raises:
        NotLines: these are no lines, or they are packed in a way that is not known here.

    Attributes:
        stream: the bytes from their beginning. It raises one of ``BROKEN`` where it cannot be read any
            further.
        head: the same, up to the end of the first line that is not blank, or as many as are looked at.
        is_packed: whether it was packed, and so has an end by which it is known to be all there.

    """

    def __init__(self, stream: io.BufferedIOBase, *, packed: bool = False) -> None:
        head, again = _beginning(stream)
        self.is_packed = is_gzip(head)
        if packed and head and not self.is_packed:
            raise NotLines("is not packed by gzip, though its name says so: rename it, if it is whole")
        if self.is_packed:
            head, again = _beginning(gzip.GzipFile(fileobj=again))
            if is_gzip(head):
                raise NotLines("is packed by gzip twice: unpack it once, and send what comes out")
        if (why := why_refused(head)) is not None:
            raise NotLines(why)
        if is_utf16(head):
            head, again = _beginning(io.BufferedReader(_AsUtf8(again), _BLOCK))
        self.head, self.stream = head, again


def _beginning(stream: io.BufferedIOBase) -> tuple[bytes, io.BufferedReader]:
    """Return the beginning of a stream, and the stream from its beginning. It waits for one line, if any."""
    head = b""
    ended: BaseException | bool = False
    try:
        while len(head) < _HEAD and b"\n" not in head.lstrip() and not ended:
            more = stream.read1(_HEAD - len(head))
            head += more
            ended = not more
    except BROKEN as error:
        ended = error
    return head, io.BufferedReader(_Replayed(head, stream, ended), _BLOCK)


class _Replayed(io.RawIOBase):
    """A stream from its beginning, which was read already.

    Args:
        head: what was read.
        rest: the stream.
        ended: whether there is no more of it, or why it cannot be read any further.

    """

    def __init__(self, head: bytes, rest: io.BufferedIOBase, ended: BaseException | bool) -> None:  # noqa: FBT001  both are answers to one question
        self._head = memoryview(head)
        self._rest = rest
        self._ended = ended

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            count = min(len(buffer), len(self._head))
            buffer[:count] = self._head[:count]
            self._head = self._head[count:]
            return count
        if isinstance(self._ended, BaseException):
            raise self._ended
        # No more at once than it gives: where a packed stream breaks off, what came before would be lost.
        return 0 if self._ended else self._rest.readinto1(buffer)


class _AsUtf8(io.RawIOBase):
    """Text in UTF-16 with a byte order mark, as UTF-8. What is no text in it is no UTF-8 either."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            raw = self._stream.read1(_BLOCK)
            self._ended = not raw
            half = self._ended and self._decoder.getstate()[0]  # of a character
            self._ready = b"\xff" if half else self._decoder.decode(raw).encode(errors="surrogatepass")
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
