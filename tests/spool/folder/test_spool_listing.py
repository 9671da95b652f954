"""``spool.folder``: the files of the directory, how they are named, listed and removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.folder import Folder, Left, Listing
from togai_shipper.spool.ownership import OURS


def test_a_new_file_is_named_for_its_host_and_process(folder: Folder) -> None:
    claim = folder.new()

    assert OURS.fullmatch(claim.path.name)
    assert f"-{os.getpid()}-" in claim.path.name
    assert not claim.path.exists()
    claim.release()


def test_only_our_files_are_listed_the_oldest_first(folder: Folder) -> None:
    for name, changed in [("b-1-00000000.db", 5), ("a-1-00000000.db", 9), ("notes.db", 1)]:
        (folder.path / name).touch()
        os.utime(folder.path / name, (changed, changed))
    (folder.path / "b-1-00000000.db-wal").touch()

    assert [path.name for path in folder.paths()] == ["b-1-00000000.db", "a-1-00000000.db"]


def test_what_is_named_like_a_file_of_ours_and_is_none_is_told_and_hides_no_other(
    folder: Folder, path: Path, tmp_path: Path
) -> None:
    link, fifo, directory, odd = (
        folder.path / f"{name}-1-00000000.db" for name in ("a", "b", "c", "\udcff\n")
    )
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    link.symlink_to(tmp_path / "elsewhere")
    os.mkfifo(fifo)
    directory.mkdir()
    odd.touch()
    beside = folder.path / "d-1-00000000.db"
    beside.touch()
    Path(f"{beside}-wal").symlink_to(tmp_path / "elsewhere")

    assert folder.paths() == [path]
    assert [left.why for left in folder.foreign()] == [
        f"{each}: is no regular file" for each in (link, fifo, directory, f"{beside}-wal")
    ]
    lefts = [each for each in folder.orphans() if isinstance(each, Left)]
    assert lefts == folder.foreign()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda lock: lock.symlink_to("elsewhere")])
def test_what_is_in_the_place_of_a_lock_is_neither_followed_nor_waited_for(
    folder: Folder, path: Path, make: Callable[[Path], None]
) -> None:
    lock, remains = path.with_suffix(".lock"), folder.path / "a-1-00000000.lock"
    lock.unlink()
    make(lock)
    make(remains)

    for ask in (folder.claim, folder.owner):
        with pytest.raises(SpoolError, match=str(lock)):
            ask(path)
    (left,) = folder.orphans()
    assert isinstance(left, Left)
    assert left.path == path
    assert not (folder.path / "elsewhere").exists()
    assert os.path.lexists(remains)


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert Folder(str(tmp_path / "none")).paths() == []


def test_files_set_aside_are_listed_by_themselves(folder: Folder, path: Path) -> None:
    claim = folder.claim(path)
    assert claim is not None
    Path(f"{path}-wal").write_bytes(b"wal")

    aside = claim.set_aside(1234)

    assert aside == Path(f"{path}.corrupt-1234")
    assert folder.set_aside() == [aside]
    assert folder.paths() == []
    assert sorted(p.name for p in folder.path.iterdir()) == [aside.name, f"{aside.name}-wal"]


def test_a_directory_named_like_a_request_does_not_keep_a_file_from_being_removed(
    folder: Folder, path: Path
) -> None:
    claim = folder.claim(path)
    assert claim is not None
    Path(f"{path}.request-0123abcd").mkdir()

    claim.unlink()

    assert [each.name for each in folder.path.iterdir()] == [f"{path.name}.request-0123abcd"]


def test_a_file_is_removed_with_all_that_belongs_to_it(folder: Folder, path: Path) -> None:
    claim = folder.claim(path)
    assert claim is not None
    for suffix in ("-wal", "-shm", ".request-0123abcd"):
        Path(f"{path}{suffix}").touch()

    claim.unlink()

    assert list(folder.path.iterdir()) == []


def test_what_is_left_of_a_file_that_was_being_made_or_removed_is_cleaned_up(folder: Folder) -> None:
    folder.new().release()
    (folder.path / "host-1-00000000.lock").touch()
    (folder.path / "host-1-00000000.db-wal").touch()
    (folder.path / "another.lock").touch()

    assert list(folder.orphans()) == []
    assert [each.name for each in folder.path.iterdir()] == ["another.lock"]


def test_a_file_that_cannot_be_removed_is_told_and_let_go(folder: Folder, path: Path) -> None:
    Path(f"{path}-journal").mkdir()
    claim = folder.claim(path)
    assert claim is not None

    with pytest.raises(SpoolError, match=f"{path}: cannot be removed: "):
        claim.unlink()
    again = folder.claim(path)
    assert again is not None
    again.release()


def test_a_file_that_cannot_be_renamed_is_told_and_let_go(folder: Folder, path: Path) -> None:
    Path(f"{path}.corrupt-7").mkdir()
    claim = folder.claim(path)
    assert claim is not None

    with pytest.raises(SpoolError, match=f"{path}: cannot be renamed: "):
        claim.set_aside(7)
    again = folder.claim(path)
    assert again is not None
    again.release()


def test_what_goes_while_the_directory_is_looked_at_is_not_listed(folder: Folder) -> None:
    for name in ("a", "b"):
        (folder.path / f"{name}-1-00000000.db").touch()
    listed = folder._named(OURS)  # noqa: SLF001  between two of them the other goes
    judged = folder._judged(OURS)  # noqa: SLF001
    assert [next(listed)[0].name, next(judged).path.name] == ["a-1-00000000.db"] * 2

    (folder.path / "b-1-00000000.db").unlink()

    assert [*listed, *judged] == []


def test_what_is_named_like_a_file_set_aside_and_is_none_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "host-1-00000000.db.corrupt-1").mkdir()

    assert Folder(str(tmp_path)).listing() == Listing([], [], [])
