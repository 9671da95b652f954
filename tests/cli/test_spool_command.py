"""``togai-shipper spool``, as an operator runs it."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import CliRunner

from togai_shipper import Event
from togai_shipper.cli.app import cli
from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.spool.change_request import WaitClock
from togai_shipper.cli.spool.directory import open_folder
from togai_shipper.cli.spool.events import StoredEvent
from togai_shipper.cli.spool.selection import Selection
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Claim, Folder
from togai_shipper.spool.requests import asked
from togai_shipper.spool.rows import CORRUPT, PAST_WINDOW, DeadLetter

DAY = 86_400_000  # milliseconds
URL = "https://api.togai.com"


def run(*arguments: object, stdin: str = "", obj: Any = None) -> Any:
    return CliRunner().invoke(cli, ["spool", *map(str, arguments)], input=stdin, obj=obj)


def event(name: str, account: str = "acme", schema: str = "api_call") -> bytes:
    return Event(schema, account, {"count": 1}, {"region": "eu"}, id=name).encode()


def letter(name: str, reason: str = "rejected", days: float = 0, **facts: Any) -> DeadLetter:
    then = now_ms() - int(days * DAY)
    made = DeadLetter(name, then, event(name), reason, 400, "no such schema", 3, then)
    return attrs.evolve(made, **facts)


@attrs.define
class Spool:
    """A directory, and what processes leave in it."""

    path: Path

    def file(
        self, *pending: str, letters: tuple[DeadLetter, ...] = (), url: str = URL, owned: bool = False
    ) -> Claim:
        claim = Folder(str(self.path)).new()
        file = SpoolFile.create(claim.path, {"base_url": url})
        file.append([(now_ms() - 3 * 3_600_000, False, event(name)) for name in pending])
        file.bury(letters)
        file.close()
        if not owned:
            claim.release()
        return claim

    def damage(self, claim: Claim, statement: str) -> None:
        connection = sqlite3.connect(claim.path)
        with connection:
            connection.execute(statement)
        connection.close()

    def ids(self) -> tuple[set[str], set[str]]:
        """Those pending, and those dead."""
        lines = run("export", "--pending", self.path).stdout.splitlines()
        dead = run("ls", "--dead", "--json", self.path).stdout.splitlines()
        return {json.loads(line)["id"] for line in lines}, {json.loads(line)["id"] for line in dead}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    folder = tmp_path / "spool"
    folder.mkdir()
    return Spool(folder)


# --- the directory ----------------------------------------------------------------------------------------

COMMANDS: list[list[str]] = [["ls"], ["show", "x"], ["replay"], ["export"], ["purge", "--all"], ["verify"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_directory_that_is_not_there_is_told_in_one_line_and_not_made(
    tmp_path: Path, command: list[str]
) -> None:
    place = tmp_path / "none"

    result = run(*command, place)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: {place}: does not exist\n")
    assert not place.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path, command: list[str]) -> None:
    place = tmp_path / "file"
    place.touch()

    result = run(*command, place)

    assert (result.exit_code, result.stderr) == (1, f"Error: {place}: is a file, not a directory\n")


def test_a_directory_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    result = run("ls", tmp_path / "loop")

    assert "cannot be read: Too many levels" in result.stderr


def test_a_network_file_system_is_told(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("server:/x / nfs4 rw 0 0\n")

    with pytest.raises(click.ClickException, match=r"network file system \(nfs4\)"):
        open_folder(str(tmp_path), str(tmp_path / "mounts"))


def test_the_directory_may_come_from_the_environment(spool: Spool) -> None:
    spool.file("a")

    result = CliRunner().invoke(cli, ["spool", "show", "a"], env={"TOGAI_SPOOL": str(spool.path)})

    assert result.exit_code == 0
    assert "a is pending" in result.stdout
    assert CliRunner().invoke(cli, ["spool", "ls"], env={"TOGAI_SPOOL": ""}).exit_code == 2


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
    assert "Dead letters: 2 rejected, 1 past dedupe window." in text
    assert f"togai-shipper spool ls --dead {spool.path}" in result.stdout
    assert "2 events are in files whose process is gone." in text
    assert f"togai-shipper drain {spool.path}" in result.stdout
    assert f"Events go to {URL}." in text
    assert {alive.path.name, orphan.path.name} <= set(
        re.findall(r"\S+\.db", re.sub(r"\n(?=\S*\.db)", "", text))
    )
    alive.release()


def test_looking_changes_no_file_and_takes_none(spool: Spool) -> None:
    orphan = spool.file("a", letters=(letter("b"),))
    before = orphan.path.read_bytes()

    for command in COMMANDS[:2] + COMMANDS[3:4] + COMMANDS[5:]:
        run(*command, spool.path)

    assert orphan.path.read_bytes() == before
    assert Folder(str(spool.path)).owner(orphan.path) is None


def test_files_that_cannot_be_used_are_listed_with_what_becomes_of_them(spool: Spool) -> None:
    newer, foreign, empty, garbage, aside = (spool.file("a") for _ in range(5))
    spool.damage(newer, "PRAGMA user_version = 2")
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
        f"{newer.path.name}: its format is 2, of a newer version; this one reads 1. It is left alone." in text
    )
    assert f"{foreign.path.name}: is an SQLite file, but no spool. It is left alone." in text
    assert (
        f"{empty.path.name}: holds nothing; what was in it, or in its -wal, is gone. The next process" in text
    )
    assert f"{lock}: Too many levels of symbolic links. Are you allowed to read it?" in text
    assert f"{aside.path.name}.corrupt-1: an earlier process found it damaged" in text
    assert [f["state"] for f in json.loads(run("ls", "--json", spool.path).stdout)["files"]].count(
        "damaged"
    ) == 1


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
    assert result.stdout.splitlines() == [
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


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({}, True),
        ({"ids": ["a", "b"]}, True),
        ({"ids": ["b"]}, False),
        ({"reasons": ["rejected"]}, True),
        ({"reasons": [PAST_WINDOW]}, False),
        ({"schemas": ["api_call"], "accounts": ["acme"]}, True),
        ({"schemas": ["other"]}, False),
        ({"accounts": ["other"]}, False),
        ({"older_than": 86_400.0}, True),
        ({"older_than": 86_400.1}, False),
        ({"newer_than": 86_400.1}, True),
        ({"newer_than": 86_400.0}, False),
    ],
)
def test_an_event_fits_each_of_what_is_given(given: dict[str, Any], fits: bool) -> None:  # noqa: FBT001  a row's column
    dead = letter("a", dead_ms=10 * DAY)

    assert Selection(**given).takes(StoredEvent(Path(), 1, dead.body, 5 * DAY, dead), 11 * DAY) is fits


def test_a_pending_event_is_dead_for_no_reason() -> None:
    stored = StoredEvent(Path(), 1, event("a"), 10 * DAY)

    assert not Selection(reasons=["rejected"]).takes(stored, 11 * DAY)
    assert Selection(ids=["a"], older_than=86_400).takes(stored, 11 * DAY)
    assert StoredEvent(Path(), 1, b"[]", 0).id == ""


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
        "         1 pending event is damaged (wrong checksum); it is not sent",
        "         2 dead letters are damaged (wrong checksums); they are not replayed",
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


# --- replay -----------------------------------------------------------------------------------------------


def test_dead_letters_are_pending_again(spool: Spool) -> None:
    spool.file("a", letters=(letter("b"), letter("c", days=39)))

    result = run("replay", spool.path)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2 dead letters are pending again.",
        "2 of them in files without an owner: the next process that starts sends them, or this:",
        f"  togai-shipper drain {spool.path}",
    ]
    assert spool.ids() == ({"a", "b", "c"}, set())


def test_only_those_that_fit_are_replayed(spool: Spool) -> None:
    spool.file(letters=(letter("a"), letter("b"), letter("c", days=3)))

    result = run("replay", "--json", "--id", "a", "--id", "c", "--newer-than", "2d", spool.path)

    facts = json.loads(result.stdout)
    assert (facts["replayed"], facts["asked"], facts["failed"], facts["left"]) == (1, 0, 0, {})
    assert spool.ids() == ({"a"}, {"b", "c"})


def test_what_togai_may_bill_twice_or_is_damaged_is_left(spool: Spool) -> None:
    old, expired, corrupt = letter("a", days=41), letter("b", PAST_WINDOW), letter("c", CORRUPT)
    spool.file(letters=(old, expired, corrupt, letter("d")))

    result = run("replay", spool.path)

    assert "1 dead letter is pending again.\n2 left: accepted over 40 days ago." in result.stdout
    assert "1 left: damaged on disk (reason corrupt); these are never sent." in result.stdout
    assert spool.ids() == ({"d"}, {"a", "b", "c"})
    assert json.loads(run("replay", "--json", spool.path).stdout)["left"] == {
        "past dedupe window": 2,
        "damaged": 1,
    }

    run("replay", "--past-dedupe-window", spool.path)

    assert spool.ids() == ({"a", "b", "d"}, {"c"})


def owner_that(does: Callable[[], object]) -> WaitClock:
    """Time that passes at once; meanwhile a process does what it does."""
    now = 0.0

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds
        does()

    return WaitClock(lambda: now, pause)


def heed(claim: Claim) -> None:
    file = SpoolFile.open(claim.path)
    for request in asked(claim.path):
        (file.purge if request.what == "purge" else lambda numbers: file.replay(numbers, 1))(request.numbers)
        request.path.unlink()
    file.close()


def test_the_process_that_has_a_file_replays_it(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),), owned=True)

    result = run("replay", spool.path, obj=owner_that(lambda: heed(claim)))

    assert result.stdout == "1 dead letter is pending again.\n"
    assert spool.ids() == ({"a"}, set())
    claim.release()


def test_a_process_that_is_busy_is_told_of(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),), owned=True)

    result = run("replay", spool.path, obj=owner_that(lambda: None))

    assert result.exit_code == 0
    assert result.stdout == (
        f"{claim.path.name}: 1 dead letter: its process (pid {os.getpid()}) has been asked,"
        " and will do it later.\n"
    )
    assert json.loads(run("replay", "--json", spool.path, obj=owner_that(lambda: None)).stdout)["asked"] == 1
    claim.release()


def test_what_is_gone_or_fails_is_exit_status_1(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),), owned=True)

    result = run("replay", spool.path, obj=owner_that(claim.unlink))

    assert result.exit_code == 1
    assert "has disappeared, with 1 dead letter" in result.stdout

    other = spool.file(letters=(letter("a"),))
    spool.damage(other, "CREATE TRIGGER no BEFORE DELETE ON dead BEGIN SELECT raise(ABORT, 'no'); END")
    result = run("replay", spool.path)

    assert result.exit_code == 1
    assert f"{other.path.name}: 1 dead letter unchanged: no\n" in result.stdout


# --- purge ------------------------------------------------------------------------------------------------


def test_purge_asks_first(spool: Spool) -> None:
    spool.file("p", letters=(letter("a"), letter("b", PAST_WINDOW)))

    result = run("purge", "--all", spool.path, stdin="n\n")

    assert result.exit_code == 1
    assert "Delete 2 dead letters for ever (1 rejected, 1 past dedupe window)? [y/N]" in result.stderr
    assert spool.ids() == ({"p"}, {"a", "b"})

    result = run("purge", "--reason", "rejected", spool.path, stdin="y\n")

    assert (result.exit_code, result.stdout) == (0, "1 dead letter is deleted.\n")
    assert spool.ids() == ({"p"}, {"b"})

    result = run("purge", "--all", "--yes", "--json", spool.path)

    assert json.loads(result.stdout)["purged"] == 1
    assert spool.ids() == ({"p"}, set())


def test_purge_does_nothing_that_is_not_chosen(spool: Spool) -> None:
    spool.file(letters=(letter("a"),))

    result = run("purge", "--yes", spool.path)

    assert result.exit_code == 2
    assert "or every dead letter with --all" in result.stderr
    assert run("purge", "--id", "z", spool.path).stdout == "No dead letter matches.\n"
    assert spool.ids() == (set(), {"a"})


# --- export -----------------------------------------------------------------------------------------------


def test_dead_letters_are_written_as_they_go_to_togai(spool: Spool) -> None:
    dead = letter("a"), letter("b", days=41), letter("c", CORRUPT)
    spool.file("p", letters=dead)

    result = run("export", spool.path)

    assert result.exit_code == 0
    assert result.stdout_bytes == dead[0].body + b"\n" + dead[1].body + b"\n"
    assert result.stderr.splitlines() == [
        "2 events written to standard output.",
        (
            "1 of them were accepted over 40 days ago: if Togai has them, sending them again may bill them"
            " twice."
        ),
        "1 damaged on disk, and left out.",
    ]
    assert spool.ids() == ({"p"}, {"a", "b", "c"})


def test_what_is_pending_can_be_written_too_but_no_damaged_event(spool: Spool) -> None:
    claim = spool.file("a", "b", "c")
    spool.damage(claim, "UPDATE event SET body = x'7b7d' WHERE seq = 2")

    result = run("export", "--pending", "--account", "acme", spool.path)

    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["a", "c"]
    assert result.exit_code == 1
    assert f"Error: {claim.path}: skipped 1 damaged pending event\n" in result.stderr
    assert run("export", "--pending", "--reason", "rejected", spool.path).exit_code == 2


def test_a_file_is_written_whole_for_its_owner_alone_and_over_no_other(spool: Spool, tmp_path: Path) -> None:
    spool.file(letters=(letter("a"),))
    output = tmp_path / "out.ndjson"

    result = run("export", "--output", output, spool.path)

    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(output.read_text())["id"] == "a"
    assert output.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"spool", "out.ndjson"}

    result = run("export", "--output", output, spool.path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: {output}: already exists, and is not overwritten\n",
    )
    result = run("export", "--output", tmp_path / "none" / "x", spool.path)
    assert result.stderr == f"Error: {tmp_path}/none/x: cannot be written: No such file or directory\n"


def test_a_file_that_vanishes_while_it_is_read_is_told(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),))
    vanished = claim.path.with_name("host-1-00000000.db")
    vanished.symlink_to(spool.path / "gone")

    result = run("ls", "--dead", spool.path)

    assert result.exit_code == 1
    assert f"Error: {vanished}: has disappeared; another process may have taken over" in result.stderr
    assert "a  api_call for acme" in result.stdout
    assert [Path(facts["path"]) for facts in json.loads(run("ls", "--json", spool.path).stdout)["files"]] == [
        claim.path
    ]
