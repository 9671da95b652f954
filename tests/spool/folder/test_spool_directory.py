"""``spool.folder``: the directory itself, and on which file system it may be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nobody import nobody

from togai_shipper.spool.claims import Claim
from togai_shipper.spool.errors import Refused, SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder, Left


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


# --- among others -----------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of ours in which a group works."""
    made = tmp_path / "shared"
    made.mkdir()
    made.chmod(0o775)
    (made / "notes.txt").touch()
    return made


def leave(place: Path, name: str = "host-1-0123abcd", events: int = 0) -> Path:
    """A file whose process is gone."""
    path = place / f"{name}.db"
    file = SpoolFile.create(path, {})
    file.append([(1, False, b"{}")] * events)
    file.close()
    return path


def test_one_of_ours_is_made_ours_alone(tmp_path: Path) -> None:
    place = tmp_path / "spool"
    place.mkdir()
    place.chmod(0o777)

    Folder(str(place)).prepare()

    assert place.stat().st_mode & 0o777 == 0o700


def test_where_others_write_we_have_a_directory_of_our_own_and_theirs_stays_as_it_is(shared: Path) -> None:
    folder = Folder(str(shared))
    (shared / str(os.geteuid())).mkdir()
    (shared / str(os.geteuid())).chmod(0o770)  # as Kubernetes leaves it

    folder.prepare()

    assert folder.path == shared / str(os.geteuid())
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert shared.stat().st_mode & 0o777 == 0o775
    claim = folder.new()
    assert claim.path.parent == folder.path
    claim.release()


def test_what_is_left_in_it_moves_to_our_own_with_all_that_belongs_to_it(shared: Path) -> None:
    path = leave(shared, events=1)
    Path(f"{path}-wal").touch()
    Path(f"{path}.request-0123abcd").touch()
    folder = Folder(str(shared))
    folder.prepare()

    (claim,) = folder.orphans()

    assert isinstance(claim, Claim)
    assert claim.path == folder.path / path.name
    names = {path.name, f"{path.name}-wal", f"{path.name}.request-0123abcd", "host-1-0123abcd.lock"}
    assert {each.name for each in folder.path.iterdir()} == names
    assert {each.name for each in shared.iterdir()} == {"notes.txt", folder.path.name}
    claim.release()
    assert folder.paths() == [claim.path]


def test_what_cannot_be_moved_stays_where_it_is_and_is_told(shared: Path) -> None:
    folder = Folder(str(shared))
    folder.prepare()
    path, there = leave(shared), folder.path / "host-1-0123abcd.db"
    there.mkdir()

    (_, left) = folder.orphans()

    assert left == Left(path, f"{path}: cannot be moved: {there} is there already")
    assert path.exists()

    there.rmdir()
    Path(f"{path}-wal").touch()
    Path(f"{there}-wal").mkdir()
    (left,) = folder.orphans()
    assert left == Left(path, f"{path}: cannot be moved: Is a directory")
    assert path.exists()


def test_what_was_exchanged_after_it_was_listed_is_not_taken_where_it_has_moved(shared: Path) -> None:
    """Others may write to the directory from which it comes."""
    first, path = leave(shared, "host-0-0123abcd"), leave(shared)
    os.utime(first, (0, 0))
    folder = Folder(str(shared))
    folder.prepare()
    found = folder.orphans()

    claim = next(found)
    path.with_name("host-1-0123abcd.db-wal").mkdir()

    assert isinstance(claim, Claim)
    claim.release()
    assert list(found) == [Left(path, f"{folder.path / path.name}-wal: is no regular file")]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.symlink_to(path.parent.parent), "a link"),
        (lambda path: path.symlink_to("nowhere"), "a link"),
        (os.mkfifo, "a FIFO"),
        (Path.touch, "a file"),
    ],
    ids=["a link", "a link to nowhere", "a FIFO", "a file"],
)
def test_what_is_in_the_place_of_our_own_is_refused_with_whose_it_is(
    shared: Path, make: Callable[[Path], None], what: str
) -> None:
    us = os.geteuid()
    make(shared / str(us))

    with pytest.raises(Refused) as refused:
        Folder(str(shared)).prepare()

    assert str(refused.value) == (
        f"{shared}/{us}: is {what} of user {us}, where a directory of ours has to be; remove it, or choose"
        " another directory"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_s_in_the_place_of_our_own_is_refused(shared: Path) -> None:
    (shared / "0").mkdir()
    os.chown(shared / "0", 3000, 3000)

    with pytest.raises(Refused, match="belongs to user 3000; remove it, or choose another directory"):
        Folder(str(shared)).prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a directory that all share")
def test_where_all_may_write_it_is_refused_with_what_lies_there(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    ours, theirs = leave(shared, events=3), leave(shared, "host-2-0123abcd", events=3)
    os.chown(theirs, 3000, 3000)
    broken = shared / "host-3-0123abcd.db"
    broken.write_bytes(b"garbage")

    with pytest.raises(Refused, match="several users share it") as refused:
        Folder(str(shared)).prepare()

    assert refused.value.lying == {str(ours): 3, str(theirs): 1, str(broken): 1}
    assert shared.stat().st_mode & 0o7777 == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
def test_each_user_looks_into_a_spool_of_his_own_and_knows_of_the_others(
    place_for_all: Path,
) -> None:
    place_for_all.chmod(0o777)
    paths = {}
    for uid in (3000, 65_534):
        spool = place_for_all / str(uid)
        spool.mkdir(0o700)
        paths[uid] = leave(spool)
        for each in (spool, *spool.iterdir()):
            os.chown(each, uid, uid)
    (place_for_all / "4000").mkdir()  # of root's, and so of nobody's

    assert Folder(str(place_for_all)).paths() == []
    assert Folder(str(place_for_all)).others() == [place_for_all / "3000", place_for_all / "65534"]
    with nobody():
        folder = Folder(str(place_for_all))
        assert folder.paths() == [paths[65_534]]
        assert folder.others() == [place_for_all / "3000"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
def test_what_the_owner_of_the_directory_keeps_from_us_is_told_with_who_may_read_it(
    place_for_all: Path,
) -> None:
    path = leave(place_for_all)

    with nobody():
        assert Folder(str(place_for_all)).foreign() == [
            Left(path, f"{path}: belongs to user 0; run as user 0, or chown it")
        ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
def test_where_everybody_may_write_to_another_s_directory_its_owner_is_not_trusted(tmp_path: Path) -> None:
    path = leave(tmp_path)
    for each in (tmp_path, path):
        os.chown(each, 3000, 3000)
    assert Folder(str(tmp_path)).paths() == [path]

    tmp_path.chmod(0o777)
    assert Folder(str(tmp_path)).paths() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
def test_one_of_ours_that_is_closed_to_ourselves_is_told(place_for_all: Path) -> None:
    os.chown(place_for_all, 65_534, 65_534)
    place_for_all.chmod(0o500)

    with nobody(), pytest.raises(Refused, match="cannot be written to"):
        Folder(str(place_for_all)).prepare()


def test_a_directory_whose_files_cannot_be_looked_at_is_told(place_for_all: Path) -> None:
    leave(place_for_all)
    place_for_all.chmod(0o744)

    with nobody(), pytest.raises(SpoolError, match=r"host-1-0123abcd\.db: Permission denied"):
        Folder(str(place_for_all)).paths()


def test_what_is_no_directory_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="cannot be read: No such file"):
        Folder(str(tmp_path / "none")).use()
