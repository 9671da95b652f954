"""``togai-shipper spool ls``, ``show`` and ``verify``, as an operator runs them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
from spools import URL, WELL, Spool, event, letter, run

from togai_shipper.cli.formats import now_ms
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.rows import CORRUPT, PAST_WINDOW

# --- ls ---------------------------------------------------------------------------------------------------


def test_each_file_is_listed_with_its_owner_and_what_waits(spool: Spool) -> None:
    alive = spool.file("a", owned=True)
    orphan = spool.file("b", "c", letters=(letter("d"), letter("e"), letter("f", PAST_WINDOW)))

    result = run("ls", spool.path)

    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    text = " ".join(result.stdout.split())
    assert rows[0] == ["file", "owner", "pending", "oldest", "dead", "disk", "state"]
    assert f"pid {os.getpid()} 1 3 h 0" in text
    assert "none 2 3 h 3" in text
    assert "2 files 3 3 h 3" in text
    assert (
        "Dead letters: 2 rejected, 1 past dedupe window; times are UTC. 2 no such schema (400) api_call"
        in text
    )
    assert f"togai-shipper spool dead {spool.path}" in result.stdout
    assert "2 events are in files whose process is gone." in text
    assert f"togai-shipper drain {spool.path}" in result.stdout
    assert f"Events go to {URL}." in text
    assert {alive.path.name, orphan.path.name} <= set(
        re.findall(r"\S+\.db", re.sub(r"\n(?=\S*\.db)", "", text))
    )
    alive.release()


def test_a_living_process_in_trouble_is_told_with_the_next_command(spool: Spool) -> None:
    parked = attrs.evolve(
        WELL,
        at_ms=now_ms(),
        since_ms=now_ms() - 720_000,
        state="parked",
        why="parked: no such key",
        pending=1,
    )
    alive = spool.file("a", owned=True, report=parked)

    result = run("ls", spool.path)
    (facts,) = json.loads(run("ls", "--json", spool.path).stdout)["files"]
    alive.release()

    assert result.stdout.splitlines()[1].split()[-1] == "parked"
    assert f"pid {os.getpid()} is parked for 12 min: no such key; 1 event waits" in result.stdout
    assert "togai-shipper doctor --check-key" in result.stdout
    assert (facts["state"], facts["process"]["standing"]) == ("ok", "parked")


def test_of_a_process_that_hands_over_the_relay_is_told_too(spool: Spool) -> None:
    relay = attrs.evolve(WELL, relay="redis://***@redis.internal:6379")
    alive, gone = spool.file(owned=True, report=relay), spool.file("a", report=relay)

    text = " ".join(run("ls", spool.path).stdout.split())
    (first, second) = json.loads(run("ls", "--json", spool.path).stdout)["files"]
    alive.release()

    assert (
        f"To the relay redis://***@redis.internal:6379, and from there to {URL}: {alive.path.name}." in text
    )
    assert f"To {URL}: {gone.path.name}." in text, "who takes it over may have no relay"
    assert {first["relay"], second["relay"]} == {None, "redis://***@redis.internal:6379"}


def test_a_process_of_an_older_version_says_nothing_of_itself(spool: Spool) -> None:
    alive = spool.file(owned=True, report=None)
    spool.file("a", report=attrs.evolve(WELL, state="closed", why="no reply: refused"))

    result = run("ls", spool.path)
    facts = json.loads(run("ls", "--json", spool.path).stdout)["files"]
    alive.release()

    assert "says nothing of itself: an older version." in result.stdout
    assert "What such a process has said last: no reply: refused." in result.stdout
    assert [each["process"] and each["process"]["standing"] for each in facts] == ["unknown", None]


def test_looking_changes_no_file_and_takes_none(spool: Spool) -> None:
    orphan = spool.file("a", letters=(letter("b"),))
    before = orphan.path.read_bytes()

    for command in (["ls"], ["show", "x"], ["export"], ["verify"]):
        run(*command, spool.path)

    assert orphan.path.read_bytes() == before
    assert Folder(str(spool.path)).owner(orphan.path) is None


def test_files_that_cannot_be_used_are_listed_with_what_becomes_of_them(spool: Spool) -> None:
    newer, foreign, empty, garbage, aside = (spool.file("a") for _ in range(5))
    spool.damage(newer, "PRAGMA user_version = 3")
    foreign.path.unlink()
    spool.damage(foreign, "CREATE TABLE theirs (x)")
    empty.path.write_bytes(b"")
    garbage.path.write_bytes(b"garbage" * 1000)
    claim = Folder(str(spool.path)).claim(aside.path)
    assert claim is not None
    claim.set_aside(1)
    lock = garbage.path.with_suffix(".lock")
    lock.unlink()
    lock.symlink_to(lock)

    text = run("ls", spool.path).stdout

    assert (
        f"{newer.path.name}: its format is 3, of a newer version; this one reads 2. It is left alone." in text
    )
    assert f"{foreign.path.name}: is an SQLite file, but no spool. It is left alone." in text
    assert (
        f"{empty.path.name}: holds nothing; what was in it, or in its -wal, is gone. The next process" in text
    )
    assert f"{lock}: is no regular file. It is not opened from here, nor sent." in text
    assert f"{aside.path.name}.corrupt-1: an earlier process found it damaged" in text
    assert [f["state"] for f in json.loads(run("ls", "--json", spool.path).stdout)["files"]].count(
        "damaged"
    ) == 1


def test_of_very_many_files_those_that_are_not_well_are_listed_and_the_others_counted(spool: Spool) -> None:
    files = [spool.file("a").path.name for _ in range(3)]
    damaged = spool.file("a")
    damaged.path.write_bytes(b"garbage" * 1000)

    result = run("ls", "--limit", 2, spool.path)
    table, remarks = result.stdout.split("more files: ")

    assert damaged.path.name in table
    assert sum(name in table for name in files) == 1
    assert remarks.startswith("2 gone. To list them: --limit 4, or --json.\n")
    assert "3 events are in files whose process is gone" in remarks
    assert len(json.loads(run("ls", "--json", "--limit", 2, spool.path).stdout)["files"]) == 4


def test_an_empty_directory_says_so(spool: Spool) -> None:
    assert run("ls", spool.path).stdout == f"{spool.path}: no spool file is here.\n"
    assert json.loads(run("ls", "--json", spool.path).stdout)["totals"]["pending"] == 0
    assert run("verify", spool.path).stdout == f"{spool.path}: no spool file is here.\n"
    assert run("replay", spool.path).stdout == "No dead letter matches.\n"


def test_one_stranded_event_is_one_and_each_url_is_named_with_its_files(spool: Spool) -> None:
    here = spool.file("a")
    there = spool.file(url="https://sandbox-api.togai.com")

    text = run("ls", spool.path).stdout

    assert "1 event is in files whose process is gone." in " ".join(text.split())
    assert f"To {URL}: {here.path.name}." in text
    assert f"To https://sandbox-api.togai.com: {there.path.name}." in text


def test_a_program_reads_the_same(spool: Spool) -> None:
    orphan = spool.file("a", letters=(letter("b"),))

    facts = json.loads(run("ls", "--json", spool.path).stdout)

    (file,) = facts["files"]
    assert file["path"] == str(orphan.path)
    assert (file["state"], file["owner_alive"], file["owner_pid"]) == ("ok", False, None)
    assert (file["pending"], file["dead_by_reason"], file["base_url"]) == (1, {"rejected": 1}, URL)
    assert facts["totals"]["disk_bytes"] == file["disk_bytes"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", file["oldest"])


def test_dead_letters_are_listed_with_why(spool: Spool) -> None:
    spool.file(letters=(letter("a", days=2), letter("b", PAST_WINDOW, 41, status=None, message="")))
    spool.file(letters=(letter("c", "corrupt", body=b"\xff", message="line\nforged \x1b[31m"),))

    result = run("ls", "--dead", spool.path)

    assert result.exit_code == 0
    undated = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, ", "", result.stdout)
    assert undated.count("\n") == result.stdout.count("Z, ") + 7
    assert undated.splitlines() == [
        "a  api_call for acme",
        "  rejected (400), 2 d ago",
        "  no such schema",
        "b  api_call for acme",
        "  past dedupe window, 41 d ago",
        "c  what it was cannot be read",
        "  corrupt (400), 0 s ago",
        "  line forged  [31m",
        "",
        "3 dead letters.",
    ]
    (line,) = run("ls", "--dead", "--json", "--id", "a", spool.path).stdout.splitlines()
    assert {k: v for k, v in json.loads(line).items() if k not in ("accepted", "dead_since", "file")} == {
        "id": "a",
        "state": "dead",
        "schema_name": "api_call",
        "account_id": "acme",
        "number": 1,
        "reason": "rejected",
        "status": 400,
        "message": "no such schema",
        "attempts": 3,
    }
    assert run("ls", "--dead", "--id", "z", spool.path).stdout == "No dead letter matches.\n"


def test_what_chooses_dead_letters_needs_dead(spool: Spool) -> None:
    result = run("ls", "--schema", "x", spool.path)

    assert result.exit_code == 2
    assert "add --dead" in result.stderr


# --- show -------------------------------------------------------------------------------------------------


def test_a_pending_event_is_shown_with_its_place(spool: Spool) -> None:
    claim = spool.file("a", "b", owned=True)

    result = run("show", "b", spool.path)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "b is pending: it will be sent"
    assert f"  file      {claim.path}, number 2" in lines
    assert json.loads("\n".join(lines[lines.index("{") :])) == json.loads(event("b")) | {
        "timestamp": json.loads("\n".join(lines[lines.index("{") :]))["timestamp"]
    }
    facts = json.loads(run("show", "--json", "b", spool.path).stdout)
    assert (facts["state"], facts["number"], facts["event"]["id"]) == ("pending", 2, "b")
    claim.release()


def test_an_id_of_any_letters_is_found(spool: Spool) -> None:
    spool.file('"ü"\n', "a")

    assert run("show", '"ü"\n', spool.path).exit_code == 0
    assert run("show", "acme", spool.path).exit_code == 1  # which is in a body, but is no id


def test_a_dead_one_is_shown_with_why(spool: Spool) -> None:
    spool.file("other", letters=(letter("a", days=2),))

    lines = run("show", "a", spool.path).stdout.splitlines()

    assert lines[0] == "a is dead: rejected"
    assert lines[1:4] == ["  status    400", "  message   no such schema", "  requests  3"]
    assert lines[5].endswith("Z, 2 d ago")
    (line,) = run("show", "--json", "a", spool.path).stdout.splitlines()
    assert json.loads(line)["event"]["id"] == "a"


def test_a_damaged_one_is_shown_as_what_is_left(spool: Spool) -> None:
    spool.file(letters=(letter("a", CORRUPT, status=None), letter("b", CORRUPT, body=b'{"id":\xff')))

    assert "  What follows is damaged: it is not what was accepted.\n{" in run("show", "a", spool.path).stdout
    assert """  remains   b'{"id":\\xff'""" in run("show", "b", spool.path).stdout
    assert json.loads(run("show", "--json", "b", spool.path).stdout)["event"] is None


def test_an_event_that_is_nowhere_is_told_with_what_could_not_be_read(spool: Spool) -> None:
    claim = spool.file("a")
    claim.path.write_bytes(b"")

    result = run("show", "z", spool.path)

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Error: {claim.path}: holds nothing; what was in it, or in its -wal, is gone",
        f"Error: {spool.path}: no event 'z' is here",
    ]


# --- verify -----------------------------------------------------------------------------------------------


def test_what_is_whole_is_told_so(spool: Spool) -> None:
    claim = spool.file("a", letters=(letter("b"), letter("c")), owned=True)

    result = run("verify", spool.path)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"ok       {claim.path.name}: 1 pending event, 2 dead letters",
        "",
        "1 file checked: all is whole.",
    ]
    assert json.loads(run("verify", "--json", spool.path).stdout) == {
        "path": str(claim.path),
        "ok": True,
        "pending": 1,
        "dead": 2,
        "problems": [],
    }
    claim.release()


def test_what_is_damaged_is_named(spool: Spool) -> None:
    claim = spool.file("a", "b", "c", letters=(letter("d"), letter("e"), letter("f")))
    spool.damage(claim, "UPDATE event SET body = x'7b7d' WHERE seq = 2")
    spool.damage(claim, "UPDATE dead SET body = x'7b7d' WHERE number < 3")
    garbage = spool.file("a")
    garbage.path.write_bytes(b"garbage" * 1000)
    os.utime(garbage.path, (1, 1))

    result = run("verify", spool.path)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[:5] == [
        f"PROBLEM  {garbage.path.name}",
        "         file is not a database",
        f"PROBLEM  {claim.path.name}: 2 pending events, 1 dead letter",
        "         1 pending event is damaged (wrong checksum, or no event); it is not sent",
        "         2 dead letters are damaged (wrong checksums, or no events); they are not replayed",
    ]
    assert "2 files checked, 2 with a problem." in result.stdout


def test_what_sqlite_finds_is_told_but_not_all_of_it(spool: Spool) -> None:
    claim = spool.file("a", letters=tuple(letter(f"needle{n}") for n in range(9)))
    before, found, index = claim.path.read_bytes().rpartition(b"needle8")  # the index is behind the table
    claim.path.write_bytes(
        before[:-600] + (before[-600:] + found + index[:600]).replace(b"needle", b"noodle") + index[600:]
    )

    result = run("verify", spool.path)

    assert result.exit_code == 1
    assert result.stdout.count("SQLite: ") == 6
    assert re.search(r"SQLite: and \d+ more", result.stdout)


def test_a_wal_that_is_missing_is_told(spool: Spool) -> None:
    claim = spool.file("a")
    Path(f"{claim.path}-shm").touch()

    result = run("verify", spool.path)

    assert "its -wal file is missing, though its -shm file is there" in result.stdout


def test_verify_does_not_open_what_is_no_file(spool: Spool) -> None:
    os.mkfifo(spool.path / "host-1-deadbeef.db")
    result = run("verify", spool.path)
    assert result.exit_code == 1
    assert result.stdout.startswith("PROBLEM  host-1-deadbeef.db\n")


def test_a_file_that_another_program_keeps_to_itself_is_told(spool: Spool) -> None:
    claim = spool.file("a")
    other = sqlite3.connect(claim.path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with closing(other):
        (file,) = json.loads(run("ls", "--json", spool.path).stdout)["files"]

    assert (file["state"], file["why"]) == (
        "unreadable",
        "another program has locked it (database is locked)",
    )
