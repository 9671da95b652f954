"""The argument DIR of ``togai-shipper spool``: what can be a spool, and what cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from nobody import nobody
from spools import Spool, run

from togai_shipper.cli.app import cli
from togai_shipper.cli.spool.directory import open_folder, why_not_written
from togai_shipper.cli.top.command import Pause

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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
def test_a_directory_that_another_user_keeps_from_us_is_told_with_who_may_read_it(
    place_for_all: Path,
) -> None:
    (place_for_all / "spool").mkdir(0o700)
    (place_for_all / "host-1-00000000.db").touch()
    place_for_all.chmod(0o744)

    with nobody():
        with pytest.raises(click.ClickException, match=r"host-1-00000000\.db: Permission denied"):
            open_folder(str(place_for_all))
        with pytest.raises(click.ClickException, match="cannot be read: Permission denied"):
            open_folder(str(place_for_all / "spool"))
    place_for_all.chmod(0o755)
    with nobody(), pytest.raises(click.ClickException, match="it belongs to user 0; run as user 0"):
        open_folder(str(place_for_all / "spool"))


def test_a_network_file_system_is_told(tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("server:/x / nfs4 rw 0 0\n")

    with pytest.raises(click.ClickException, match="is on nfs4, a file system that other hosts may share"):
        open_folder(str(tmp_path), str(tmp_path / "mounts"))


def test_the_directory_may_come_from_the_environment(spool: Spool) -> None:
    spool.file("a")

    result = CliRunner().invoke(cli, ["spool", "show", "a"], env={"TOGAI_SPOOL": str(spool.path)})

    assert result.exit_code == 0
    assert "a is pending" in result.stdout
    assert CliRunner().invoke(cli, ["spool", "ls"], env={"TOGAI_SPOOL": ""}).exit_code == 2


@pytest.mark.parametrize(
    "url",
    ["redis:/u:sesame@host", "redis//u:sesame@host", "redis+sentinel://u:sesame@h/1", " redis://u:sesame@h"],
)
def test_a_relay_s_url_that_is_spelled_wrong_is_told_without_its_password(url: str) -> None:
    result = run("ls", Path(url))

    assert result.exit_code == 1
    assert "no relay's URL" in result.stderr
    assert "sesame" not in result.output


def test_a_directory_that_cannot_be_written_to_says_what_is_not_seen_in_it(spool: Spool) -> None:
    spool.file("a")
    folder = open_folder(str(spool.path))

    assert why_not_written(folder) == []
    text, command = why_not_written(folder, lambda _: False)

    assert f"{spool.path} cannot be written to: this user may not. A process for which that is so" in text
    assert command == f"  togai-shipper doctor --spool {spool.path}"


def test_where_the_disk_is_full_what_is_said_may_be_old(spool: Spool) -> None:
    spool.file("a")
    folder = open_folder(str(spool.path))

    text, command = why_not_written(folder, free=lambda _: 4096)

    assert text.startswith(f"{spool.path}: no room is left on its disk. New events are in memory alone")
    assert command == f"  togai-shipper doctor --spool {spool.path}"


def test_a_directory_that_no_process_can_use_is_told_where_nothing_lies_in_it(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)

    text = run("ls", place).stdout

    assert f"{place}: no spool file is here." in text
    assert f"{place} cannot be a spool for this user: several users share it" in text
    assert f"togai-shipper doctor --spool {place}" in text


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("command", [["spool", "ls"], ["top", "--once"]])
def test_on_a_read_only_file_system_all_is_shown_that_can_be_read(
    spool: Spool, tmp_path: Path, command: list[str]
) -> None:
    gone, place = spool.file("a", "b"), tmp_path / "seen"
    place.mkdir()
    subprocess.run(["/bin/mount", "--bind", spool.path, place], check=True)
    try:
        subprocess.run(["/bin/mount", "-o", "remount,bind,ro", place], check=True)
        pause = Pause(lambda: 0.0, lambda stop, seconds: False)
        result = CliRunner().invoke(cli, [*command, str(place)], obj=pause)
    finally:
        subprocess.run(["/bin/umount", place], check=True)

    assert result.exit_code == 0
    assert gone.path.name[-12:] in result.stdout
    assert "unreadable" not in result.stdout
    assert "cannot be written to: its file system is read-only" in result.stdout
