"""``spool.folder``: the directory itself, and on which file system it may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from nobody import nobody

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.folder import Folder


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


def test_a_file_system_without_locks_that_hold_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")

    with pytest.raises(SpoolError, match=r"is on nfs4, .* choose a directory on a local disk"):
        Folder(str(tmp_path / "spool")).prepare(str(mounts))


def test_what_was_made_in_it_is_synced(folder: Folder) -> None:
    folder.sync()


def test_a_directory_that_cannot_be_read_or_synced_is_told(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()

    with pytest.raises(SpoolError, match=f"{place}: cannot be read: Not a directory"):
        Folder(str(place)).paths()
    with pytest.raises(SpoolError, match=f"{place}: Not a directory"):
        Folder(str(place)).sync()
