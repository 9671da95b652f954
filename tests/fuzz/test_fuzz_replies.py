"""Whatever bytes come as a reply: there is a verdict, and none is "accepted" without Togai's word."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import strategies as st

from togai_shipper._engine.verdict import (
    MAX_RETRY_AFTER,
    Accepted,
    Park,
    Partly,
    Refused,
    Reply,
    TryLater,
    date_of,
    judge,
    retry_after,
)
from togai_shipper._engine.whole_reply import NotWhole, read_body, read_head

LIMIT = 4096
NO_REPLY = (NotWhole, http.client.HTTPException)
ANY_VERDICT = (Accepted, Partly, Refused, TryLater, Park)

# --- bodies: JSON of any shape, of the shapes that Togai's have, and bytes that are none -------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
payloads = st.fixed_dictionaries({}, optional={"id": st.sampled_from(["a", "b", ""]) | values})
items = values | st.fixed_dictionaries(
    {}, optional={"message": st.text(max_size=20) | values, "eventPayload": payloads | values}
)
lists = values | st.lists(items, max_size=3)
answers = values | st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | values,
        "message": st.sampled_from(["duplicate id", "no such schema"]) | values,
        "errors": lists,
        "details": lists | st.dictionaries(st.text(max_size=4), lists, max_size=2),
        "eventPayload": payloads,
        "code": values,
        "name": values,
    },
)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """What is left of it after a part was cut out, or something else put in."""
    data = draw(whole)
    low = draw(st.integers(0, len(data)))
    high = draw(st.integers(low, min(len(data), low + 8)))
    return data[:low] + draw(st.binary(max_size=8)) + data[high:]


said = answers.map(lambda answer: json.dumps(answer).encode())
pages = st.sampled_from([b"", b" \r\n", b"<html>", b"{", b"[" * 2000, b'{"a":' * 2000, b"\xff\xfe{\x00}\x00"])
bodies = st.binary(max_size=60) | said | pages | damaged(said)
statuses = st.sampled_from([200, 202, 207, 400, 401, 403, 409, 413, 422, 429, 503]) | st.integers(-1, 1000)
replies = st.builds(
    Reply,
    st.none() | statuses,
    bodies,
    retry_after=st.none() | st.floats(0, MAX_RETRY_AFTER),
    repeated=st.booleans(),
    doubt=st.sampled_from(["", "", "", "perhaps cut"]),
)


def may_be_togais_yes(reply: Reply) -> bool:
    """A second reading of the least that a reply has to be: a success without doubt that names nobody."""
    if reply.status not in (200, 202) or reply.doubt:
        return False
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        return reply.status == 202 and not reply.body.strip()
    if not isinstance(answer, dict):
        return False
    is_yes = reply.status == 202 or answer.get("success") is True or answer.get("errors") == []
    return is_yes and answer.get("success") is not False and not answer.get("errors")


def test_every_reply_has_a_verdict_and_none_is_accepted_without_togais_word(fuzz: Any) -> None:
    @fuzz(replies, st.sampled_from([None, "a"]), few=300, many=20_000)
    def holds(reply: Reply, event_id: str | None) -> None:
        verdict = judge(reply, event_id)

        assert isinstance(verdict, ANY_VERDICT)
        if isinstance(verdict, Accepted):
            assert may_be_togais_yes(reply)
        if reply.doubt or reply.status is None:
            assert not isinstance(verdict, (Accepted, Partly, Refused))


def test_what_a_verdict_says_is_short_and_printable(fuzz: Any) -> None:
    @fuzz(replies, few=100, many=20_000)
    def holds(reply: Reply) -> None:
        verdict = judge(reply, "a")
        told = [getattr(verdict, "message", "")]
        if isinstance(verdict, Partly):
            told += [each.message for each in (verdict.refusal, *verdict.named.values())]
        assert all(text.isprintable() and len(text) <= 600 for text in told)


# --- the wire: heads, bodies, chunks ------------------------------------------------------------------------

fields = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 2",
            b"Content-Length: 3",
            b"Content-Length: -1",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b" folded",
            b"X:",
            b": y",
            b"Date: now",
            b"Content-Length: 99999999999999999999",
        ]
    ),
    max_size=4,
)
wire_bodies = bodies | st.sampled_from(
    [b"2\r\n{}\r\n0\r\n\r\n", b"2;x\n{}\n0\n\n", b"f" * 40 + b"\r\n", b"0x2\r\n{}"]
)
heads = st.builds(
    lambda version, status, lines, body: b"\r\n".join(
        [b"HTTP/%s %s OK" % (version, status), *lines, b"", body]
    ),
    st.sampled_from([b"1.1", b"1.0", b"2", b"9.9", b""]),
    st.sampled_from([b"202", b"200", b"100", b"101", b"204", b"304", b"99", b"-1", b"2020"]),
    fields,
    wire_bodies,
)
wires = st.binary(max_size=80) | heads | damaged(heads) | st.lists(heads, max_size=3).map(b"".join)


@attrs.define
class Stream:
    """Bytes that are read as a socket's are; counts what is asked for."""

    data: io.BytesIO
    asked: int = 0

    def read(self, size: int) -> bytes:
        self.asked = max(self.asked, size)
        return self.data.read(size)

    def readline(self, size: int) -> bytes:
        return self.data.readline(size)


def test_bytes_from_the_wire_are_one_whole_reply_or_none(fuzz: Any) -> None:
    @fuzz(wires, few=300, many=20_000)
    def holds(data: bytes) -> None:
        stream = Stream(io.BytesIO(data))
        try:
            head = read_head(stream)
            body = read_body(stream, head.length, LIMIT)
        except NO_REPLY:
            return
        assert len(body) <= LIMIT
        assert stream.asked <= LIMIT + 1
        assert isinstance(judge(Reply(head.status, body)), ANY_VERDICT)
        if head.length >= 0:
            assert len(body) == head.length


def test_headers_of_time_are_seconds_within_bounds_or_nothing(fuzz: Any) -> None:
    dates = st.sampled_from(
        ["Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 31 Feb 9999 25:61:61 -9999", "0", "-1", "\u0661"]
    )
    headers = st.none() | st.text(max_size=40) | dates | st.integers().map(str)

    @fuzz(headers, st.floats(0, 4e9), few=200, many=20_000)
    def holds(header: str | None, now: float) -> None:
        for read in (date_of, _retry_after_at(now)):
            found = read(header)
            assert found is None or isinstance(found, float)
        seconds = retry_after(header, now)
        assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


def _retry_after_at(now: float) -> Callable[[str | None], float | None]:
    return lambda header: retry_after(header, now)
