"""Files that commands write are for their owner alone, and go through nothing that lies in their place."""

from __future__ import annotations

import os
import pty
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nobody import nobody

from togai_shipper.cli.private_files import NotReplaced, database_file, new_file, replaced_file


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def write_new(path: Path) -> None:
    with new_file(path) as stream:
        stream.write(b"new")


def write_in_place(path: Path) -> None:
    with replaced_file(path) as stream:
        stream.write(b"new")


def link(path: Path) -> None:
    path.symlink_to(path.parent / "victim")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # its name may not be long


def directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("write", [write_new, write_in_place])
def test_a_file_is_for_its_owner_alone(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == b"new"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208  names


@pytest.mark.parametrize("write", [write_new, write_in_place])
@pytest.mark.parametrize("put", [link, dangling_link, fifo, a_socket, directory])
def test_what_is_no_file_is_neither_followed_nor_opened(
    tmp_path: Path, write: Callable[[Path], None], put: Callable[[Path], None]
) -> None:
    (tmp_path / "victim").write_bytes(b"old")
    put(tmp_path / "out")
    before = sorted(path.name for path in tmp_path.iterdir())

    with pytest.raises(OSError, match=r"is a link|is no file|already exists"):
        write(tmp_path / "out")

    assert (tmp_path / "victim").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_file_that_is_replaced_keeps_neither_its_mode_nor_its_other_names(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old and longer")
    (tmp_path / "out").chmod(0o644)
    (tmp_path / "other").hardlink_to(tmp_path / "out")
    reader = (tmp_path / "out").open("rb")

    write_in_place(tmp_path / "out")

    with reader:
        assert reader.read() == b"old and longer"
    assert (tmp_path / "out").read_bytes() == b"new"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "other").read_bytes() == b"old and longer"


def test_a_line_is_in_a_file_that_is_replaced_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with replaced_file(tmp_path / "out") as stream:
        stream.write(b"a line")
        stream.flush()
        assert (tmp_path / "out").read_bytes() == b"a line"


def test_a_new_file_replaces_none_that_came_meanwhile_and_is_gone_where_it_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="already exists"), new_file(tmp_path / "out"):
        (tmp_path / "out").write_bytes(b"theirs")

    assert (tmp_path / "out").read_bytes() == b"theirs"
    with pytest.raises(TypeError), new_file(tmp_path / "failed") as stream:
        stream.writelines([b"half", "no bytes"])  # type: ignore[list-item]  that is what fails
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208  names


def test_where_no_file_can_be_made_none_is_left(tmp_path: Path) -> None:
    for name in ("none/out", "x" * 300):
        with pytest.raises(OSError, match=r"No such file|too long"):
            write_in_place(tmp_path / name)

    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of two users")
def test_a_file_of_another_user_in_a_shared_directory_is_left_to_him(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "out").write_bytes(b"theirs")
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)

    with nobody(), pytest.raises(PermissionError):
        write_in_place(shared / "out")

    assert (shared / "out").read_bytes() == b"theirs"
    assert os.listdir(shared) == ["out"]  # noqa: PTH208  names


def test_a_descriptor_that_the_process_was_given_is_written_to() -> None:
    read, write = os.pipe()
    write_in_place(Path(f"/dev/fd/{write}"))
    write_in_place(Path(f"/proc/self/fd/{write}"))
    os.close(write)

    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"newnew"


def test_a_device_is_written_to_if_it_is_named_itself() -> None:
    write_in_place(Path(os.devnull))


def test_a_terminal_is_known_as_one() -> None:
    one, other = pty.openpty()
    with replaced_file(Path(f"/dev/fd/{other}")) as stream:
        assert stream.isatty()
    os.close(other)
    os.close(one)


def test_a_file_that_a_database_may_be_in_is_its_owner_s_alone_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "made" / "record.db"
    for _ in range(2):
        database_file(path)
        path.write_bytes(path.read_bytes() + b"more")

    assert path.read_bytes() == b"moremore"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lies_there", [link, os.mkfifo, Path.mkdir])
def test_what_is_no_regular_file_is_taken_for_no_database(
    tmp_path: Path, lies_there: Callable[[Path], None]
) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    lies_there(tmp_path / "record.db")

    with pytest.raises(NotReplaced, match="no regular file"):
        database_file(tmp_path / "record.db")
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_another_user_s_file_is_taken_for_no_database() -> None:
    with nobody(), pytest.raises(NotReplaced, match="belongs to another user"):
        database_file(Path("/etc/passwd"))
