"""``spool.making``: what we make is for one user alone, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nobody import nobody

from togai_shipper.spool.making import make_directory, make_file


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_directories_are_made_for_their_owner_alone_those_above_them_too(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        make_directory(tmp_path / "var" / "app" / "spool")

    made = tmp_path / "var", tmp_path / "var/app", tmp_path / "var/app/spool"
    assert [mode(path) for path in made] == [0o700] * 3


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    make_directory(tmp_path)

    assert mode(tmp_path) == 0o750


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "file")


@pytest.mark.parametrize("mask", [0, 0o777])
def test_a_file_is_made_for_its_owner_alone(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        os.close(make_file(tmp_path / "file"))

    assert mode(tmp_path / "file") == 0o600


def test_a_file_is_made_in_the_place_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExistsError):
        make_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_that_cannot_be_made_private_leaves_nothing_open(tmp_path: Path) -> None:
    class Gone(type(tmp_path)):  # type: ignore[misc]  the class of paths here
        @property
        def parent(self) -> Path:
            raise KeyboardInterrupt

    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(KeyboardInterrupt):
        make_file(Gone(tmp_path / "file"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_another_user_than_root_makes_is_his_own(place_for_all: Path) -> None:
    place_for_all.chmod(0o777)

    with nobody():
        os.close(make_file(place_for_all / "file"))
        assert (place_for_all / "file").stat().st_uid == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_makes_in_the_directory_of_another_user_is_that_user_s(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)

    os.close(make_file(tmp_path / "file"))

    status = (tmp_path / "file").stat()
    assert (status.st_uid, status.st_gid) == (1234, 1235)
