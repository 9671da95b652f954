"""Files of JSON that is not one object a line: what is billed, what is left for the next run, and told."""

from __future__ import annotations

import json
from pathlib import Path

from sending import AT, CSV_HEADER, Send, accounts, line, row

from togai_shipper.testing import FakeTogai

CSV = f"{CSV_HEADER}{row('a')}\n{row('é')}\n"


def test_an_array_that_is_being_written_is_told_and_goes_on_in_the_next_run(
    send: Send, togai: FakeTogai
) -> None:
    whole = json.dumps([json.loads(line(each)) for each in "abc"], indent=1)
    cuts = (whole[: whole.index('"c"')], whole[:-2], whole)
    for cut, (code, told) in zip(
        cuts, ((1, "object 3: is not closed"), (1, "object 4: is not there"), (0, "")), strict=True
    ):
        Path("a.json").write_text(cut)
        result = send("a.json")
        assert result.exit_code == code
        assert told in result.stderr
        assert ("Run the same command again" in result.stdout) is bool(code)

    assert accounts(togai) == ["a", "b", "c"]


def test_complete_takes_an_array_without_an_end_and_finds_half_an_object_bad(
    send: Send, togai: FakeTogai
) -> None:
    Path("a.json").write_text(f"[{line('a')}")
    Path("b.json").write_text(f"[{line('b')}, {line('c')[:-1]}")

    assert send("a.json", "--complete").exit_code == 0
    result = send("b.json", "--complete", "--json")

    told = json.loads(result.stdout)
    assert (told["bad"], told["unfinished"], result.exit_code) == (1, 0, 1)
    assert told["bad_lines"][0]["object"] == 2
    assert accounts(togai) == ["a", "b"]


def test_the_unfinished_last_row_in_utf_16_is_left(send: Send, togai: FakeTogai) -> None:
    whole = CSV.encode("utf-16")
    for cut, code in ((len(whole) - 2, 1), (len(whole) - 1, 1), (len(whole), 0)):
        Path("a.csv").write_bytes(whole[:cut])
        assert send("a.csv").exit_code == code
    assert accounts(togai) == ["a", "é"]


def test_bad_objects_are_kept_one_a_line_and_can_be_mended_and_sent(send: Send, togai: FakeTogai) -> None:
    objects = [json.loads(line(each)) for each in "abc"]
    del objects[1]["timestamp"]
    Path("a.json").write_text(json.dumps(objects, indent=2))

    result = send("a.json", "--rejects", "bad.ndjson")

    assert result.exit_code == 1
    assert result.stderr == "a.json: object 2: timestamp: is missing\n"
    (bad,) = Path("bad.ndjson").read_text().splitlines()
    assert json.loads(bad) == objects[1]
    Path("bad.ndjson").write_text(json.dumps({**objects[1], "timestamp": AT}))
    assert send("bad.ndjson").exit_code == 0
    assert accounts(togai) == ["a", "b", "c"]


def test_what_togai_refuses_is_told_with_its_object(send: Send, togai: FakeTogai) -> None:
    togai.poison(lambda event: event["accountId"] == "b", 400, "no such plan")
    Path("a.json").write_text(f"[{line('a')}, {line('b', id='e-1')}]")

    result = send("a.json")

    assert result.stderr == "a.json: object 2: event e-1: refused by Togai: no such plan (HTTP 400)\n"


def test_where_an_array_cannot_be_read_any_further_it_is_told(send: Send, togai: FakeTogai) -> None:
    Path("a.json").write_text(f"[{line('a')}, {line('b')[:-2]}, {line('c')}]")

    result = send("a.json")

    assert result.exit_code == 1
    assert (
        "a.json: object 2: cannot be read any further: a quote or a bracket in it is not closed"
        in result.stderr
    )
    assert "Not everything was read." in result.stdout
    assert accounts(togai) == ["a"]
