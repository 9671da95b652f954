"""The last row of a CSV file that is still being written, or whose writer has died."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from sending import AT, CSV_HEADER, Send, accounts, line, row

from togai_shipper.testing import FakeTogai

WHOLE = CSV_HEADER + row("a", 10) + "\n" + row("a", 125) + "\n"


def billed(togai: FakeTogai) -> list[str]:
    """The figures that are billed."""
    entries = map(togai.ledger.get, togai.ledger.ids)
    return sorted(str(entry.event["attributes"][0]["value"]) for entry in entries if entry.event)


@pytest.mark.parametrize("cut", range(1, len(row("a", 125)) + 1))
def test_wherever_the_last_row_is_cut_the_whole_row_alone_is_billed(
    send: Send, togai: FakeTogai, cut: int
) -> None:
    Path("a.csv").write_text(WHOLE[:-cut])
    first = send("a.csv")
    Path("a.csv").write_text(WHOLE)
    second = send("a.csv")

    assert first.exit_code == 1
    assert first.stderr.startswith("a.csv:3: has no line end, so it may be unfinished, and is left")
    assert "--complete" in first.stderr
    assert first.stdout.startswith("2 lines: 1 delivered, 1 unfinished (")
    assert "Run the same command again to continue" in first.stdout
    assert second.exit_code == 0, second.output
    assert billed(togai) == ["10", "125"]


def test_what_comes_by_a_pipe_is_left_likewise(send: Send, togai: FakeTogai) -> None:
    result = send("-", "--job", "night", "--format", "csv", stdin=WHOLE[:-2])

    assert result.exit_code == 1
    assert billed(togai) == ["10"]


def test_complete_takes_it(send: Send, togai: FakeTogai) -> None:
    Path("a.csv").write_text(WHOLE[:-1])

    assert send("a.csv", "--complete").exit_code == 0
    assert billed(togai) == ["10", "125"]


def test_with_complete_a_broken_last_row_is_bad(send: Send) -> None:
    Path("a.csv").write_text(WHOLE[:-7])

    result = send("a.csv", "--complete", "--rejects", "bad.csv")

    assert result.exit_code == 1
    assert result.stdout.startswith("2 lines: 1 delivered, 1 bad (")
    assert Path("bad.csv").read_text().startswith(CSV_HEADER)


def test_what_is_left_is_no_reject_and_is_told_in_json(send: Send) -> None:
    Path("a.csv").write_text(WHOLE[:-1])

    told = json.loads(send("a.csv", "--json", "--rejects", "bad.csv").stdout)

    assert Path("bad.csv").read_text() == ""
    assert (told["lines"], told["bad"], told["unfinished"]) == (2, 0, 1)
    (left,) = told["unfinished_lines"]
    assert (left["file"], left["line"]) == ("a.csv", 3)


def test_a_dry_run_tells_it(send: Send) -> None:
    Path("a.csv").write_text(WHOLE[:-1])

    result = send("a.csv", "--dry-run")

    assert result.exit_code == 1
    assert result.stdout.startswith("2 lines: 1 good, 1 unfinished; nothing was sent (")


@pytest.mark.parametrize(
    "last",
    [
        f'"api_call","a","{AT}","125"',
        f'api_call,a,{AT},"125"',
        row("a", 125) + "\r",
    ],
    ids=["quoted", "last cell quoted", "half of CR LF"],
)
def test_where_it_is_certain_that_the_row_is_whole_it_is_billed(
    send: Send, togai: FakeTogai, last: str
) -> None:
    Path("a.csv").write_bytes((CSV_HEADER + row("a", 10) + "\n" + last).encode())

    assert send("a.csv").exit_code == 0
    assert billed(togai) == ["10", "125"]


def test_a_whole_row_of_several_lines_is_billed_and_half_of_one_is_left(send: Send, togai: FakeTogai) -> None:
    header = CSV_HEADER.replace("attributes.count", "attributes.count,dimensions.note")
    Path("a.csv").write_text(f'{header}api_call,a,{AT},1,"two\nlines"')
    Path("b.csv").write_text(f'{header}api_call,a,{AT},"2",twi')
    Path("c.csv").write_text(f'{header}"api\ncall",a,{AT},3,twice')
    Path("d.csv").write_text(f'{header}api_call,a,{AT},4,"x')

    assert send("a.csv").exit_code == 0
    for name in ("b.csv", "c.csv", "d.csv"):
        assert ", 1 unfinished (" in send(name).stdout
    assert billed(togai) == ["1"]


def test_a_complete_row_that_is_no_event_is_bad(send: Send) -> None:
    Path("a.csv").write_text(f'{CSV_HEADER}api_call,,{AT},"1"')

    assert send("a.csv").stdout.startswith("1 line: 0 delivered, 1 bad (")


def test_a_packed_file_is_complete_by_its_trailer(send: Send, togai: FakeTogai) -> None:
    packed = gzip.compress(WHOLE[:-1].encode())
    Path("a.csv.gz").write_bytes(packed[:-5])
    assert send("a.csv.gz").exit_code == 1
    assert "125" not in billed(togai)

    Path("a.csv.gz").write_bytes(packed)
    assert send("a.csv.gz").exit_code == 0
    assert billed(togai) == ["10", "125"]


def test_a_last_line_of_json_that_is_a_whole_object_is_billed(send: Send, togai: FakeTogai) -> None:
    Path("a.ndjson").write_text(line("a", attributes={"count": 10}) + "\n" + line(attributes={"count": 125}))

    assert send("a.ndjson").exit_code == 0
    assert billed(togai) == ["10", "125"]


@pytest.mark.parametrize("before", ["", "[", line("a") + " "])
@pytest.mark.parametrize("after", [" \n", " " + line("b"), " "], ids=["line", "object", "end"])
def test_an_object_with_blanks_behind_it_is_billed_once_however_it_goes_on(
    send: Send, togai: FakeTogai, before: str, after: str
) -> None:
    """Its id is made with the blanks if a line end follows, and without them if another object does."""
    Path("a.json").write_text(f"{before}{line()} ")
    assert send("a.json").exit_code == 1
    Path("a.json").write_text(f"{before}{line()}{after}")
    send("a.json", "--complete")

    assert accounts(togai).count("acme") == 1


def test_a_packed_line_with_blanks_behind_it_is_complete(send: Send, togai: FakeTogai) -> None:
    Path("a.json.gz").write_bytes(gzip.compress(f"{line()} ".encode()))

    assert send("a.json.gz").exit_code == 0
    assert accounts(togai) == ["acme"]
