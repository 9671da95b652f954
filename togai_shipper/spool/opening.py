"""The file that SQLite opens is the one that was looked at, and not what somebody has put in its place since.

SQLite opens by path, and follows links. Where root works in another user's directory, or where several users
write to one, a file can become a link to a third user's at any moment. So it is looked at right before, and
again once SQLite has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import NotOurs, SpoolError
from .ownership import why_foreign

# Where this process's descriptors are listed; on a system that has no such directory they are not looked at.
DESCRIPTORS = "/dev/fd"
# The flag of a descriptor that only keeps a file, so that no other one gets its number, and reads nothing. To
# close any other descriptor of the file would give away the locks that SQLite has of it.
PIN = getattr(os, "O_PATH", 0)


def status_of(path: Path | str) -> os.stat_result | None:
    """Return what the system tells of a path, not of what it links to; ``None`` where it is not there."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpoolError(f"{path}: {error.strerror}") from error


def may_write(place: Path) -> bool:
    """Tell whether something can be made in a directory, by this user and on this file system."""
    return os.access(place, os.W_OK, effective_ids=True)


def trusted_in(place: Path) -> set[int]:
    """Return whose files we take in a directory: ours, and its owner's, unless everybody may write there."""
    us, status = os.geteuid(), status_of(place)
    if status is None or (status.st_uid and status.st_mode & 0o002):
        return {us}
    return {us, status.st_uid}


class Opening:
    """One file, from right before SQLite opens it until it has read of it.

    ``pin``: the flag by which a file is kept open without being read, 0 where the system has none.
    """

    def __init__(self, path: Path, descriptors: str = DESCRIPTORS, pin: int = PIN) -> None:
        self._path = path
        self._descriptors = descriptors
        self._pin = pin
        self._trusted = trusted_in(path.parent)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let SQLite open the file meanwhile. Raises ``NotOurs`` where it is not ours, or was exchanged."""
        pinned = os.open(self._path, self._pin | os.O_NOFOLLOW | os.O_CLOEXEC) if self._pin else -1
        try:
            status = os.fstat(pinned) if self._pin else self._path.lstat()
            self._check(self._path, status)
            for path, beside in self._beside():  # as root, SQLite would give it to the file's owner
                self._check(path, beside)
            yield
            now = status_of(self._path)
            if now is None or not os.path.samestat(now, status) or not self._is_open(status, but=pinned):
                raise NotOurs(f"{self._path}: was exchanged while it was opened")
        finally:
            if self._pin:
                os.close(pinned)

    def check_beside(self) -> None:
        """What SQLite has opened beside the file belongs to it. Raises ``NotOurs``."""
        if self._trusted == {os.geteuid()}:  # nobody else can put anything there
            return
        for path, status in self._beside():
            self._check(path, status)
            if not self._is_open(status):
                raise NotOurs(f"{path}: was exchanged while it was opened")

    def _beside(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in (Path(f"{self._path}{suffix}") for suffix in ("-wal", "-shm")):
            if (status := status_of(path)) is not None:
                yield path, status

    def _check(self, path: Path, status: os.stat_result) -> None:
        why = why_foreign(status.st_mode, status.st_uid, self._trusted)
        if why is not None:
            raise NotOurs(f"{path}: {why}")

    def _is_open(self, status: os.stat_result, but: int = -1) -> bool:
        """Whether this process has it open, or that cannot be told: a link may have been there in between."""
        try:
            descriptors = [int(name) for name in os.listdir(self._descriptors)]  # noqa: PTH208  only the names are wanted
        except OSError:
            return True
        for each in descriptors:
            with suppress(OSError):  # closed meanwhile, as that of the listing itself
                if each != but and os.path.samestat(os.fstat(each), status):
                    return True
        return False
