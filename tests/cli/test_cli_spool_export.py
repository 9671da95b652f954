"""``togai-shipper spool export``, as an operator runs it."""

from __future__ import annotations

import json
from pathlib import Path

from spools import Spool, letter, run

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
