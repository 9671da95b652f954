"""Where the first 20 lines are all bad for the same reason, nothing is sent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sending import CSV_HEADER, Send, accounts, line, row, write

from togai_shipper.cli.send.first_lines import FIRST
from togai_shipper.testing import FakeTogai

NAIVE = [line(f"a{number}", timestamp=f"2026-01-31 23:59:{number:02}") for number in range(FIRST)]


@pytest.mark.parametrize(
    ("name", "lines", "why"),
    [
        (
            "a.log",
            [f"{n} GET /" for n in range(FIRST)],
            "lines are all bad for the same reason: is not JSON: ",
        ),
        ("a.ndjson", NAIVE, "lines are all bad for the same reason: timestamp: "),
        (
            "a.csv",
            [CSV_HEADER.strip(), *["s,a"] * FIRST],
            "rows are all bad for the same reason: has 2 columns",
        ),
        (
            "a.csv",
            [CSV_HEADER.strip(), *[row(count="1,5")] * FIRST],
            "rows are all bad for the same reason: has 5",
        ),
        (
            "a.json",
            ["[", *[f"{n}," for n in range(FIRST)], "0]"],
            "objects are all bad for the same reason: must",
        ),
        (
            "a.ndjson",
            ["x" * n + "\xff" for n in range(FIRST)],
            "lines are all bad for the same reason: is not ",
        ),
    ],
    ids=["no JSON", "refused by track", "columns", "more columns", "array", "places"],
)
def test_it_stops_says_so_in_one_line_and_sends_nothing(
    send: Send, togai: FakeTogai, name: str, lines: list[str], why: str
) -> None:
    write("good.ndjson", line())
    write(name, *lines, line(), row())
    write("bad", "old")

    for options in ((), ("--dry-run",)):
        result = send("good.ndjson", name, *options)

        assert result.exit_code == 1
        assert result.stdout == ""
        (told,) = result.stderr.splitlines()
        assert told.startswith(f"Error: {name}: the first 20 {why}")
        assert told.endswith("Nothing was sent; --keep-going sends what is good.")
    assert not togai.requests


def test_a_program_is_told_too(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *NAIVE)

    result = send("a.ndjson", "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["complete"], told["lines"]) == (1, False, 0)
    assert told["stopped_by"].startswith("a.ndjson: the first 20 lines are all bad for the same reason: ")
    assert not togai.requests


def test_bad_lines_of_an_earlier_run_are_left_where_they_are(send: Send) -> None:
    write("a.ndjson", *NAIVE)
    write("bad", "old")

    assert send("a.ndjson", "--rejects", "bad").exit_code == 1
    assert Path("bad").read_text() == "old\n"


def test_keep_going_sends_what_is_good(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", *NAIVE, line("good"))

    result = send("a.ndjson", "--keep-going")

    assert result.exit_code == 1
    assert result.stdout.startswith("21 lines: 1 delivered, 20 bad (")
    assert accounts(togai) == ["good"]


@pytest.mark.parametrize(
    "lines",
    [NAIVE[1:], [line("good"), *NAIVE], [*NAIVE[1:], "garbage"], [*NAIVE[1:], line("good")]],
    ids=["fewer", "a good one first", "another reason", "a good one last"],
)
def test_else_each_bad_line_is_told(send: Send, lines: list[str]) -> None:
    write("a.ndjson", *lines)

    result = send("a.ndjson")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) >= FIRST - 1


def test_a_text_that_looks_like_csv_is_told_how_it_is_read(send: Send, togai: FakeTogai) -> None:
    write("usage.csv.1", CSV_HEADER.strip(), *[row(count=number) for number in range(30)])

    assert "If this is CSV, say so with --format csv." in send("usage.csv.1").stderr
    assert send("usage.csv.1", "--format", "csv").exit_code == 0
    assert togai.ledger.metered == 30


def test_a_pipe_is_read_no_further_than_to_its_first_good_line_before_it_is_sent(
    send: Send, togai: FakeTogai
) -> None:
    content = "\n".join([*NAIVE[:5], line("good"), *NAIVE, line("better")])

    result = send("-", "--job", "night", stdin=content)

    assert result.exit_code == 1
    assert result.stdout.startswith("27 lines: 2 delivered, 25 bad (")
    assert len(result.stderr.splitlines()) == 25
    assert accounts(togai) == ["better", "good"]


def test_a_pipe_with_nothing_good_at_its_beginning_is_told(send: Send, togai: FakeTogai) -> None:
    result = send("-", "--job", "night", stdin="\n".join([*NAIVE, line("good")]))

    assert result.exit_code == 1
    assert "-: the first 20 lines are all bad" in result.stderr
    assert not togai.requests


def test_rows_of_several_lines_of_a_pipe_are_not_lost_by_looking(send: Send, togai: FakeTogai) -> None:
    rows = [row("a", '"oops'), row("b"), "", row("c")]

    result = send("-", "--job", "n", "--format", "csv", stdin=CSV_HEADER + "\n".join([*rows, ""]))

    assert result.stdout.startswith("3 lines: 2 delivered, 1 bad (")
    assert accounts(togai) == ["b", "c"]


def test_a_pipe_that_breaks_off_at_its_beginning_is_told_when_it_is_sent(send: Send) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\x1f\x8b\x08\x00")
    os.close(writing)
    try:
        result = send(f"/dev/fd/{reading}", "--job", "night")
    finally:
        os.close(reading)

    assert result.exit_code == 1
    assert f"/dev/fd/{reading}:1: cannot be read any further: Compressed file ended" in result.stderr


def test_what_is_unfinished_is_not_bad(send: Send) -> None:
    Path("a.csv").write_text(CSV_HEADER + "s,a\n" * (FIRST - 1) + "s,a")

    assert send("a.csv").stdout.startswith("20 lines: 0 delivered, 19 bad, 1 unfinished (")
