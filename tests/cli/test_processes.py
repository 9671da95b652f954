"""How processes stand, in words."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from runbook_messages import COMPLAINING, HOLE, sources, told

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.processes import (
    COUNTS,
    FAILURES,
    WARNINGS,
    WORDS,
    Process,
    Word,
    by_trouble,
    grouped,
    process_json,
    remedy,
    sentence,
    why,
    word,
)
from togai_shipper.cli.top.looking import Sight
from togai_shipper.cli.top.picture import Picture, below, picture_json
from togai_shipper.cli.top.rates import Rates

OLDER_MS = 400_000  # an event that waits for longer than all is well
NOW = 1_800_000_000_000
WELL = SelfReport(at_ms=NOW - 1000, since_ms=NOW - 600_000, pending=3, oldest_ms=NOW - 2000, accepted=9)


def alive(name: str = "pid 1", **facts: Any) -> Process:
    return Process(name=name, is_alive=True, report=attrs.evolve(WELL, **facts))


def gone(held: int = 2, **facts: Any) -> Process:
    return Process(name="a.db", is_alive=False, held=held, held_oldest_ms=NOW - 7_200_000, **facts)


PARKED = alive(state="parked", is_by_key=True, why="parked: no such key (HTTP 401)", since_ms=NOW - 720_000)
OLDER = Process(name="pid 2", is_alive=True, held=4, held_oldest_ms=NOW - 1000, version="0.1.0")

CASES: list[tuple[Process, Word, str]] = [
    (
        PARKED,
        "parked",
        "pid 1 is parked for 12 min: no such key (HTTP 401); 3 events wait, the oldest for 2 s",
    ),
    (
        alive(is_refusing=True, refused_full=7, pending=0),
        "refusing",
        "pid 1 is refusing for 10 min: its buffer is full, 7 events refused until now",
    ),
    (
        alive(is_durable=False, is_healthy=False, why="no room"),
        "not durable",
        "pid 1 is not durable for 10 min: no room; 3 events wait, the oldest for 2 s",
    ),
    (gone(), "gone", "a.db is gone: its process is gone; 2 events wait, the oldest for 2 h"),
    (
        gone(report=attrs.evolve(WELL, state="closed", why="no reply: x")),
        "gone",
        "a.db is gone: its process is gone; before: no reply: x; 2 events wait, the oldest for 2 h",
    ),
    (
        alive(is_healthy=False, why="no reply: x"),
        "unwell",
        "pid 1 is unwell for 10 min: no reply: x; 3 events wait, the oldest for 2 s",
    ),
    (
        alive(oldest_ms=NOW - 301_000),
        "old events",
        "pid 1 has old events: the oldest event waits for 5 min; 3 events wait, the oldest for 5 min",
    ),
    (
        alive(oldest_ms=NOW - 301_000, why="no reply: x"),
        "old events",
        "pid 1 has old events: no reply: x; 3 events wait, the oldest for 5 min",
    ),
    (
        attrs.evolve(OLDER, held_oldest_ms=NOW - 600_000),
        "old events",
        "pid 2 has old events: the oldest event waits for 10 min; 4 events wait, the oldest for 10 min",
    ),
    (
        alive(at_ms=NOW - 61_000),
        "silent",
        (
            "pid 1 is silent: has said nothing for 1 min: is it stopped, or its disk full?; 3 events wait,"
            " the oldest for 2 s"
        ),
    ),
    (
        alive(at_ms=NOW - 400_000, oldest_ms=NOW - 401_000),
        "silent",
        (
            "pid 1 is silent: has said nothing for 6 min: is it stopped, or its disk full?; 3 events wait,"
            " the oldest for 6 min"
        ),
    ),
    (
        OLDER,
        "unknown",
        "pid 2 says nothing of itself: an older version (0.1.0); 4 events wait, the oldest for 1 s",
    ),
    (alive(state="closing"), "closing", "pid 1 is closing; 3 events wait, the oldest for 2 s"),
    (alive(), "ok", "pid 1 is ok; 3 events wait, the oldest for 2 s"),
    (alive(pending=0, oldest_ms=None, at_ms=0), "ok", "pid 1 is ok (it said so 20,833 d ago)"),
    (gone(held=0), "ended", "a.db is ended"),
]


@pytest.mark.parametrize(("process", "expected", "said"), CASES)
def test_each_process_has_its_word_and_its_sentence(process: Process, expected: Word, said: str) -> None:
    assert word(process, NOW) == expected
    assert sentence([process], NOW) == said


def test_every_word_is_shown_above() -> None:
    assert {expected for _, expected, _ in CASES} == set(WORDS)


def test_they_are_sorted_by_trouble_and_then_by_what_waits() -> None:
    shuffled = [process for process, _, _ in reversed(CASES)]
    more = attrs.evolve(OLDER, name="pid 3", held=5)

    found = by_trouble([*shuffled, more], NOW)

    words = [word(process, NOW) for process in found]
    assert words == sorted(words, key=WORDS.index)
    assert found.index(more) == found.index(OLDER) - 1


@pytest.mark.parametrize(
    ("relay", "command"),
    [
        ("redis://…@h:6379", "togai-shipper doctor --relay redis://…@h:6379"),
        ("of the application's own function", "togai-shipper doctor --relay redis://..."),
    ],
)
def test_a_process_that_hands_over_to_a_relay_is_mended_there(relay: str, command: str) -> None:
    parked = alive(state="parked", why="parked: the relay is for another", relay=relay)
    unwell = alive(is_healthy=False, why="no relay: refused", relay=relay)

    for each in (parked, unwell):
        assert remedy(each, "DIR", NOW).endswith(command)
    assert command not in remedy(alive(is_refusing=True, relay=relay), "DIR", NOW)
    drainer = attrs.evolve(alive(state="parked", is_by_key=True), is_drainer=True)
    assert "all events stay in the relay" in remedy(drainer, "URL", NOW)


def test_those_with_the_same_trouble_are_told_together() -> None:
    same = [attrs.evolve(PARKED, name=f"pid {number}") for number in range(1, 5)]

    first, second = grouped([alive("pid 9"), *same], NOW)

    assert sentence(first, NOW) == (
        "4 processes (pid 1, pid 2, pid 3, ...) are parked for 12 min: no such key (HTTP 401);"
        " 12 events wait, the oldest for 2 s"
    )
    assert sentence(second, NOW).startswith("pid 9 is ok")


def test_what_a_process_said_long_ago_is_shown_with_its_age() -> None:
    stopped = alive(state="parked", why="parked: x", at_ms=NOW - 600_000)

    assert sentence([stopped], NOW).endswith("(it said so 10 min ago)")


@pytest.mark.parametrize(
    "process", [case for case, expected, _ in CASES if expected in (*FAILURES, *WARNINGS)]
)
def test_each_trouble_has_a_next_command(process: Process) -> None:
    assert "togai-shipper " in remedy(process, "DIR", NOW)


COMPLAINTS = sorted(
    {
        message.text.replace(HOLE, "7 events")
        for message in told(sources())
        if message.at.split(":")[0] in COMPLAINING and "parked" not in message.text
    }
)


@pytest.mark.parametrize(
    "said", [*COMPLAINTS, *(f"no reply yet, {moved}" for moved in ("nothing moves", "x"))]
)
def test_whatever_a_process_complains_of_has_a_remedy_that_says_what_to_type(said: str) -> None:
    advice = remedy(alive(is_healthy=False, why=said), "/spool", NOW)

    assert "togai-shipper " in advice
    assert "may know these words" not in advice, "none of its own"
    assert "DIR" not in advice
    assert all(len(line) <= 90 for line in advice.splitlines())


@pytest.mark.parametrize(
    ("said", "does"),
    [
        ("every attempt of the last minute failed: no reply: timed out, the way is slow: 1 of", "Bytes move"),
        ("every attempt of the last minute failed: no reply: timed out, the request has gone", "hangs"),
        (
            "every attempt of the last minute failed: no reply: [Errno 111] Connection refused",
            "Nobody answers",
        ),
        ("every attempt of the last minute failed: no relay: ConnectionError: Error 111", "--relay"),
        ("every attempt of the last minute failed: try later (HTTP 503)", "takes nothing"),
        ("every attempt of the last minute failed: slow down (HTTP 429)", "quota"),
        ("every attempt of the last minute failed: no reply: the proxy: 403", "a proxy"),
        ("something new", "togai-shipper doctor --spool /spool"),
    ],
)
def test_a_remedy_fits_what_fails(said: str, does: str) -> None:
    assert does in remedy(alive(is_healthy=False, why=said), "/spool", NOW)


def test_an_old_event_of_a_process_that_says_nothing_of_it_has_a_remedy() -> None:
    said_nothing = attrs.evolve(OLDER, held_oldest_ms=NOW - 600_000)

    assert "Compare in/s and out/s" in remedy(said_nothing, "/spool", NOW)


def test_those_whose_trouble_differs_by_a_figure_alone_are_told_together() -> None:
    slow = [alive(f"pid {n}", is_healthy=False, why=f"no reply yet, {n} of 9 bytes") for n in (1, 2)]

    assert len(grouped(slow, NOW)) == 1


_MOMENTS = st.integers(-2, 2) | st.integers(NOW - 10**10, NOW + 10**10) | st.integers(-(2**70), 2**70)
_FACTS = {
    **dict.fromkeys(("at_ms", "since_ms"), _MOMENTS),
    "oldest_ms": _MOMENTS | st.none(),
    "state": st.sampled_from(["open", "parked", "closing", "closed", "happy"]),
    "why": st.text(max_size=500) | st.sampled_from(["parked: ", "the way is slow", "\x1b[2J\ud800 \u202e"]),
    **{name: st.booleans() for name in ("is_healthy", "is_by_key", "is_refusing", "is_durable")},
    **{
        name: st.integers(-2, 5) | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3)
        for name in (*COUNTS, "pending", "dead_letters")
    },
}


@given(
    written=st.lists(
        st.fixed_dictionaries(
            {name: st.integers(0, 2 * NOW) for name in ("at_ms", "since_ms")},
            optional={name: facts for name, facts in _FACTS.items() if name not in ("at_ms", "since_ms")},
        )
        | st.fixed_dictionaries({}, optional=_FACTS),
        min_size=1,
        max_size=3,
    ),
    held=st.integers(0, 5),
    is_alive=st.booleans(),
)
def test_nothing_that_stands_in_a_report_breaks_or_deceives_who_reads_it(
    written: list[dict[str, Any]], held: int, *, is_alive: bool
) -> None:
    reports = [SelfReport.of_text(json.dumps(facts)) for facts in written]
    rates, rows = Rates(), []
    for second, report in enumerate(reports):
        process = Process(
            name="pid 1",
            is_alive=is_alive,
            report=report,
            held=held,
            held_oldest_ms=NOW - OLDER_MS if held else None,
        )
        rows = rates.rows([process], float(second))

        what = word(process, NOW)
        assert process.pending >= held, "what is in its file waits, whatever it says"
        assert not held or process.oldest(NOW) >= OLDER_MS / 1000
        assert not (held and is_alive) or what not in ("ok", "closing"), "an old event is never well"
        assert process.oldest(NOW) >= 0
        assert remedy(process, "DIR", NOW)
        said = f"{sentence([process], NOW)} {process_json(process, NOW)} {why(process, NOW)}"
        assert len(said) < 4000
        assert all(len(line) < 2000 for line in below(rows, Sight([process]), "DIR", NOW))
        text = json.dumps(picture_json(rows, Sight([process]), "DIR", NOW))
        assert "-" not in "".join(re.findall(r'": (-?[0-9.e+-]+)', text))
        for row in rows:
            assert all(rate is None or 0 <= rate < 10**17 for rate in (row.coming, row.going))
    with io.StringIO() as screen:
        Console(file=screen, width=80).print(Picture(rows, Sight([row.process for row in rows]), "DIR", NOW))


def test_a_process_whose_clock_is_ahead_is_not_believed_to_have_spoken_just_now() -> None:
    ahead = alive(at_ms=NOW + 600_000)

    assert word(ahead, NOW) == "silent"
    assert why(ahead, NOW) == "its clock is 10 min ahead of ours, or was set back"


def test_a_line_that_is_parked_by_something_else_than_the_key_is_told_to_try_again() -> None:
    assert "tries again by itself" in remedy(alive(state="parked"), "DIR", NOW)


def test_json_has_all_that_is_known() -> None:
    assert process_json(OLDER, NOW) == {
        "name": "pid 2",
        "file": None,
        "alive": True,
        "standing": "unknown",
        "why": "an older version (0.1.0)",
        "version": "0.1.0",
        "pending": 4,
        "oldest": "2027-01-15T07:59:59Z",
        "dead": 0,
        **dict.fromkeys(("since", "said", "state", "healthy", "durable", "last_error", "counts")),
    }
    facts = process_json(PARKED, NOW)
    assert (facts["standing"], facts["last_error"]) == ("parked", "parked: no such key (HTTP 401)")
    assert facts["counts"]["accepted"] == 9
    assert why(alive(), NOW) == ""
