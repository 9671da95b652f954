"""The bytes of lines: unpacked, in UTF-8, and looked at without being lost."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from togai_shipper.cli.send.streams import BROKEN, LineBytes, NotLines


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self._most if size is None or size < 0 else min(size, self._most))

    def readinto1(self, buffer: Any) -> int:
        return super().readinto1(memoryview(buffer)[: self._most])


texts = st.text(st.sampled_from('a,"\n{é€😀\r'), max_size=30)


@given(
    texts,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
    st.integers(1, 9),
)
def test_however_many_bytes_come_at_once_the_text_is_the_same(
    text: str, encoding: str, packed: object, most: int
) -> None:
    content = text.encode(encoding)
    stream = Trickle(gzip.compress(content) if packed else content, most)

    read = LineBytes(stream)

    assert read.stream.read().decode().removeprefix("\ufeff") == text
    assert read.is_packed is packed
    first = text.lstrip()
    assert "\n" not in first or b"\n" in read.head.lstrip()


@given(st.binary(max_size=60), st.integers(1, 9))
@example(b"\xff\xfe\x00\xd8a\x00\n\x00\x00\xdc", 3)
@example(b"\xff\xfea", 1)
@example(b"\x1f\x8b", 1)
def test_whatever_bytes_come_they_are_read_or_told(content: bytes, most: int) -> None:
    for begins in (b"", b"\xff\xfe", b"\xfe\xff", gzip.compress(b"a\n")[:-9]):
        with suppress(NotLines, *BROKEN):
            LineBytes(Trickle(begins + content, most)).stream.read()


def test_half_a_character_at_the_end_of_utf_16_is_no_text() -> None:
    content = codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le")

    assert LineBytes(io.BytesIO(content[:-1])).stream.read() == b"a\n\xff"
    assert LineBytes(io.BytesIO(content)).stream.read() == b"a\nb"


@given(st.integers(2, 300), st.integers(1, 50))
def test_of_a_packed_stream_that_is_cut_all_that_is_there_is_read(cut: int, most: int) -> None:
    packed = gzip.compress("".join(f"line {number}\n" for number in range(100)).encode())
    there = zlib.decompressobj(wbits=31).decompress(packed[:cut])
    stream = LineBytes(Trickle(packed[:cut], most)).stream
    got = []

    with suppress(EOFError):
        while some := stream.readline():
            got.append(some)  # what came before the error is kept

    assert b"".join(got) in (there, there[: there.rfind(b"\n") + 1])


def test_an_error_of_a_stream_is_raised_when_it_is_read_not_when_it_is_looked_at() -> None:
    class Bad(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    read = LineBytes(Bad())

    assert read.head == b""
    with pytest.raises(OSError, match="Input/output"):
        read.stream.readline()
