"""``spool.folder``: the directory itself, and on which file system it may be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nobody import nobody

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.folder import Folder, filesystem_of


def test_it_is_made_for_its_owner_alone_with_those_above_it(tmp_path: Path) -> None:
    Folder(str(tmp_path / "a" / "b")).prepare()

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_one_that_is_there_is_taken(tmp_path: Path) -> None:
    Folder(str(tmp_path)).prepare()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    place = tmp_path / "spool"
    place.write_text("")

    with pytest.raises(SpoolError, match=f"{place}: is a file, not a directory"):
        Folder(str(place)).prepare()
    with pytest.raises(SpoolError, match=f"{place}/below: cannot be made: Not a directory"):
        Folder(str(place / "below")).prepare()


def test_one_that_cannot_be_written_to_is_told() -> None:
    with nobody(), pytest.raises(SpoolError, match="/: cannot be written to"):
        Folder("/").prepare()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "fuse.s3fs", "9p"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")

    with pytest.raises(SpoolError, match=re.escape(f"is on a network file system ({kind})")):
        Folder(str(tmp_path / "spool")).prepare(str(mounts))


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/srv/data/spool", "xfs"),
        ("/srv/database", "ext4"),  # not within /srv/data
        ("/mnt/my disk/x", "nfs"),
        ("/over/x", "tmpfs"),  # the later of two in one place
    ],
)
def test_the_innermost_mount_says_the_kind_of_file_system(tmp_path: Path, place: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "d / ext4 rw 0 0\nd /srv/data xfs rw 0 0\nd /mnt/my\\040disk nfs rw 0 0\n"
        "d /over ext4 rw 0 0\nd /over tmpfs rw 0 0\ngarbled\n"
    )

    assert filesystem_of(Path(place), str(mounts)) == kind


def test_without_a_list_of_mounts_the_kind_is_not_known(tmp_path: Path) -> None:
    assert filesystem_of(tmp_path, str(tmp_path / "none")) == ""


def test_what_was_made_in_it_is_synced(folder: Folder) -> None:
    folder.sync()


def test_a_directory_that_cannot_be_read_or_synced_is_told(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()

    with pytest.raises(SpoolError, match=f"{place}: cannot be read: Not a directory"):
        Folder(str(place)).paths()
    with pytest.raises(SpoolError, match=f"{place}: Not a directory"):
        Folder(str(place)).sync()
