"""A reply is read whole, and in one way only, or it is none."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._engine.whole_reply import (
    CHUNKED,
    MAX_HEAD,
    TO_THE_END,
    Head,
    NotWhole,
    read_body,
    read_head,
)

LIMIT = 1000
TAKEN = b'{"success": true}'


def read(data: bytes) -> tuple[Head, bytes, bytes]:
    """The head, the body, and what was not read."""
    stream = io.BytesIO(data)
    head = read_head(stream)
    return head, read_body(stream, head.length, LIMIT), stream.read()


def test_a_reply_is_its_head_and_its_body_and_not_a_byte_more() -> None:
    head, body, rest = read(b"HTTP/1.1 202 Fine\r\nContent-Length: 2\r\nDate: now\r\n\r\n{}HTTP")

    assert (head.version, head.status, head.reason) == (11, 202, "Fine")
    assert head.fields == (("Content-Length", "2"), ("Date", "now"))
    assert (body, rest) == (b"{}", b"HTTP")
    assert head.leaves_open


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_informational_replies_are_read_past(status: int) -> None:
    informational = b"HTTP/1.1 %d Wait\r\nLink: </x>\r\nContent-Length: 9\r\n\r\n" % status
    final = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

    assert read(informational * 3 + final)[0].status == 503


def test_a_101_is_final_and_ends_the_connection() -> None:
    head, body, rest = read(b"HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 202 Fine\r\n\r\n")

    assert (head.status, body) == (101, b"")
    assert rest
    assert not head.leaves_open


def test_informational_replies_without_end_are_no_reply() -> None:
    with pytest.raises(NotWhole, match="a head of more than"):
        read_head(io.BytesIO(b"HTTP/1.1 102 Wait\r\n\r\n" * MAX_HEAD))


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 202 Fine\r\ncontent-LENGTH:   17 \r\n", 17),
        (b"HTTP/1.1 202 Fine\nContent-Length: 17\n", 17),
        (b"HTTP/1.1 202\r\nContent-Length: 17\r\n", 17),
        (b"HTTP/1.0 202 Fine\r\nContent-Length: 17\r\n", 17),
        (b"HTTP/1.1 202 Fine\r\nContent-Length: 17\r\nContent-Length: 17\r\n", 17),
        (b"HTTP/1.1 202 Fine\r\nContent-Length: 0\r\n", 0),
        (b"HTTP/1.1 204 None\r\nContent-Length: 17\r\n", 0),
        (b"HTTP/1.1 304 Same\r\n", 0),
        (b"HTTP/1.1 202 Fine\r\nTransfer-Encoding: Chunked\r\n", CHUNKED),
        (b"HTTP/1.1 202 Fine\r\n", TO_THE_END),
        (b"HTTP/1.1 202 Fine\r\nX-Long: one\r\n two\r\n", TO_THE_END),
    ],
)
def test_how_long_a_body_is_is_read_off_the_head(head: bytes, length: int) -> None:
    assert read_head(io.BytesIO(head + b"\r\n")).length == length


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 17\r\nContent-Length: 18\r\n",
        b"Content-Length: 17, 18\r\n",
        b"Content-Length: -17\r\n",
        b"Content-Length: +17\r\n",
        b"Content-Length: 1_7\r\n",
        b"Content-Length: 0x11\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length: two\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 1\r\n 7\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Content-Length: 17\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
    ],
)
def test_two_lengths_or_one_that_is_none_are_no_reply(fields: bytes) -> None:
    head = read_head(io.BytesIO(b"HTTP/1.1 202 Fine\r\n" + fields + b"\r\n" + TAKEN))

    with pytest.raises(NotWhole, match="two lengths"):
        _ = head.length


def test_chunks_are_nothing_that_http_1_0_knows() -> None:
    with pytest.raises(NotWhole, match="two lengths"):
        read(b"HTTP/1.0 202 Fine\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 202 Fi",
        b"HTTP/1.1 202 Fine\r\n",
        b"HTTP/1.1 202 Fine\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 202 Fine\r\nContent-Le",
        b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 202 Fine\r\n",
        b"HTTP/1.1 202 Fine\r\nno field\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\n folded: at once\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\nX: a\rContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\nX: a\0\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n",
        b"HTTP/1.1 202 Fine\r\n" + b"X: y\r\n" * MAX_HEAD + b"\r\n",
    ],
)
def test_a_head_that_is_cut_garbled_or_huge_is_no_reply(data: bytes) -> None:
    with pytest.raises(NotWhole):
        read(data)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"garbage",
        b"HTTP/0.9 202 Fine",
        b"HTTP/2 202 Fine",
        b"HTTP/2.0 202 Fine",
        b"ICY 202 Fine",
        b"HTTP/1.1 +202 Fine",
        b"HTTP/1.1 0202 Fine",
        b"HTTP/1.1 2_02 Fine",
        b"HTTP/1.1  202 Fine",
        b"HTTP/1.1 99 Fine",
        b"HTTP/1.1 2020 Fine",
        b"\r\nHTTP/1.1 202 Fine",
    ],
)
def test_what_does_not_begin_as_a_reply_is_none(line: bytes) -> None:
    with pytest.raises(http.client.BadStatusLine):
        read(line + b"\r\nContent-Length: 0\r\n\r\n")


def test_nothing_at_all_is_no_reply() -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        read(b"")


# --- bodies -------------------------------------------------------------------------------------------------

IN_CHUNKS = b"HTTP/1.1 202 Fine\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_chunks_are_put_together_and_their_trailer_is_read_past() -> None:
    _, body, rest = read(IN_CHUNKS + b'A;x=y\r\n{"success"\r\n7\r\n: true}\r\n0\r\nX: y\r\n\r\nrest')

    assert (body, rest) == (TAKEN, b"rest")


@pytest.mark.parametrize(
    "chunks",
    [
        b"",
        b"11\r\n" + TAKEN,
        b"11\r\n" + TAKEN + b"\r\n",
        b"11\r\n" + TAKEN + b"\r\n0\r\n",
        b"11\r\n" + TAKEN + b"\r\n0\r\nX: y\r\n",
        b"11\r\n" + TAKEN + b"0\r\n\r\n",
        b"12\r\n" + TAKEN,
        b"-11\r\n" + TAKEN + b"\r\n0\r\n\r\n",
        b"+11\r\n" + TAKEN + b"\r\n0\r\n\r\n",
        b"0x11\r\n" + TAKEN + b"\r\n0\r\n\r\n",
        b"1_1\r\n" + TAKEN + b"\r\n0\r\n\r\n",
        b" 11\r\n" + TAKEN + b"\r\n0\r\n\r\n",
        b"\r\n" + TAKEN + b"\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n" + TAKEN,
        b"fffffffffffffff\r\n" + TAKEN,
        b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n",
        b"0;" + b"x" * MAX_HEAD + b"\r\n\r\n",
    ],
)
def test_chunks_that_are_cut_garbled_or_too_many_are_no_reply(chunks: bytes) -> None:
    with pytest.raises((NotWhole, http.client.RemoteDisconnected)):
        read(IN_CHUNKS + chunks)


def test_a_body_that_is_shorter_or_longer_than_it_may_be_is_no_reply() -> None:
    with pytest.raises(NotWhole, match="cut after 2 of 17 bytes"):
        read(b"HTTP/1.1 202 Fine\r\nContent-Length: 17\r\n\r\n{}")
    with pytest.raises(NotWhole, match="more than 1000 bytes"):
        read(b"HTTP/1.1 202 Fine\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001)
    with pytest.raises(NotWhole, match="more than 1000 bytes"):
        read(b"HTTP/1.1 202 Fine\r\n\r\n" + b"x" * 1001)


def test_a_body_without_a_length_goes_to_the_end() -> None:
    assert read(b"HTTP/1.1 202 Fine\r\n\r\n" + TAKEN)[1:] == (TAKEN, b"")


# --- whether another request may follow ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 202 Fine\r\nConnection: close\r\n",
        b"HTTP/1.1 202 Fine\r\nConnection: upgrade, Close\r\n",
        b"HTTP/1.1 202 Fine\r\nConnection: keep-alive\r\nConnection: close\r\n",
        b"HTTP/1.1 202 Fine\r\nProxy-Connection: close\r\n",
        b"HTTP/1.0 202 Fine\r\nConnection: keep-alive\r\n",
    ],
)
def test_where_the_server_closes_or_may_close_no_request_follows(head: bytes) -> None:
    assert not read_head(io.BytesIO(head + b"\r\n")).leaves_open


def test_a_field_that_comes_twice_says_nothing() -> None:
    head = read_head(io.BytesIO(b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nX: y\r\nretry-after: 9\r\n\r\n"))

    assert (head.field("retry-after"), head.field("x"), head.field("date")) == (None, "y", None)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_reply_that_is_cut_anywhere_or_has_anything_before_it_is_none(before: bytes, cut: int) -> None:
    whole = b"HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 202 Fine\r\nContent-Length: 17\r\n\r\n" + TAKEN

    with pytest.raises(http.client.HTTPException):
        read(before + b"|\r\n" + whole)
    with pytest.raises(http.client.HTTPException):
        read(whole[: cut % len(whole)])
    assert read(whole)[1] == TAKEN


@given(st.binary(max_size=300) | st.binary(max_size=100).map((b"HTTP/1.1 202 Fine\r\n\r\n").__add__))
def test_whatever_comes_is_a_reply_that_begins_as_one_or_none(data: bytes) -> None:
    try:
        head, body, _ = read(data)
    except http.client.HTTPException:
        return
    assert 100 <= head.status <= 999
    assert len(body) <= LIMIT
    assert data.startswith(b"HTTP/1.")
