"""Any interleaving of right and wrong replies, over kept and fresh connections, ends in what the server took.

``TOGAI_TEST_EXAMPLES`` says how many are tried.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import attrs
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from wire_judge import TIMEOUT, judged
from wire_server import WireServer, serving
from wire_steps import (
    HONEST,
    INTERIM,
    NO,
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

EXAMPLES = int(os.environ.get("TOGAI_TEST_EXAMPLES", "60"))

# --- replies ------------------------------------------------------------------------------------------------

# Those with which Togai, or whoever stands before it, does not say that it took the events.
no = st.sampled_from(
    [
        UNAVAILABLE,
        reply(502),
        reply(503, NO, b"Retry-After: 0"),
        reply(408),
        reply(425),
        reply(599, YES),
        reply(201, YES),
        reply(203, YES),
        head(204),
        reply(200),
        reply(200, b'{"status": "ok"}'),
        reply(202, b'{"success": false}'),
        reply(207, b'{"success": false}'),
        packed(202, b'{"success": false}'),
        packed(503, NO),
        chunked(503, NO),
        *map(page, (200, 207, 400, 408, 409, 413, 422, 502, 504)),
    ]
)
# Those with which it says that it did: whoever sends them whole has taken the events.
yes = st.sampled_from(
    [
        TAKEN,
        reply(200, YES),
        reply(202),
        chunked(202, YES),
        packed(202, YES),
        reply(202, YES, b"Connection: close"),
        reply(202, YES, b"Connection: keep-alive", b"Keep-Alive: timeout=1"),
        head(202, b"Content-Length: 17", version=b"1.0") + YES,
    ]
)
# Those with which it says that it took nothing: whoever sends them whole has not.
refusals = st.sampled_from([reply(status, b'{"message": "not that"}') for status in (400, 413, 422, 429)])
interim = st.lists(st.sampled_from([head(100), head(102), INTERIM]), max_size=3).map(b"".join)
ends: st.SearchStrategy[tuple[Step, ...]] = st.sampled_from([(), (), (Finish(),), (Reset(),), (Silence(),)])
pauses = st.sampled_from([0.0, 0.0, 0.005, 0.02])
LATE = Pause(1.5 * TIMEOUT)


def sending(data: bytes, every: float, behind: bytes) -> Play:
    """Send so; what is behind it comes at once with the last byte.

    If it came later, nobody could tell it from a reply to a request that was sent meanwhile.
    """
    drips = data[:-1] if every and len(data) < 200 else b""  # it does not last for ever
    return (Send(drips, every), Send(data[len(drips) :] + behind))


@st.composite
def cuts(draw: st.DrawFn) -> bytes:
    """A part of a reply, which may be anything."""
    whole = draw(interim) + draw(yes | no)
    return whole[: draw(st.integers(0, len(whole) - 1))]


@st.composite
def unframed(draw: st.DrawFn) -> bytes:
    """A reply that does not say truly, or not in one way, how long it is; the server took nothing."""
    status, body = draw(st.sampled_from([(503, NO), (502, YES), (200, NO), (207, NO)]))
    length = draw(st.integers(0, 2 * len(body)))
    fields = draw(
        st.sampled_from(
            [
                [b"Content-Length: %d" % length],
                [b"Content-Length: %d" % length, b"Content-Length: %d" % len(body)],
                [b"Content-Length: %d" % length, b"Transfer-Encoding: chunked"],
                [b"Transfer-Encoding: chunked"],
                [b"Transfer-Encoding: gzip, chunked"],
                [b"Content-Length: -1"],
                [b"Content-Length: %d, %d" % (length, length)],
                [b"Content-Length : %d" % length],
                [b"Content-Encoding: gzip", b"Content-Length: %d" % length],
                [],
            ]
        )
    )
    behind = draw(st.sampled_from([b"", b"0\r\n\r\n", TAKEN, b"0\r\n\r\n" + TAKEN, b"\r\n" + TAKEN]))
    return head(status, *fields) + body + behind


# --- plays --------------------------------------------------------------------------------------------------


@st.composite
def refusing(draw: st.DrawFn) -> Play:
    """It does not say that it took the events, whether it did or not; and what it says may be no reply."""
    taken = Take(draw(st.sampled_from(("all", "half", "none", "none", "none"))))
    before, every = draw(pauses), draw(st.sampled_from((0.0, 0.0, 0.001)))
    is_cut = draw(st.sampled_from((True, False, False)))
    said = draw(interim) + draw(cuts() if is_cut else no | unframed())
    # Behind what is cut there could stand what makes it whole: a 202, and a lie.
    behind = b"" if is_cut else draw(st.sampled_from([b"", b"", TAKEN, TAKEN[:-1], UNAVAILABLE, b"\r\n"]))
    answer = (Pause(before), *sending(said, every, behind))
    if draw(st.booleans()):
        return (Read(), taken, *answer, *draw(ends))
    return (Read(), *answer, taken, *draw(ends))


@st.composite
def accepting(draw: st.DrawFn) -> Play:
    """It took the events, and says so, perhaps with more behind it."""
    said = draw(interim), draw(yes)
    behind = draw(st.sampled_from([b"", b"", b"", TAKEN, UNAVAILABLE, page(502), b"\r\n", TAKEN[:20]]))
    every = draw(st.sampled_from((0.0, 0.0, 0.001)))
    answer = (Send(said[0]), Pause(draw(pauses)), *sending(said[1], every, behind))
    return (Read(), Take(), *answer, *draw(ends))


@st.composite
def early(draw: st.DrawFn) -> Play:
    """It answers before it has read all of the request, which it takes if it says so."""
    part: Literal["head", "half"] = draw(st.sampled_from(("head", "half")))
    if draw(st.booleans()):
        return (Read(part), Send(draw(yes)), Read(), Take(), *draw(ends))
    return (Read(part), Send(draw(no)), *draw(ends))


@st.composite
def late(draw: st.DrawFn) -> Play:
    """It answers when nobody waits any more."""
    if draw(st.booleans()):  # for a client that is late itself, it is true
        return (Read(), *draw(st.permutations([Take(), LATE])), Send(draw(yes)))
    return (Read(), *draw(st.permutations([Take("half"), LATE])), Send(draw(no)))


@st.composite
def judging(draw: st.DrawFn) -> Play:
    """It is Togai, and refuses; or knows the events already."""
    answer = draw(
        st.sampled_from([Name("first"), Name("all"), Name("foreign"), SayDuplicate()]) | refusals.map(Send)
    )
    return (Read(), answer)


plays = st.one_of(
    st.just(HONEST), refusing(), refusing(), refusing(), accepting(), accepting(), early(), late(), judging()
)
greetings = st.sampled_from(
    [
        (),
        (),
        (Finish(),),
        (Reset(),),
        (Silence(),),
        (Send(UNAVAILABLE),),
        (Send(head(100)),),
        (Send(b"\r\n"),),
    ]
)

# What a server does between a request and its reply, each time: all in order, it works for a while.
habits: st.SearchStrategy[Play] = st.sampled_from(
    [(), (), (Pause(0.01),), (Send(INTERIM), Pause(0.03)), (Send(head(100)), Pause(0.03))]
)
REFUSED: Play = (Read(), Send(UNAVAILABLE))  # takes nothing, and says so
# What comes after the plays: a reply that is read for the wrong request is told apart by what it says.
AFTERWARDS: tuple[Play, ...] = (HONEST, HONEST, REFUSED, HONEST, HONEST, REFUSED, HONEST)


def with_habit(play: Play, habit: Play) -> Play:
    """The same by a server with this habit; where it has read the request, not before."""
    return (play[0], *habit, *play[1:]) if play[0] == Read() else play


# --- moves --------------------------------------------------------------------------------------------------


@attrs.frozen
class Track:
    """Track so many events."""

    count: int


@attrs.frozen
class Flush:
    """Flush for a while."""


@attrs.frozen
class Interject:
    """Once nothing is pending: say something on every idle connection, though nobody asked."""

    steps: Play


moves: st.SearchStrategy[Any] = st.one_of(
    st.builds(Track, st.integers(1, 5)),
    st.just(Flush()),
    st.builds(
        Interject,
        st.one_of(yes, no, cuts(), interim).flatmap(
            lambda data: st.builds(
                lambda end: (Send(data), *end), st.sampled_from([(), (Finish(),), (Reset(),)])
            )
        ),
    ),
)
worlds = st.fixed_dictionaries(
    {
        "plays": st.lists(plays, max_size=10),
        "greetings": st.lists(greetings, max_size=3),
        "moves": st.lists(moves, min_size=1, max_size=6),
        "batch_size": st.sampled_from([1, 2, 5]),
        "habit": habits,
        "max_in_flight": st.sampled_from([1, 1, 3]),
        "ends": st.sampled_from(["in peace", "in peace", "at once"]),
        "tls": st.sampled_from([False, False, False, True]),
    }
)


def run(world: dict[str, Any], server: WireServer) -> None:
    """Do the moves; then the server behaves, or the shipper is closed before it does."""
    sizes = {name: world[name] for name in ("batch_size", "max_in_flight")}
    with judged(server, **sizes) as client:
        client.track(2)
        for move in world["moves"]:
            match move:
                case Track(count):
                    client.track(count)
                case Flush():
                    client.shipper.flush(0.05)
                case Interject(steps) if client.settle():
                    server.interject(*steps)
                    client.track(1)
            client.assert_identity()
        if world["ends"] == "at once":
            client.close(0.3)
            return
        assert client.settle(20.0), client.shipper.stats()
        server.behave()
        report = client.close()
        assert (report.dropped, report.pending) == (0, 0)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(worlds)
def test_whatever_is_said_on_the_wire_what_the_server_took_is_told_and_nothing_else(
    world: dict[str, Any],
) -> None:
    *script, then = (with_habit(play, world["habit"]) for play in (*world["plays"], *AFTERWARDS, HONEST))
    with serving(script, then=then, greetings=world["greetings"], tls=world["tls"]) as server:
        run(world, server)
        note(f"requests: {[(each.connection, len(each.events)) for each in server.record.requests]}")
        event(f"plays left: {server.plays_left > 0}")
