"""What we make on disk is for one user alone, whatever the umask: ours, or the owner of the directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

OURS_ALONE = 0o700


def make_directory(path: Path) -> None:
    """Make a directory, and those above it that are missing, unless it is there. Raises ``OSError``."""
    try:
        _make(path)
    except FileNotFoundError:
        make_directory(path.parent)
        _make(path)  # below /proc it is not found again, however often


def _make(path: Path) -> None:
    try:
        path.mkdir(OURS_ALONE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        if path.lstat().st_mode & OURS_ALONE != OURS_ALONE:  # the umask takes even our own bits
            path.chmod(OURS_ALONE)


def make_file(path: Path) -> int:
    """Make a file that is not there yet, and return its descriptor. Raises ``OSError``.

    Where root works in another user's directory, the file is that user's, who has to go on with it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
        if os.geteuid() == 0:
            directory = path.parent.stat()
            with suppress(PermissionError):  # root of a container that may not
                os.fchown(fd, directory.st_uid, directory.st_gid)
    except BaseException:
        os.close(fd)
        raise
    return fd
