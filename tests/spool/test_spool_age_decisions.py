"""``spool.age``: how old an event is, as far as clocks tell, and what becomes of it."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from togai_shipper.spool.age import AHEAD, SANE, STEP, UNKNOWN, WINDOW, Age, Clocks, FileClock, age

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_790_000_000_000  # milliseconds since 1970
UP = 100 * DAY  # since the machine started
HERE = FileClock("here", NOW - UP)
THERE = FileClock("there", NOW - UP)
OLD = FileClock()  # a file of an earlier version, which says nothing
AT = Clocks("here", UP, NOW, NOW)


def clocks(wall: int = 0, server: int | None = 0) -> Clocks:
    """What they show; wrong by so much."""
    return attrs.evolve(AT, wall=NOW + wall, server=None if server is None else NOW + server)


@pytest.mark.parametrize(
    ("file", "accepted", "now", "decision"),
    [
        # Within one boot nothing else counts.
        (HERE, NOW - 39 * DAY, clocks(), "send"),
        (HERE, NOW - 41 * DAY, clocks(), "dead"),
        (HERE, NOW - HOUR, clocks(60 * DAY, 60 * DAY), "send"),
        (HERE, NOW - HOUR, clocks(-NOW, -NOW), "send"),
        (HERE, NOW - 41 * DAY, clocks(-40 * DAY, -40 * DAY), "dead"),
        (HERE, NOW - 41 * DAY, clocks(-40 * DAY, None), "dead"),
        (HERE, NOW - 40 * DAY, clocks(), "send"),
        (HERE, NOW - 40 * DAY - 1, clocks(), "dead"),
        # A time that has not come yet is no evidence: the wall clocks decide.
        (HERE, NOW + HOUR, clocks(), "send"),
        (HERE, NOW + 2 * DAY, clocks(), "keep"),
        # Beyond it both have to agree.
        (THERE, NOW - 39 * DAY, clocks(), "send"),
        (THERE, NOW - 41 * DAY, clocks(), "dead"),
        (THERE, NOW - 39 * DAY, clocks(2 * DAY, 0), "keep"),
        (THERE, NOW - 39 * DAY, clocks(0, 2 * DAY), "keep"),
        (THERE, NOW - 41 * DAY, clocks(-2 * DAY, 0), "keep"),
        (THERE, NOW - HOUR, clocks(60 * DAY, 60 * DAY), "dead"),
        (THERE, NOW - HOUR, clocks(12 * HOUR, -12 * HOUR), "send"),
        (THERE, NOW + HOUR, clocks(), "send"),
        (THERE, NOW + 2 * DAY, clocks(), "keep"),
        (THERE, NOW - HOUR, clocks(-NOW, 0), "keep"),
        # Until Togai has said what time it is, ours alone may send, but not give up.
        (THERE, NOW - 39 * DAY, clocks(0, None), "send"),
        (THERE, NOW - 41 * DAY, clocks(0, None), "keep"),
        (THERE, NOW - HOUR, clocks(-NOW, None), "keep"),
        # A clock that was not set when it accepted says nothing.
        (THERE, HOUR, clocks(), "keep"),
        (THERE, SANE - 1, clocks(), "keep"),
        (THERE, HOUR, clocks(-NOW + 2 * HOUR, -NOW + 2 * HOUR), "keep"),
        # A file that says nothing of its clock.
        (OLD, NOW - 39 * DAY, clocks(), "send"),
        (OLD, NOW - 41 * DAY, clocks(), "dead"),
        (OLD, NOW - 39 * DAY, clocks(2 * DAY), "keep"),
        # A clock that was set while the file was written: by every time that it showed.
        (attrs.evolve(THERE, highest=2 * DAY), NOW - 41 * DAY, clocks(), "keep"),
        (attrs.evolve(THERE, lowest=-2 * DAY), NOW - 39 * DAY, clocks(), "keep"),
        (attrs.evolve(THERE, lowest=-HOUR, highest=HOUR), NOW - 39 * DAY, clocks(), "send"),
        (attrs.evolve(THERE, lowest=NOW, highest=NOW), -HOUR, clocks(), "send"),
    ],
)
def test_what_becomes_of_an_event_that_may_have_been_sent(
    file: FileClock, accepted: int, now: Clocks, decision: str
) -> None:
    assert age(accepted, file, now).decision == decision


def test_nothing_is_known_where_the_clock_was_not_set() -> None:
    assert age(HOUR, THERE, AT) == UNKNOWN
    assert UNKNOWN.decision == "keep"


moments = st.integers(0, 4_000_000_000_000)
walls = st.integers(-4_000_000_000_000, 4_000_000_000_000)


@given(since=st.integers(0, 400 * DAY), uptime=moments, offset=walls, wall=walls, server=st.none() | walls)
def test_within_one_boot_the_age_is_exact_whatever_the_wall_clocks_say(
    since: int, uptime: int, offset: int, wall: int, server: int | None
) -> None:
    file = FileClock("one", offset)

    found = age(uptime - since + offset, file, Clocks("one", uptime, wall, server))

    assert found == Age(since, since)
    assert found.decision == ("send" if since <= WINDOW else "dead")


@given(
    true=st.integers(0, 400 * DAY),
    accepting=st.integers(-AHEAD // 4, AHEAD // 4),
    ours=st.integers(-AHEAD // 4, AHEAD // 4),
    theirs=st.integers(-AHEAD // 4, AHEAD // 4),
)
def test_clocks_that_are_about_right_never_send_what_togai_may_have_forgotten(
    true: int, accepting: int, ours: int, theirs: int
) -> None:
    accepted = NOW - true + accepting

    decision = age(accepted, THERE, clocks(ours, theirs)).decision

    assert decision != "send" or true <= 45 * DAY
    assert decision != "dead" or true > 39 * DAY


@given(accepted=walls, wall=walls, server=st.none() | walls)
def test_one_clock_alone_never_gives_an_event_up(accepted: int, wall: int, server: int | None) -> None:
    now = Clocks("here", UP, wall, server)

    decision = age(accepted, THERE, now).decision

    if decision == "dead":
        assert server is not None
        assert min(wall, server) - accepted > WINDOW
    if decision == "send":
        assert accepted >= SANE
        assert all(-AHEAD <= clock - accepted <= WINDOW for clock in (wall, server) if clock is not None)


@given(steps=st.lists(st.integers(0, 2_000_000_000), max_size=6), since=st.integers(0, 10 * DAY))
@example(steps=[0, 1_790_000_000], since=HOUR)
def test_a_wall_clock_that_is_set_changes_no_age_within_the_boot(steps: list[int], since: int) -> None:
    file = FileClock.begun("one", 1000.0, steps[0] if steps else 0.0)
    accepted = file.time(1000.0)
    for wall in steps:
        file = file.noted(1000.0, float(wall))

    assert file.clock(accepted) == 1000.0
    assert age(accepted, file, Clocks("one", 1_000_000 + since, 0, None)) == Age(since, since)


@given(
    first=st.integers(0, 2_000_000_000),
    then=st.lists(st.integers(0, 10**9) | st.integers(SANE // 1000, 2 * 10**9), max_size=5),
    last=st.integers(SANE // 1000, 2 * 10**9),
)
def test_every_time_that_a_set_clock_showed_stands_in_the_file(
    first: int, then: list[int], last: int
) -> None:
    file = FileClock.begun("one", 1000.0, float(first))
    for wall in (*then, last):
        file = file.noted(1000.0, float(wall))
    sane = [wall * 1000 for wall in (first, *then, last) if wall * 1000 >= SANE]

    shown = file.time(1000.0)

    assert abs(shown + file.lowest - min(sane)) <= STEP
    assert abs(shown + file.highest - max(sane)) <= STEP


# --- as it stands in a file ---


@given(st.builds(FileClock, st.text("abc-0123 ", min_size=1), walls, walls, walls))
def test_what_is_written_of_a_clock_is_read_again(file: FileClock) -> None:
    assert FileClock.of_text(file.as_text()) == file


@given(bit=st.integers(0))
def test_what_is_damaged_says_nothing(bit: int) -> None:
    text = bytearray(HERE.as_text().encode())
    text[bit // 8 % len(text)] ^= 1 << bit % 8

    assert FileClock.of_text(text.decode("utf-8", "replace")) in (FileClock(), HERE)


@pytest.mark.parametrize("text", ["", "x", "1 2", "00000000 1 2 3 here", "zz 1 2 3 here", "1 2 3 4"])
def test_what_was_never_written_by_us_says_nothing(text: str) -> None:
    assert FileClock.of_text(text) == FileClock()
