"""Dead letters by their cause: ``togai-shipper spool dead``, and the groups that other commands choose by."""

from __future__ import annotations

import json
import re

from spools import Spool, letter, run

from togai_shipper.cli.spool.causes import Cause, time_of
from togai_shipper.spool.rows import PAST_WINDOW, DeadLetter

CLOSED = "account umbrella is closed"


def closed(name: str, days: float = 0.0) -> DeadLetter:
    return letter(name, message=CLOSED, days=days)


def groups(spool: Spool, *options: object) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("dead", "--json", *options, spool.path).stdout.splitlines()]


def test_each_cause_has_a_line_with_how_many_and_since_when(spool: Spool) -> None:
    spool.file(letters=(closed("a"), letter("b"), closed("c", days=2)))
    spool.file(letters=(closed("d"), letter("e", PAST_WINDOW, 41, status=None, message="")))

    lines = run("dead", spool.path).stdout.splitlines()

    day, time = r"\d{4}-\d\d-\d\d ", r"\d\d:\d\d"
    line = rf"3  {CLOSED} \(400\)  api_call  first {day}{time}  last ({day})?{time}  [0-9a-f]{{6}}"
    assert re.fullmatch(line, lines[0])
    assert [line.split("  ")[:3] for line in lines[1:3]] == [
        ["1", "no such schema (400)", "api_call"],
        ["1", "past dedupe window", "api_call"],
    ]
    assert lines[4] == "5 dead letters of 3 causes; times are UTC."
    assert lines[-2:] == [
        f"  togai-shipper spool replay --group {lines[0][-6:]} {spool.path}",
        f"  togai-shipper spool export --group {lines[0][-6:]} {spool.path}",
    ]


def test_the_files_are_listed_with_the_first_causes(spool: Spool) -> None:
    spool.file(letters=tuple(letter(f"e{number}", message=f"kind {number}") for number in range(6)))

    text = run("ls", spool.path).stdout

    assert "\nDead letters: 6 rejected; times are UTC.\n1  kind " in text
    assert text.count("kind ") == 5
    assert f"See all causes:\n  togai-shipper spool dead {spool.path}\n" in text


def test_an_event_s_own_id_makes_no_cause_of_its_own(spool: Spool) -> None:
    spool.file(
        letters=(letter("a-7", message="event a-7 is late"), letter("b-8", message="event b-8 is late"))
    )

    (group,) = groups(spool)

    assert (group["count"], group["message"]) == (2, "event … is late")


def test_causes_differ_by_reason_status_message_and_schema(spool: Spool) -> None:
    spool.file(
        letters=(
            letter("a"),
            letter("b", status=422),
            letter("c", message="other"),
            letter("d", PAST_WINDOW),
            letter("e", body=b"{}"),
        )
    )

    found = groups(spool)

    assert len({group["group"] for group in found}) == 5
    assert {group["schema_name"] for group in found} == {"api_call", None}
    assert "  first " in run("dead", spool.path).stdout


def test_the_events_of_a_group_are_listed_exported_replayed_and_purged(spool: Spool) -> None:
    spool.file("p", letters=(closed("a"), letter("b"), closed("c"), letter("d")))
    name, other = (group["group"] for group in groups(spool))

    listed = run("ls", "--dead", "--json", "--group", name, spool.path).stdout.splitlines()
    exported = run("export", "--group", name, spool.path).stdout.splitlines()
    assert {json.loads(line)["id"] for line in listed} == {json.loads(line)["id"] for line in exported}
    run("replay", "--group", name, spool.path)
    run("purge", "--yes", "--group", other, spool.path)

    assert len(exported) == 2
    pending, dead = spool.ids()
    assert (pending - {"p"}, dead) == ({json.loads(line)["id"] for line in exported}, set())


def test_the_same_cause_has_the_same_name_in_each_file(spool: Spool) -> None:
    spool.file(letters=(closed("a"),))
    spool.file(letters=(closed("b"),))

    ((name, count),) = [(group["group"], group["count"]) for group in groups(spool)]

    assert (name, count) == (Cause("rejected", 400, CLOSED, "api_call").group, 2)


def test_the_causes_of_some_events_are_chosen_and_counted(spool: Spool) -> None:
    spool.file(letters=(closed("a", days=3), letter("b")))

    assert [group["message"] for group in groups(spool, "--newer-than", "1d")] == ["no such schema"]
    assert "2 dead letters of 2 causes, 1 of them shown" in run("dead", "--limit", 1, spool.path).stdout
    assert run("dead", "--schema", "none", spool.path).stdout == "No dead letter matches.\n"


def test_a_long_message_is_cut_in_its_line_alone(spool: Spool) -> None:
    spool.file(letters=(letter("a", message="x" * 300),))

    assert f"{'x' * 120}… (400)  api_call" in run("dead", spool.path).stdout
    assert groups(spool)[0]["message"] == "x" * 300


def test_pending_events_are_of_no_group(spool: Spool) -> None:
    result = run("export", "--pending", "--group", "1a2b3c", spool.path)

    assert result.exit_code == 2
    assert "--group chooses dead letters" in result.stderr


def test_some_dead_letters_are_listed_and_all_counted(spool: Spool) -> None:
    spool.file(letters=(letter("a"), letter("b"), letter("c")))

    lines = run("ls", "--dead", "--limit", 2, spool.path).stdout.splitlines()

    assert [lines[0], lines[3], lines[-1]] == [
        "a  api_call for acme",
        "b  api_call for acme",
        "3 dead letters, 2 of them shown.",
    ]
    assert run("ls", "--dead", "--limit", 3, spool.path).stdout.endswith("\n3 dead letters.\n")


def test_a_time_of_today_is_told_without_its_day() -> None:
    now = 1_795_968_000_000  # 2026-11-29T16:00:00Z

    assert time_of(now - 3_600_000, now) == "15:00"
    assert time_of(now - 86_400_000, now) == "2026-11-28 16:00"
    assert time_of(10**18, now) == "?"
