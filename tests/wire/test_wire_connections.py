"""What happens on a connection beside requests and replies: before, between and after them; over TLS, too."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from wire_judge import TIMEOUT, carry, judged
from wire_server import serving, wait
from wire_steps import (
    HONEST,
    INTERIM,
    PAGE,
    TAKEN,
    UNAVAILABLE,
    YES,
    End,
    Finish,
    Pause,
    Play,
    Read,
    Reset,
    Send,
    Silence,
    Step,
    Take,
    head,
    page,
    reply,
)

pytestmark = pytest.mark.processes  # real time by the dozen of seconds

REFUSED: Play = (Read(), Send(UNAVAILABLE))  # takes nothing, and says so
HALF = len(TAKEN) // 2

GREETINGS: dict[str, Play] = {
    "the end": (Finish(),),
    "a reset": (Reset(),),
    "silence": (Silence(),),
    "a 408": (Send(reply(408)), Finish()),
    "a 503": (Send(UNAVAILABLE), Finish()),
    "a 503 that stays open": (Send(UNAVAILABLE),),
    "a page": (Send(page(502)), Finish()),
    "a 100": (Send(head(100)),),
    "another protocol": (Send(b"220 mail.example ESMTP\r\n"),),
    "an alert of TLS": (Send(b"\x15\x03\x01\x00\x02\x02\x28"), Finish()),
    "an empty line": (Send(b"\r\n"),),
}

INTERJECTIONS: dict[str, Play] = {
    "the end": (Finish(),),
    "a reset": (Reset(),),
    "a 202": (Send(TAKEN),),
    "ten times 202": (Send(TAKEN * 10),),
    "a 202 and the end": (Send(TAKEN), Finish()),
    "half a 202": (Send(TAKEN[:HALF]),),
    "a 202 without its body": (Send(TAKEN[: -len(YES)]),),
    "a 202 without its first bytes": (Send(TAKEN[9:]),),
    "a 202 that closes": (Send(reply(202, YES, b"Connection: close")), Finish()),
    "a 408, as HAProxy says it": (Send(page(408, b"Connection: close")), Finish()),
    "a page": (Send(PAGE),),
    "a 100": (Send(head(100)),),
    "a 103 and a 202": (Send(INTERIM + TAKEN),),
    "an empty line": (Send(b"\r\n"),),
    "an empty line and a 202": (Send(b"\r\n\r\n" + TAKEN),),
    "one byte": (Send(b"H"),),
}


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_connection_is_given_up_that_is_greeted_with(greeting: Play, in_flight: int) -> None:
    with serving([HONEST, REFUSED], then=HONEST, greetings=[greeting] * 3) as server:
        carry(server, max_in_flight=in_flight, batch_size=2)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("steps", INTERJECTIONS.values(), ids=INTERJECTIONS)
def test_what_is_said_while_nobody_asked_is_no_reply_to_the_next_request(steps: Play, *, tls: bool) -> None:
    with serving([HONEST, HONEST], then=REFUSED, tls=tls) as server, judged(server, batch_size=1) as client:
        client.track(2)
        assert client.settle()
        assert server.interject(*steps) == 1
        client.track(2)
        client.shipper.flush(0.1)
        server.interject(*steps)
        assert (client.shipper.stats().delivered, client.shipper.pending) == (2, 2)

        server.then = HONEST
        assert client.settle()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_connection_is_used_for_many_requests_while_all_is_well(*, tls: bool) -> None:
    with serving(then=HONEST, tls=tls) as server:
        carry(server, batch_size=1)
    assert server.record.connections == 1


def test_a_connection_that_swallows_all_it_is_given_is_not_used_twice() -> None:
    swallowed = [HONEST, (Read(), Silence()), (Read(), Silence())]
    with serving(swallowed, then=HONEST) as server:
        carry(server, batch_size=1)
    connections = [request.connection for request in server.record.requests]
    assert connections == [1, 1, 2, *[3] * 5]


def small_sends() -> requests.Session:
    """A session that keeps few bytes on their way."""
    session = requests.Session()
    session.mount("http://", SmallSends())
    return session


class SmallSends(HTTPAdapter):
    """Its connections wait early for a server that does not read."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]
        super().init_poolmanager(*args, **kwargs, socket_options=options)


EARLY: dict[str, Play] = {
    "and the end": (Read("head"), Send(TAKEN), End(), Pause(2 * TIMEOUT), Reset()),
    "and a reset": (Read("head"), Send(TAKEN), Pause(0.02), Reset()),
    "and silence": (Read("head"), Send(TAKEN), Pause(2 * TIMEOUT), Reset()),
    "before any of it": (Send(TAKEN), Pause(0.02), Reset()),
    "after half of it, and a reset": (Read("half"), Send(TAKEN), Pause(0.02), Reset()),
    "twice": (Read("head"), Send(TAKEN + TAKEN), Pause(0.02), Reset()),
}


@pytest.mark.parametrize("play", EARLY.values(), ids=EARLY)
def test_a_202_that_comes_before_the_request_was_sent_is_not_the_word_on_it(play: Play) -> None:
    options = {"session_factory": small_sends, "batch_size": 40, "max_batch_bytes": 30_000_000}
    plays = serving([play, REFUSED], then=HONEST, buffer=4096)
    with plays as server, judged(server, timeout=(1.0, 1.0), **options) as client:
        client.track(40, padding=12_000)
        assert client.settle()


TLS: dict[str, Play] = {
    "no reply, and the end": (Read(), Finish()),
    "half a head": (Read(), Send(TAKEN[:HALF]), Finish()),
    "a head, and the end": (Read(), Send(TAKEN[: -len(YES)]), Finish()),
    "all but a byte": (Read(), Send(TAKEN[:-1]), Finish()),
    "all but a byte, and a reset": (Read(), Send(TAKEN[:-1]), Reset()),
    "all but the last chunk": (
        (Read(), Send(head(202, b"Transfer-Encoding: chunked") + b"11\r\n" + YES + b"\r\n"), Finish())
    ),
    "a part of a body whose length nobody said": (Read(), Send(head(202) + YES[:9]), Finish()),
    "no body, whose length nobody said": (Read(), Send(head(202)), Finish()),
    "a 503 and a 202 at once": (Read(), Send(UNAVAILABLE + TAKEN)),
    "a 503 and a 202 in two records": (Read(), Send(UNAVAILABLE), Send(TAKEN)),
    "a 103, and a 503 later": (Read(), Send(INTERIM), Pause(0.05), Send(UNAVAILABLE)),
}


@pytest.mark.parametrize("play", TLS.values(), ids=TLS)
def test_what_was_not_taken_is_sent_again_where_tls_ended_without_saying_so_after(play: Play) -> None:
    working: list[Play] = [(Pause(0.02), *each) for each in (HONEST, HONEST, REFUSED, HONEST)]
    with serving([HONEST, play, *working], then=HONEST, tls=True) as server:
        carry(server, batch_size=1, timeout=(1.0, 1.0))


@pytest.mark.parametrize(
    "earlier", [(), ((Read(), Take(), Send(UNAVAILABLE)),)], ids=["nothing", "a request"]
)
def test_what_an_earlier_attempt_brought_is_told_so_though_the_next_one_was_never_sent(
    earlier: tuple[Play, ...],
) -> None:
    with serving([*earlier], tls=True, handshakes=len(earlier)) as server:
        with judged(server, timeout=(5.0, 5.0)) as client:
            client.track(2)
            assert wait(lambda: server.record.connections == len(earlier) + 1)
            client.close(0)
        errors = [outcome.error for outcome in client.outcomes.values()]
    assert [getattr(error, "maybe_delivered", None) for error in errors] == [bool(earlier)] * 2


def take_late(*steps: Step) -> Play:
    """Take the request, when nobody waits for it any more, and answer."""
    return (Read(), Pause(2 * TIMEOUT), Take(), *steps)


@pytest.mark.parametrize("in_flight", [1, 3])
def test_late_replies_are_read_for_no_other_request(in_flight: int) -> None:
    plays = [take_late(Send(TAKEN)), REFUSED, take_late(Send(UNAVAILABLE)), REFUSED, HONEST]
    with serving(plays, then=HONEST) as server:
        carry(server, batch_size=1, max_in_flight=in_flight)
