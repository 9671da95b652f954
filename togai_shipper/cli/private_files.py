"""Write files that are for their owner alone, and through nothing that a stranger has put in their place.

A file is made under a name that nobody can guess, beside the name that it gets by being renamed: a link that
has that name is replaced, never followed, and a FIFO never opened.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from togai_shipper.spool.making import make_directory, make_file

_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile("/(?:dev|proc/self)/fd/([0-9]{1,9})")


class NotReplaced(OSError):  # noqa: N818  it says what is not done
    """What has the file's name already is left as it is."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which appears when it is complete. Raises ``OSError``."""
    _refuse_if_there(path)
    stream, beside = _beside(path)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _refuse_if_there(path)  # it may have taken a while
        beside.rename(path)
    finally:
        with suppress(OSError):  # it has been renamed
            beside.unlink()


def replaced_file(path: Path) -> BinaryIO:
    """Open a file in place of the one of this name, if there is one. Raises ``OSError``.

    A descriptor that this process was given, such as ``/dev/stdout`` or that of ``>(…)``, is written to as it
    is, and so is a device such as ``/dev/null`` that is named itself.
    """
    if (given := _given(path)) is not None:
        return os.fdopen(os.dup(given), "wb")
    mode = _mode(path)
    if mode is not None and stat.S_ISCHR(mode):
        return _device(path)
    if mode is not None and not stat.S_ISREG(mode):
        raise NotReplaced(f"is {'a link' if stat.S_ISLNK(mode) else 'no file'}, and is not written to")
    stream, beside = _beside(path)
    with ExitStack() as undo:
        undo.callback(beside.unlink)
        undo.callback(stream.close)
        beside.rename(path)
        undo.pop_all()
    return stream


def _beside(path: Path) -> tuple[BinaryIO, Path]:
    fd, name = tempfile.mkstemp(prefix=f"{path.name[:50]}.", suffix=".partial", dir=path.parent)
    return os.fdopen(fd, "wb"), Path(name)


def _refuse_if_there(path: Path) -> None:
    if os.path.lexists(path):
        raise NotReplaced("already exists, and is not overwritten")


def _given(path: Path) -> int | None:
    """Return the descriptor that a path names, if it names one."""
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found[1]) if found else _STANDARD.get(str(path))


def _mode(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


def _device(path: Path) -> BinaryIO:
    # Without O_NONBLOCK it would wait for a reader, were it a FIFO by now.
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY), "wb")


def database_file(path: Path) -> None:
    """Make a file that a database may be in, and its directory, unless it is there. Raises ``OSError``."""
    make_directory(path.parent)
    with suppress(FileExistsError):
        os.close(make_file(path))
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise NotReplaced("is no regular file, and is not written to")
    if status.st_uid != os.geteuid() != 0:
        raise NotReplaced("belongs to another user, and is not written to")
