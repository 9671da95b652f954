"""What ``togai-shipper top`` draws, on terminals of many sizes."""

from __future__ import annotations

from typing import Any

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.processes import Process
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.top.looking import Sight
from togai_shipper.cli.top.picture import Picture
from togai_shipper.cli.top.rates import Row

NOW = 1_790_000_000_000
WORDS = "every attempt of the last minute failed: no reply: the name togai.example cannot be resolved"


def process(name: str = "pid 4711", **facts: Any) -> Process:
    report = SelfReport(**{"at_ms": NOW, "since_ms": NOW, **facts})
    return Process(name=name, is_alive=True, report=report)


def parked(why: str, name: str = "pid 4711") -> Process:
    return process(name, state="parked", why=why, pending=50_000, oldest_ms=NOW - 10_000)


def drawn(*processes: Process, width: int = 80, height: int = 24, is_live: bool = False) -> list[str]:
    """Return the lines of the table: what stands below it comes after an empty one."""
    screen = Screen(width=width, height=height, force_terminal=False)
    rows = [Row(each, 10.0, 0.0) for each in processes]
    with screen.capture() as captured:
        screen.draw(Picture(rows, Sight(processes), "DIR", NOW, is_live=is_live))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    assert not is_live or len(lines) < height
    return lines[: lines.index("")] if "" in lines else lines


def test_why_stands_in_the_line_if_there_is_room() -> None:
    assert drawn(parked("no such key"))[2:] == ["parked pid 4711    10     0  50,000   10 s no such key"]


def test_why_stands_below_the_line_if_there_is_none_there_whole() -> None:
    first, *below = drawn(parked(WORDS))[2:]

    assert first.rstrip() == "parked pid 4711    10     0  50,000   10 s"
    assert " ".join(" ".join(below).split()) == WORDS
    assert all(line.startswith("       ") for line in below)
    assert len(drawn(parked(WORDS), width=150)) == 3


def test_of_a_long_story_three_lines_are_told() -> None:
    _, *below = drawn(parked("word " * 79))[2:]

    assert len(below) == 3
    assert below[-1].rstrip().endswith("...")


def test_of_one_that_is_well_why_takes_no_line_of_its_own() -> None:
    (line,) = drawn(process(why=WORDS))[2:]

    assert line.rstrip().endswith("…")


def test_of_a_name_that_is_too_long_the_end_is_seen_for_that_tells_pods_apart() -> None:
    host = "billing-production-frankfurt-application-web-7f9c6bd5b4-x2x9z"

    names, total, more, first, why = drawn(parked("no such key", f"{host}/1"))

    assert "...kfurt-application-web-7f9c6bd5b4-x2x9z/1 " in first
    assert names.endswith("oldest why")
    assert [total.split()[0], more.strip(), why.strip()] == ["all", "1 in trouble", "no such key"]
    assert f"{host}/1" in drawn(parked("no such key", f"{host}/1"), width=150)[2]


def test_what_is_drawn_again_and_again_is_not_higher_than_the_terminal_and_says_what_is_missing() -> None:
    many = [process(f"pid {number:03}", pending=200 - number) for number in range(100)]

    lines = drawn(parked("no such key"), *many, is_live=True, height=24)

    assert lines[2].startswith("parked")
    assert lines[-1] == f"... {101 - (len(lines) - 3)} more: togai-shipper top --once DIR"
    assert len(lines) > 12
    assert len(drawn(parked("no such key"), *many)) == 103
    assert len(drawn(*many[:3], is_live=True)) == 5
