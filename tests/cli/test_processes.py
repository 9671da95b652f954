"""How processes stand, in words."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.processes import (
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
        ("of the application's own function", "togai-shipper doctor --relay URL"),
    ],
)
def test_a_process_that_hands_over_to_a_relay_is_mended_there(relay: str, command: str) -> None:
    parked = alive(state="parked", why="parked: the relay is for another", relay=relay)
    unwell = alive(is_healthy=False, why="no relay: refused", relay=relay)

    for each in (parked, unwell):
        assert remedy(each, "DIR", NOW).endswith(command)
    assert command not in remedy(alive(is_refusing=True, relay=relay), "DIR", NOW)


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
