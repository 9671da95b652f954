"""``spool.folder``: the lock beside each file, and what becomes of it."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from togai_shipper.spool import claims
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.folder import Folder, Left


def test_a_file_without_a_lock_has_no_owner(folder: Folder, path: Path) -> None:
    path.with_suffix(".lock").unlink()

    assert folder.owner(path) is None


def test_a_lock_that_cannot_be_read_is_told(folder: Folder, path: Path) -> None:
    lock = path.with_suffix(".lock")
    lock.unlink()
    lock.symlink_to(lock)

    for ask in (folder.owner, folder.claim):
        with pytest.raises(SpoolError, match=f"{lock}: Too many levels"):
            ask(path)
    assert list(folder.orphans()) == [Left(path, f"{lock}: is no regular file")]


def test_an_orphan_that_is_gone_leaves_no_lock_behind(folder: Folder, path: Path) -> None:
    other = folder.path / "host-1-00000000.db"
    other.touch()
    os.utime(other, (1, 1))
    claims = folder.orphans()
    first = next(claims)
    path.unlink()

    assert list(claims) == []
    assert not path.with_suffix(".lock").exists()
    first.release()


def test_a_lock_that_was_removed_before_it_was_had_is_made_again(folder: Folder, path: Path) -> None:
    """Its process removed it between our open and our lock: that inode guards nothing any more."""
    lock = path.with_suffix(".lock")
    stats = iter([False, True])

    def is_still(_lock: Path, _fd: int) -> bool:
        still = next(stats)
        if not still:
            lock.unlink()
        return still

    claim = claims.claim(path, is_still)

    assert claim is not None
    assert lock.exists()
    claim.release()


def test_a_directory_that_is_removed_meanwhile_costs_nobody_a_descriptor(folder: Folder, path: Path) -> None:
    def is_still(_lock: Path, fd: int) -> bool:
        numbers.append(fd)
        for each in folder.path.iterdir():
            each.unlink()
        folder.path.rmdir()
        return False

    numbers: list[int] = []
    with pytest.raises(SpoolError, match="No such file"):
        claims.claim(path, is_still)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(numbers[0])
    folder.prepare()
    claim = folder.claim(path)
    assert claim is not None
    claim.release()


def test_a_lock_keeps_others_out_while_it_is_where_they_look(folder: Folder) -> None:
    claim = folder.new()
    lock = claim.path.with_suffix(".lock")

    assert claim.keeps_others_out
    lock.unlink()
    assert not claim.keeps_others_out
    lock.touch()
    assert not claim.keeps_others_out


def test_a_lock_of_which_that_cannot_be_told_counts_as_one_that_does(folder: Folder) -> None:
    claim = folder.new()
    claim.release()

    assert claim.keeps_others_out


def test_a_lock_in_another_place_is_not_ours(folder: Folder, path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    fd = os.open(tmp_path / "other", os.O_RDONLY)
    lock = path.with_suffix(".lock")

    assert not claims._is_still(lock, fd)  # noqa: SLF001  what the race is told by
    lock.unlink()
    assert not claims._is_still(lock, fd)  # noqa: SLF001  likewise
    os.close(fd)


def test_a_lock_that_cannot_be_had_for_a_new_file_is_told(folder: Folder) -> None:
    host = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname()) or "host"
    name = f"{host}-{os.getpid()}-00000000.db"
    claim = folder.claim(folder.path / name)
    assert claim is not None

    with pytest.raises(SpoolError, match="its lock cannot be had"):
        folder.new(bytes)
    claim.release()


def test_a_new_file_has_no_name_that_is_taken(folder: Folder) -> None:
    chances = iter([b"\0\0\0\0", b"\0\0\0\1"])
    taken = folder.new(bytes)
    taken.release()

    claim = folder.new(lambda _: next(chances))

    assert claim.path.name.endswith("-00000001.db")
    claim.release()


def test_a_lock_says_whether_its_file_was_being_made(folder: Folder, path: Path) -> None:
    left = folder.new()
    left.release()
    claim = folder.claim(left.path)
    assert claim is not None
    assert claim.was_being_made
    claim.made()
    assert not claim.was_being_made
    claim.release()
    claim.release()  # only the first call counts

    assert not claim.was_being_made
    claim.made()
