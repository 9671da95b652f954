"""What the doctor finds in a spool."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from doctored import NOW, URL, Net, levels
from nobody import nobody
from spools import WELL

from togai_shipper.cli.doctor import spool_checks
from togai_shipper.cli.doctor.check import Check
from togai_shipper.cli.doctor.spool_checks import LITTLE_SPACE, unwritable
from togai_shipper.cli.doctor.world import World
from togai_shipper.cli.spool.files import ASIDE, DAMAGED, FileFacts


def spool(path: Path, world: World) -> list[Check]:
    return list(spool_checks.spool(str(path), URL, 2**30, world))


def test_a_spool_that_is_not_there_is_made_by_the_application(net: Net, tmp_path: Path) -> None:
    (check,) = spool(tmp_path / "a" / "b", net.world())

    assert (check.level, check.found) == (
        "ok",
        f"{tmp_path}/a/b does not exist yet: the application makes it",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told(net: Net) -> None:
    with nobody():
        (there,) = spool(Path("/"), net.world())
        (missing,) = spool(Path("/none"), net.world())

    assert (there.level, there.found) == ("fail", "/ cannot be written to: Permission denied")
    assert (missing.level, missing.found) == ("fail", "/none does not exist, and / cannot be written to")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Make room (df, df -i)"),
        (errno.EDQUOT, "Make room (df, df -i)"),
        (errno.EROFS, "Mount it so that it can be written to"),
        (errno.EACCES, "Does it belong to the user"),
    ],
)
def test_what_helps_is_told_by_what_the_disk_says(number: int, advice: str) -> None:
    check = unwritable(Path("/spool"), OSError(number, os.strerror(number)))

    assert (check.level, check.found) == ("fail", f"/spool cannot be written to: {os.strerror(number)}")
    assert check.advice.startswith(advice)


def test_a_file_in_its_place_is_told(net: Net, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    (file,) = spool(tmp_path / "file", net.world())
    (loop,) = spool(tmp_path / "loop", net.world())

    assert (file.level, file.found) == ("fail", f"{tmp_path}/file is a file, not a directory")
    assert (loop.level, loop.found) == (
        "fail",
        f"{tmp_path}/loop cannot be read: Too many levels of symbolic links",
    )


def test_a_network_file_system_is_told(net: Net, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text("server:/x / nfs4 rw 0 0\n")

    (check,) = spool(tmp_path, net.world(mounts=str(tmp_path / "mounts")))

    assert check.found == (
        f"{tmp_path}: is on nfs4, a file system that other hosts may share, where locks cannot be trusted"
    )


def test_a_directory_that_all_users_share_is_told(net: Net) -> None:
    (check,) = spool(Path("/tmp"), net.world())  # noqa: S108  nothing is made there

    assert check.level == "fail"
    assert check.found.endswith(": several users share it (its mode is 1777)")
    assert check.advice == "It is refused: choose a directory within it."


def test_where_others_write_our_own_directory_is_named(net: Net, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    tmp_path.chmod(0o775)
    ours = tmp_path / str(os.geteuid())
    ours.mkdir()

    found = [check.found for check in spool(tmp_path, net.world())]

    assert f"several users may write to it: ours is {ours}" in found


def test_a_spool_is_looked_through_and_left_as_it_was(net: Net, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "host-1-00000000.db").touch()

    found = spool(tmp_path, net.world(free=lambda path: 10))

    assert levels(iter(found)) == [
        ("ok", "spool"),
        ("warn", "spool mode"),
        ("fail", "disk"),
        ("ok", "spool"),
        ("warn", "damaged"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["host-1-00000000.db"]


def test_the_real_disk_is_asked(tmp_path: Path) -> None:
    assert World().free(tmp_path) >= 0


def test_whose_it_is_and_who_may_look_is_told() -> None:
    assert levels(spool_checks.permissions(0o40700, 7, 7, "/x")) == [("ok", "spool mode")]
    found = list(spool_checks.permissions(0o40750, 7, 8, "/x"))
    assert levels(iter(found)) == [("warn", "spool mode"), ("warn", "spool owner")]
    assert found[0].found == "is 750: other users can look into it"
    assert found[1].found == "is user 7, and you are user 8"


@pytest.mark.parametrize(
    ("free", "used", "level"),
    [(2**31, 0, "ok"), (2**29, 0, "warn"), (2**29, 2**30, "ok"), (LITTLE_SPACE - 1, 2**30, "fail")],
)
def test_room_is_wanted_for_what_may_come(free: int, used: int, level: str) -> None:
    assert spool_checks.space(free, used, 2**30).level == level


def file(**facts: Any) -> FileFacts:
    return FileFacts(**{"path": Path("/x/host-1-00000000.db"), "base_url": URL, **facts})


def told(*files: FileFacts) -> Mapping[str, str]:
    return {check.name: f"{check.found}. {check.advice}" for check in spool_checks.stranded(files, URL, "/x")}


def test_what_is_left_behind_is_told() -> None:
    assert told(file(owner=7, pending=5)) == {"spool": "5 events pending, 1 living process. "}
    assert told(file(owner=7), file(pending=5))["left behind"] == (
        "5 events of processes that are gone. A living process takes them over within two minutes."
    )
    assert told(file(pending=1))["left behind"] == (
        "1 event of processes that are gone. Start the application, or deliver them: togai-shipper drain /x"
    )


def test_what_is_for_another_server_is_told() -> None:
    assert told(
        file(owner=7, pending=5, base_url="https://a.example"), file(base_url="https://b.example")
    ) == {
        "spool": "5 events pending, 1 living process. ",
        "stranded": (
            f"5 events for https://a.example. They are not sent to {URL}: start an application with that"
            " base_url, or drain them to it."
        ),
    }
    assert "1 event for an unknown server" in told(file(pending=1, base_url=""))["stranded"]


def test_dead_letters_and_files_that_cannot_be_used_are_told() -> None:
    found = told(
        file(dead={"rejected": 2}), file(state=DAMAGED, why="holds nothing"), file(state=ASIDE, why="damaged")
    )

    assert found["dead letters"] == "2. See why: togai-shipper spool dead /x"
    assert found["damaged"] == "host-1-00000000.db: holds nothing. See: togai-shipper spool verify /x"
    assert found["set aside"] == "host-1-00000000.db: damaged. Look into it, then remove it."


@pytest.mark.parametrize(
    ("report", "level"),
    [
        ({"state": "parked", "is_by_key": True}, "fail"),
        ({"is_refusing": True}, "fail"),
        ({"is_durable": False}, "fail"),
        ({"is_healthy": False}, "warn"),
        ({"pending": 1, "oldest_ms": int(NOW * 1000) - 400_000}, "warn"),
    ],
)
def test_what_a_living_process_says_of_itself_is_judged(report: dict[str, Any], level: str) -> None:
    said = attrs.evolve(WELL, at_ms=int(NOW * 1000), **report)
    facts = FileFacts(path=Path("/s/a.db"), owner=7, report=said)

    (check,) = spool_checks.processes([facts], "/s", int(NOW * 1000))

    assert (check.level, check.name) == (level, "process")
    assert check.found.startswith("pid 7 ")
    assert "togai-shipper " in check.advice


def test_a_process_that_is_well_or_gone_has_no_line_and_one_that_says_nothing_has() -> None:
    well = FileFacts(path=Path("/s/a.db"), owner=7, report=WELL)
    gone = FileFacts(path=Path("/s/b.db"), report=attrs.evolve(WELL, state="parked"), pending=3)
    older = FileFacts(path=Path("/s/c.db"), owner=8, version="0.1.0")

    (check,) = spool_checks.processes([well, gone, older], "/s", int(NOW * 1000))

    assert (check.level, check.found) == (
        "ok",
        "pid 8 says nothing of itself: an older version (0.1.0)",
    )
