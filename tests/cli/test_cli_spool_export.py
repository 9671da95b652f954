"""``togai-shipper spool export``, as an operator runs it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from spools import Spool, event, letter, run

from togai_shipper.cli.spool.events import EventReader
from togai_shipper.cli.spool.files import read_files
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.rows import CORRUPT


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


def test_a_file_that_vanishes_while_it_is_read_is_told_and_no_longer_listed(spool: Spool) -> None:
    class Vanishing(Folder):
        def paths(self) -> list[Path]:
            return [vanished, *super().paths()]

    claim = spool.file(letters=(letter("a"),))
    vanished = claim.path.with_name("host-1-00000000.db")
    reader = EventReader(Vanishing(str(spool.path)))

    assert [event.id for event in reader.dead()] == ["a"]
    assert reader.problems == [
        f"{vanished}: has disappeared; another process may have taken over what was in it"
    ]
    assert [facts.path for facts in read_files(Vanishing(str(spool.path)))] == [claim.path]


def on_a_terminal(spool: Spool) -> bytes:
    """What a terminal is given for an export."""
    shown, terminal = pty.openpty()
    command = [sys.executable, "-m", "togai_shipper", "spool", "export", str(spool.path)]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(terminal)
    assert b"1 event written to standard output." in done.stderr
    text = os.read(shown, 10_000)
    os.close(shown)
    return text


def test_a_terminal_gets_what_is_printable_and_a_pipe_the_bytes(spool: Spool) -> None:
    body = event("a").replace(b"acme", "acme \u202e\u200b".encode())
    dead = letter("a", body=body)
    spool.file(letters=(dead,))

    assert run("export", spool.path).stdout_bytes == dead.body + b"\n"
    assert on_a_terminal(spool) == body.replace("\u202e\u200b".encode(), b"  ") + b"\r\n"


@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">/dev/full", "cannot be written: No space left on device"), (">&-", "standard output is closed")],
)
def test_a_standard_output_that_takes_nothing_is_told(spool: Spool, redirection: str, why: str) -> None:
    spool.file(letters=(letter("a"),))
    command = f'exec "$0" -m togai_shipper spool export "$1" {redirection}'

    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, spool.path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: standard output")
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(spool: Spool) -> None:
    spool.file(letters=(letter("a"),))
    read, write = os.pipe()
    os.close(read)

    command = [sys.executable, "-m", "togai_shipper", "spool", "export", str(spool.path)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)

    assert (done.returncode, done.stderr) == (1, b"")
