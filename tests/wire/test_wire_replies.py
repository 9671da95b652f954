"""Replies that are not what HTTP, or Togai, would send: what the server took decides what may be said."""

from __future__ import annotations

import pytest
from wire_judge import TIMEOUT, carry
from wire_server import serving
from wire_steps import (
    HONEST,
    INTERIM,
    NO,
    PAGE,
    TAKEN,
    UNAVAILABLE,
    YES,
    Finish,
    Name,
    Pause,
    Play,
    Read,
    Reset,
    SayDuplicate,
    Send,
    Silence,
    Step,
    Take,
    chunked,
    head,
    packed,
    page,
    reply,
)

pytestmark = pytest.mark.processes  # real time by the dozen of seconds

REFUSED: Play = (Read(), Send(UNAVAILABLE))  # takes nothing, and says so
# What follows a play that is tried: a reply that is read for the wrong request is told apart by what it says.
AFTERWARDS: tuple[Play, ...] = (HONEST, HONEST, REFUSED, HONEST, HONEST, REFUSED, REFUSED, HONEST)
# The same of a server that works for a while before it answers: there is time to read what came before.
WORKING: tuple[Play, ...] = tuple((play[0], Pause(0.02), *play[1:]) for play in AFTERWARDS)
LATE = 2 * TIMEOUT


def sent(*data: bytes | Step) -> Play:
    """Read the request, take nothing of it, and send this."""
    return (Read(), *(Send(each) if isinstance(each, bytes) else each for each in data))


def after_taking(*data: bytes | Step) -> Play:
    """Read the request, take all of it, and send this."""
    return (Read(), Take(), *(Send(each) if isinstance(each, bytes) else each for each in data))


def cut(data: bytes, less: int = 1) -> bytes:
    """The same without its last bytes."""
    return data[:-less]


NOT_TAKEN: dict[str, Play] = {
    # no final reply, or not all of it
    "no reply, and the end": sent(Finish()),
    "no reply, and a reset": sent(Reset()),
    "no reply at all": sent(Silence()),
    "half a status line": sent(b"HTTP/1.1 20", Finish()),
    "a head without its last line": sent(cut(head(202), 2), Finish()),
    "a head without its last line, and a reset": sent(cut(head(202), 2), Reset()),
    "a head that stops": sent(cut(TAKEN, 40), Silence()),
    "a body that stops": sent(cut(TAKEN, 5), Silence()),
    "a body cut by the end": sent(cut(TAKEN), Finish()),
    "a body cut by a reset": sent(cut(TAKEN), Reset()),
    "no body where one is announced": sent(cut(TAKEN, len(YES)), Finish()),
    "chunks without the last one": sent(chunked(202, YES, last=b""), Finish()),
    "a chunk cut": sent(cut(chunked(202, YES, last=b""), 6), Finish()),
    "the last chunk without its end": sent(chunked(202, YES, last=b"0\r\n"), Finish()),
    "a chunk shorter than it says": sent(
        head(202, b"Transfer-Encoding: chunked") + b"20\r\n" + YES + b"\r\n0\r\n\r\n", Finish()
    ),
    "chunks whose sizes are none": sent(head(202, b"Transfer-Encoding: chunked") + b"-1\r\n\r\n", Finish()),
    "a chunk of a size beyond all bounds": sent(
        head(202, b"Transfer-Encoding: chunked") + b"f" * 5000 + b"\r\n", Finish()
    ),
    # informational, and nothing final
    "a 100 and the end": sent(head(100), Finish()),
    "a 100 and silence": sent(head(100), Silence()),
    "a 102 and the end": sent(head(102), Finish()),
    "a 103 and a reset": sent(INTERIM, Reset()),
    "informational replies without end": sent(*[Send(head(102)), Pause(0.01)] * 100),
    "more informational replies at once than anybody sends": sent(head(102) * 20_000, UNAVAILABLE),
    "a 101 to another protocol": sent(head(101, b"Upgrade: h2c", b"Connection: Upgrade"), Finish()),
    "a 101, and then a 202 in that protocol": sent(head(101, b"Upgrade: x"), TAKEN, Finish()),
    # informational before one that says no
    "a 103 before a 503": sent(INTERIM, UNAVAILABLE),
    "a 103 at once, and a 503 a while after": sent(INTERIM, Pause(0.05), UNAVAILABLE),
    "a 100 that nobody asked for before a 503": sent(head(100) * 5, UNAVAILABLE),
    "an informational reply with a length, which it cannot have": sent(
        head(102, b"Content-Length: 17"), UNAVAILABLE
    ),
    # another final one behind it
    "a 503 and a 202 at once": sent(UNAVAILABLE + TAKEN),
    "a 503 and half a 202 at once": sent(UNAVAILABLE + TAKEN[:30]),
    "a 503 and the head of a 202 at once": sent(UNAVAILABLE + cut(TAKEN, len(YES))),
    "a page and a 202 at once": sent(page(502) + TAKEN),
    "a 503 without a length, and a 202 behind it": sent(head(503) + TAKEN, Finish()),
    "a 503 whose length is too short, and a 202 behind it": sent(
        head(503, b"Content-Length: 0") + NO + b"\r\n" + TAKEN
    ),
    "a 503 with a length and in chunks": sent(
        head(503, b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + TAKEN
    ),
    "a 503 with two lengths": sent(head(503, b"Content-Length: 0", b"Content-Length: 25") + NO + TAKEN),
    "a 204 with a body that looks like a reply": sent(head(204) + TAKEN),
    "a 503 in lines without carriage returns": sent(UNAVAILABLE.replace(b"\r\n", b"\n") + TAKEN),
    "a 503 whose header field is folded around a 202": sent(
        head(503, b"X-Folded: a\r\n HTTP/1.1 202 Accepted", b"Content-Length: 25") + NO + TAKEN
    ),
    # whole, and not Togai's word
    "a page with 200": sent(page(200)),
    "an empty 200": sent(reply(200)),
    "a 200 that says something else": sent(reply(200, b'{"status": "ok"}')),
    "a 201": sent(reply(201, YES)),
    "a 204": sent(head(204)),
    "a 206": sent(reply(206, YES[:8])),
    "a 202 that says no": sent(reply(202, b'{"success": false}')),
    "a 202 that says no, compressed": sent(packed(202, b'{"success": false}')),
    "a page with 400": sent(page(400)),
    "a page with 409": sent(page(409)),
    "a page with 413": sent(page(413)),
    "a page with 422": sent(page(422)),
    "a page with 500": sent(page(500)),
    "a page with 502": sent(page(502)),
    "a page with 504": sent(page(504)),
    "a 425": sent(reply(425)),
    "a 599": sent(reply(599)),
    "a status of two digits": sent(b"HTTP/1.1 20 Accepted\r\nContent-Length: 17\r\n\r\n" + YES, Finish()),
    "a status of four digits": sent(b"HTTP/1.1 2020 Accepted\r\nContent-Length: 17\r\n\r\n" + YES, Finish()),
    "a status of no digits": sent(b"HTTP/1.1 two Accepted\r\nContent-Length: 17\r\n\r\n" + YES, Finish()),
    "a negative status": sent(b"HTTP/1.1 -202 Accepted\r\nContent-Length: 17\r\n\r\n" + YES, Finish()),
    "a reply of another protocol": sent(
        b"SIP/2.0 202 Accepted\r\nContent-Length: 17\r\n\r\n" + YES, Finish()
    ),
    "a reply without a head": sent(YES, Finish()),
    "a TLS alert": sent(b"\x15\x03\x01\x00\x02\x02\x46", Finish()),
    "the request itself": sent(b"POST /ingest HTTP/1.1\r\nContent-Length: 17\r\n\r\n" + YES, Finish()),
    # slow
    "a 503 that drips in time": sent(Send(UNAVAILABLE, every=0.001)),
    "a 503 that comes when nobody waits any more": sent(Pause(LATE), UNAVAILABLE),
    "a head that drips for longer than anybody waits": sent(Send(head(503, b"X: " + b"x" * 500), every=0.01)),
    # another's
    "a 207 that names an event of another request": (Read(), Name("foreign")),
    "a 207 that names all": (Read(), Name("all")),
    "a 207 that names nobody": sent(reply(207, b'{"success": false}')),
    "a 207 in HTML": sent(page(207)),
}

TAKEN_AND_NOT_SAID: dict[str, Play] = {
    "the end": after_taking(Finish()),
    "a reset": after_taking(Reset()),
    "silence": after_taking(Silence()),
    "a 503": after_taking(UNAVAILABLE),
    "a page with 504": after_taking(page(504)),
    "a page with 413": after_taking(page(413)),
    "a 202 without its last byte": after_taking(cut(TAKEN), Finish()),
    "a 202 that comes when nobody waits any more": after_taking(Pause(LATE), TAKEN),
    "a 103 and the end": after_taking(INTERIM, Finish()),
    "half of them, and a 503": (Read(), Take("half"), Send(UNAVAILABLE)),
    "all of them after the 503": (Read(), Send(UNAVAILABLE), Take()),
    "all of them after a reset": (Read(), Pause(LATE), Take(), Reset()),
}

TAKEN_AND_SAID_ODDLY: dict[str, Play] = {
    "before it is asked for a body": (Read("head"), Send(TAKEN), Read(), Take()),
    "after informational replies": after_taking(INTERIM + head(100), Pause(0.02), TAKEN),
    "in chunks": after_taking(chunked(202, YES)),
    "in chunks with extensions and a trailer": after_taking(
        head(202, b"Transfer-Encoding: chunked") + b"11;a=b\r\n" + YES + b"\r\n0\r\nX-Trailer: yes\r\n\r\n"
    ),
    "compressed": after_taking(packed(202, YES)),
    "to the end of the connection": after_taking(head(202) + YES, Finish()),
    "by an old server": after_taking(
        b"HTTP/1.0 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n" + YES,
        Finish(),
    ),
    "in drips": after_taking(Send(TAKEN, every=0.001)),
    "twice at once": after_taking(TAKEN + TAKEN),
    "with a 503 behind it at once": after_taking(TAKEN + UNAVAILABLE),
    "with a page behind it that nobody asked for": after_taking(TAKEN + PAGE),
    "with a length that is too short": after_taking(head(202, b"Content-Length: 5") + YES),
    "with a length and in chunks": after_taking(
        head(202, b"Content-Length: 17", b"Transfer-Encoding: chunked") + b"11\r\n" + YES + b"\r\n0\r\n\r\n"
    ),
    "without a body": after_taking(reply(202)),
    "without any header field": after_taking(head(202), Finish()),
    "in a reply beyond all bounds": after_taking(reply(202, YES + b" " * 3_000_000)),
    "compressed, in what is none": after_taking(reply(202, YES, b"Content-Encoding: gzip")),
    "compressed, in what unpacks to more than anybody reads": after_taking(
        packed(202, YES + b" " * 30_000_000)
    ),
    "with the connection's end announced, which does not come": after_taking(
        reply(202, YES, b"Connection: close")
    ),
    "with the connection's end unannounced": after_taking(TAKEN, Finish()),
    "with a reset behind it": after_taking(TAKEN, Pause(0.05), Reset()),
    "with 200 lines of head": after_taking(reply(202, YES, *[b"X-Field-%d: x" % n for n in range(200)])),
    "in a head beyond all bounds": after_taking(reply(202, YES, b"X: " + b"x" * 200_000)),
    "for all but one": (Read(), Name("first")),
}


@pytest.mark.parametrize("play", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_what_was_not_taken_is_sent_again_and_no_reply_is_read_for_another_request_after(play: Play) -> None:
    with serving([play, *WORKING], then=HONEST) as server:
        carry(server, batch_size=1)


@pytest.mark.parametrize("play", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_batch_that_was_not_taken_is_sent_again_after(play: Play) -> None:
    with serving([play, *AFTERWARDS], then=HONEST) as server:
        carry(server)


@pytest.mark.parametrize("play", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_what_was_not_taken_over_a_kept_connection_is_sent_again_after(play: Play) -> None:
    with serving([HONEST, play, HONEST, *WORKING], then=HONEST) as server:
        carry(server, batch_size=1)


@pytest.mark.parametrize("play", TAKEN_AND_NOT_SAID.values(), ids=TAKEN_AND_NOT_SAID)
def test_what_may_have_been_taken_is_sent_again_under_the_same_id_after(play: Play) -> None:
    with serving([play, *AFTERWARDS], then=HONEST) as server:
        carry(server)


@pytest.mark.parametrize("play", TAKEN_AND_NOT_SAID.values(), ids=TAKEN_AND_NOT_SAID)
def test_what_was_taken_before_is_delivered_when_the_server_says_so_after(play: Play) -> None:
    with serving([play, *[(Read(), SayDuplicate())] * 5], then=HONEST) as server:
        carry(server)


@pytest.mark.parametrize("play", TAKEN_AND_SAID_ODDLY.values(), ids=TAKEN_AND_SAID_ODDLY)
def test_what_was_taken_and_said_so_oddly_disturbs_no_other_request(play: Play) -> None:
    with serving([HONEST, play, *WORKING], then=HONEST) as server:
        carry(server, batch_size=1)


def test_a_reply_that_parks_the_line_and_another_behind_it_leave_nothing_to_be_read_by_the_probe() -> None:
    parks: Play = sent(head(304, b"Content-Length: 100") + TAKEN)
    with serving([parks, *WORKING], then=HONEST) as server:
        carry(server, batch_size=1)
