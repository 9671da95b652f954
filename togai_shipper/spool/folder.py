"""Whose file is whose: a spool's directory, and the locks that say who ships what.

Each process has a file of its own, ``<host>-<pid>-<random>.db``, and holds a POSIX lock on ``….lock`` beside
it, which the kernel lets go the moment the process ends, however it ends (``flock`` would live on in its
forked children). POSIX locks exclude other processes, not this one; and closing any descriptor of a locked
file gives the lock away. So a registry of this process says what it holds, or has inherited, and nothing
listed there is ever opened again.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from .errors import SpoolError
from .filesystems import MOUNTS, filesystem_of, is_networked, why_not_there

with suppress(ImportError):  # Windows has none, and no spool is made there
    import fcntl

SUFFIXES = ("", "-wal", "-shm", "-journal")  # of the files that SQLite makes of one
# The layout of struct flock, by system: for the one question that Python has no function for. It differs from
# system to system, and others than these are not asked.
FLOCK = {"linux": "hhqqi4x"}
QUESTION_TRIES, QUESTION_PAUSE = 100, 0.001  # how often a claim waits for a question, and seconds each time
TRIES = 10  # names for a new file, of which somebody who cleans up may take the lock at the wrong moment
OURS = re.compile(r".+-\d+-[0-9a-f]{8}\.db")
ASIDE = re.compile(OURS.pattern + r"\.corrupt-\d+")

# Paths of lock files: of those held, and of those that a parent held when it forked us, with their claim; and
# of those that a thread tries or asks about just now, with its token. Entered before the file is opened, so
# that no thread closes what another one of this process has locked.
_held: dict[str, object] = {}


def _forget_other_threads() -> None:
    """In a forked child: those that tried or asked are in the parent alone, and nothing of it was opened."""
    for name, entry in list(_held.items()):
        if not isinstance(entry, Claim):
            del _held[name]


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_other_threads)


@attrs.define(eq=False)
class Claim:
    """A file that this process, and no other, may open."""

    path: Path
    _fd: int
    _name: str

    def made(self) -> None:
        """The file has its tables now: should they be missing later, something has been lost."""
        with suppress(OSError):
            os.ftruncate(self._fd, 0)

    @property
    def was_being_made(self) -> bool:
        """Whether its process died before that."""
        with suppress(OSError):
            return os.fstat(self._fd).st_size > 0
        return False

    @property
    def keeps_others_out(self) -> bool:
        """Whether its lock is where others look for it: somebody who cleans up may have removed it."""
        with suppress(OSError):
            return _is_still(_lock_of(self.path), self._fd)
        return True  # it cannot be told

    def release(self) -> None:
        """Let another process have it; only the first call counts."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            _held.pop(self._name, None)

    def unlink(self) -> None:
        """Remove the file, with all that belongs to it, and let go. Raises ``SpoolError``, having let go."""
        try:
            for suffix in SUFFIXES:
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            for request in self.path.parent.glob(f"{self.path.name}.request-*"):
                request.unlink(missing_ok=True)
            _lock_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be removed: {error.strerror}") from error
        finally:
            self.release()

    def set_aside(self, now_ms: int) -> Path:
        """Rename the file, so that nobody takes it for a spool any more, and let go; returns its new path.

        Raises ``SpoolError``, having let go.
        """
        aside = Path(f"{self.path}.corrupt-{now_ms}")
        try:
            for suffix in SUFFIXES:
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
            _lock_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be renamed: {error.strerror}") from error
        finally:
            self.release()
        return aside


class Folder:
    """A spool's directory.

    ``flock`` is how a question about a lock is laid out; empty where it cannot be asked.
    """

    def __init__(self, path: str, *, flock: str | None = None) -> None:
        self.path = Path(path)
        self._flock = FLOCK.get(sys.platform, "") if flock is None else flock

    def prepare(self, mounts: str = MOUNTS) -> None:
        """Make it, for its owner alone. Raises ``SpoolError`` where it cannot be what it has to be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise SpoolError(f"{self.path}: is a file, not a directory") from None
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be made: {error.strerror}") from error
        kind = filesystem_of(self.path, mounts)
        if is_networked(kind):
            raise SpoolError(why_not_there(self.path, kind))
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise SpoolError(f"{self.path}: cannot be written to")

    def new(self, chance: Callable[[int], bytes] = os.urandom) -> Claim:
        """A file for this process, not made yet. Raises ``SpoolError``."""
        host = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname()) or "host"
        for _ in range(TRIES):
            path = self.path / f"{host}-{os.getpid()}-{chance(4).hex()}.db"
            claim = _claim(path, being_made=True)
            if claim is not None:
                return claim
        raise SpoolError(f"{path}: its lock cannot be had")

    def paths(self) -> list[Path]:
        """Every file that is named like one of ours, the oldest first. Raises ``SpoolError``."""
        return sorted((path for path in self._all() if OURS.fullmatch(path.name)), key=_changed)

    def _all(self) -> list[Path]:
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _remains(self) -> list[Path]:
        """What is named by a lock alone: its process died while it made the file, or removed it."""
        locks = [path for path in self._all() if path.suffix == ".lock"]
        found = [path.with_suffix(".db") for path in locks]
        return [path for path in found if OURS.fullmatch(path.name) and not path.exists()]

    def orphans(self) -> Iterator[Claim]:
        """Files whose process is gone, the oldest first; each is claimed for the caller, who lets it go."""
        for path in self._remains() + self.paths():
            with suppress(SpoolError):  # as if it were held: seen to the next time
                claim = _claim(path)
                if claim is None:
                    continue
                if path.exists():
                    yield claim
                else:  # its process has just removed it
                    claim.unlink()

    def sync(self) -> None:
        """What was made or removed here survives a power cut. Raises ``SpoolError``."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise SpoolError(f"{self.path}: {error.strerror}") from error

    def claim(self, path: Path) -> Claim | None:
        """This file, unless a process has it."""
        return _claim(path)

    def owner(self, path: Path) -> int | None:
        """Return the pid of the process that has this file, and ``None`` where nobody has it.

        0 is a process whose pid is not known: one in another container, or any but this one on a system that
        is not known to tell. Takes nothing, but that such a system is asked by sharing the lock for a moment.
        """
        lock, token = _lock_of(path), _Question()
        name = os.path.realpath(lock)
        if not _entered(name, token):  # closing it below would give it away
            return os.getpid()
        try:
            return self._asked(lock)
        finally:
            if _held.get(name) is token:  # it is not, where we have been forked meanwhile
                del _held[name]

    def _asked(self, lock: Path) -> int | None:
        try:
            fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SpoolError(f"{lock}: {error.strerror}") from error
        try:
            if self._flock:
                with suppress(OSError):  # the question is not understood
                    return _told_owner(fd, self._flock)
            return _tried_owner(fd)
        finally:
            os.close(fd)

    def set_aside(self) -> list[Path]:
        """The files that were found damaged, and renamed."""
        return sorted(path for path in self.path.iterdir() if ASIDE.fullmatch(path.name))


def _told_owner(fd: int, flock: str) -> int | None:
    """Ask the system who holds the lock of this file."""
    asked = struct.pack(flock, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(flock, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else max(pid, 0)


def _tried_owner(fd: int) -> int | None:
    """Try to share the lock, which ends when the file is closed. Whoever holds it shares it with nobody."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return 0
    return None


def _changed(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except FileNotFoundError:
        return 0.0, path.name


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _is_still(lock: Path, fd: int) -> bool:
    try:
        return lock.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


class _Question:
    """The token of a thread that asks who has a file."""


def _entered(name: str, token: object) -> bool:
    """Enter a token, unless the lock is held or another thread tries it; wait while one asks about it."""
    for _ in range(QUESTION_TRIES):
        entry = _held.setdefault(name, token)
        if entry is token:
            return True
        if not isinstance(entry, _Question):
            return False
        time.sleep(QUESTION_PAUSE)
    return False


def _claim(
    path: Path, is_still: Callable[[Path, int], bool] = _is_still, *, being_made: bool = False
) -> Claim | None:
    """Take the lock of ``path``, if nobody has it. Raises ``SpoolError`` where that cannot be tried.

    ``being_made``: until ``made()`` is called the lock says so.
    """
    lock, token = _lock_of(path), object()
    name = os.path.realpath(lock)
    if not _entered(name, token):  # before it is opened: see above
        return None
    fd = None
    try:
        while True:
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_still(lock, fd):
                if being_made:
                    os.write(fd, b"being made")
                claim = _held[name] = Claim(path, fd, name)
                return claim
            stale, fd = fd, None  # whoever had it has removed it since we opened it
            os.close(stale)
    except OSError as error:
        if fd is not None:
            os.close(fd)
        _held.pop(name, None)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return None
        raise SpoolError(f"{lock}: {error.strerror}") from error
