"""``spool.opening``: SQLite opens what was looked at, whatever others do to the path meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_users import needs_root

from togai_shipper.spool.claims import Claim
from togai_shipper.spool.connection import Connection
from togai_shipper.spool.errors import NotOurs, SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder, Left
from togai_shipper.spool.opening import PIN, Opening

EXCHANGED = "was exchanged while it was opened"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A spool's file in another directory."""
    there = tmp_path / "there"
    there.mkdir()
    made = there / "host-9-0123abcd.db"
    SpoolFile.create(made, {}).close()
    return made


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Path]:
    """A file in a directory of user 3000."""
    place = tmp_path / "theirs"
    place.mkdir()
    made = place / "host-1-0123abcd.db"
    SpoolFile.create(made, {}).close()
    for each in (place, *place.iterdir()):
        os.chown(each, 3000, 3000)
    return made


@pytest.mark.parametrize("open_it", [SpoolFile.open, SpoolFile.peek, SpoolFile.salvage])
def test_a_link_is_not_followed(path: Path, elsewhere: Path, open_it: type[SpoolFile]) -> None:
    path.symlink_to(elsewhere)

    with pytest.raises(NotOurs, match=f"{path}: is no regular file"):
        open_it(path)


def test_one_that_is_gone_is_told(path: Path) -> None:
    with pytest.raises(SpoolError, match=f"{path}: No such file"):
        SpoolFile.open(path)


def test_one_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SpoolError, match="Not a directory"):
        SpoolFile.open(tmp_path / "file" / "host-1-0123abcd.db")


@needs_root
def test_one_of_another_user_is_not_opened(theirs: Path) -> None:
    os.chown(theirs, 4000, 4000)

    with pytest.raises(NotOurs, match="belongs to user 4000"):
        SpoolFile.open(theirs)


@pytest.mark.parametrize("pin", [PIN, 0])
def test_what_becomes_a_link_while_it_is_opened_is_not_used(file: SpoolFile, path: Path, pin: int) -> None:
    opened = Opening(path, pin=pin).watched()
    opened.__enter__()
    path.rename(f"{path}.old")
    path.symlink_to(f"{path}.old")

    with pytest.raises(NotOurs, match=EXCHANGED):
        opened.__exit__(None, None, None)


def test_what_is_removed_while_it_is_opened_is_not_used(file: SpoolFile, path: Path) -> None:
    with pytest.raises(NotOurs, match=EXCHANGED), Opening(path).watched():
        path.unlink()


def test_what_was_a_link_for_a_moment_and_is_back_is_not_used(path: Path, elsewhere: Path) -> None:
    path.touch()

    with pytest.raises(NotOurs, match=EXCHANGED), Opening(path).watched():
        opened = os.open(elsewhere, os.O_RDONLY)  # as SQLite does, which follows the link
    os.close(opened)


def test_what_was_exchanged_is_closed_at_once(tmp_path: Path, path: Path) -> None:
    """Open still, it would have the next opening look right."""
    SpoolFile.create(path, {}).close()
    none = tmp_path / "none"
    none.mkdir()

    with pytest.raises(NotOurs, match=EXCHANGED) as kept:
        Connection(path, "ro", opening=Opening(path, str(none)))

    with pytest.raises(NotOurs, match=EXCHANGED), Opening(path).watched():
        pass
    del kept


@pytest.mark.parametrize("pin", [PIN, 0])
def test_where_descriptors_are_not_listed_the_path_tells(tmp_path: Path, path: Path, pin: int) -> None:
    path.touch()

    with Opening(path, str(tmp_path / "none"), pin).watched():
        pass


@needs_root
def test_what_lies_beside_it_belongs_to_it(theirs: Path) -> None:
    wal = Path(f"{theirs}-wal")
    opening = Opening(theirs)
    opening.check_beside()

    wal.touch()
    with pytest.raises(NotOurs, match=f"{wal}: {EXCHANGED}"):
        opening.check_beside()

    os.chown(wal, 3000, 3000)
    with wal.open():
        opening.check_beside()
        os.chown(wal, 4000, 4000)
        with pytest.raises(NotOurs, match=f"{wal}: belongs to user 4000"):
            opening.check_beside()


@needs_root
def test_one_whose_wal_is_another_user_s_is_not_opened(theirs: Path) -> None:
    wal = Path(f"{theirs}-wal")
    wal.touch()
    os.chown(wal, 4000, 4000)

    with pytest.raises(NotOurs, match=f"{wal}: belongs to user 4000"):
        SpoolFile.open(theirs)

    assert wal.stat().st_uid == 4000


def test_what_becomes_a_link_after_it_was_listed_is_left_and_told(tmp_path: Path, elsewhere: Path) -> None:
    folder = Folder(str(tmp_path / "spool"))
    folder.prepare()
    first, second = (folder.path / f"host-{pid}-0123abcd.db" for pid in (1, 2))
    for time, made in enumerate((first, second)):
        SpoolFile.create(made, {}).close()
        os.utime(made, (time, time))
    found = folder.orphans()

    claimed = next(found)
    second.unlink()
    second.symlink_to(elsewhere)

    assert isinstance(claimed, Claim)
    assert claimed.path == first
    assert list(found) == [Left(second, f"{second}: is no regular file")]
    claimed.release()
    again = folder.claim(second)  # nobody has it
    assert again is not None
    again.release()
