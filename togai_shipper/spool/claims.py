"""Which process has which file of a spool: the locks that say so.

A process holds a POSIX lock on ``….lock`` beside its file, which the kernel lets go the moment the process
ends, however it ends (``flock`` would live on in its forked children). POSIX locks exclude other processes,
not this one; and closing any descriptor of a locked file gives the lock away. So a registry of this process
says what it holds, or has inherited, and nothing listed there is ever opened again.

Somebody else may have put anything in the place of a lock: no link is followed, and no opening waits.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs

from .errors import SpoolError
from .making import make_file
from .ownership import why_foreign

with suppress(ImportError):  # Windows has none, and no spool is made there
    import fcntl

SUFFIXES = ("", "-wal", "-shm", "-journal")  # of the files that SQLite makes of one
# The layout of struct flock, by system: for the one question that Python has no function for. It differs from
# system to system, and others than these are not asked.
FLOCK = {"linux": "hhqqi4x"}
QUESTION_TRIES, QUESTION_PAUSE = 100, 0.001  # how often a claim waits for a question, and seconds each time

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
            return _is_still(lock_of(self.path), self._fd)
        return True  # it cannot be told

    def release(self) -> None:
        """Let another process have it; only the first call counts."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            _held.pop(self._name, None)

    def unlink(self, *, is_asked: bool = True) -> None:
        """Remove the file, with all that belongs to it, and let go. Raises ``SpoolError``, having let go.

        ``is_asked``: there may be requests; to look for them is to read the whole directory.
        """
        try:
            for suffix in SUFFIXES:
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            for request in self._requests() if is_asked else ():
                with suppress(OSError):  # somebody's directory, say, which stays
                    request.unlink()
            lock_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be removed: {error.strerror}") from error
        finally:
            self.release()

    def move_to(self, directory: Path) -> Claim | None:
        """Move the file, with all that belongs to it, and let go; return the claim of it there, if it is had.

        Raises ``SpoolError``, having let go.
        """
        there = directory / self.path.name
        try:
            if there.exists():
                raise SpoolError(f"{self.path}: cannot be moved: {there} is there already")
            for request in self._requests():
                with suppress(OSError):
                    request.rename(directory / request.name)
            for suffix in reversed(SUFFIXES):  # the file last: until then nobody takes what is there for one
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{there}{suffix}")
            lock_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be moved: {error.strerror}") from error
        finally:
            self.release()
        return claim(there)

    def _requests(self) -> list[Path]:
        return list(self.path.parent.glob(f"{self.path.name}.request-*"))

    def set_aside(self, now_ms: int) -> Path:
        """Rename the file, so that nobody takes it for a spool any more, and let go; returns its new path.

        Raises ``SpoolError``, having let go.
        """
        aside = Path(f"{self.path}.corrupt-{now_ms}")
        try:
            for suffix in SUFFIXES:
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
            lock_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolError(f"{self.path}: cannot be renamed: {error.strerror}") from error
        finally:
            self.release()
        return aside


def ask(lock: Path, flock: str) -> int | None:
    """Return the pid of the process that has a lock, 0 where that is not known, ``None`` where nobody has it.

    ``flock`` is how the question is laid out; empty where it cannot be asked. Raises ``SpoolError``.
    """
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpoolError(f"{lock}: {error.strerror}") from error
    try:
        _check(lock, fd)
        if flock:
            with suppress(OSError):  # the question is not understood
                return _told_owner(fd, flock)
        return _tried_owner(fd)
    finally:
        os.close(fd)


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


def lock_of(path: Path) -> Path:
    """Return the path of the lock of a file."""
    return path.with_suffix(".lock")


def _name_of(lock: Path) -> str:
    return os.path.join(os.path.realpath(lock.parent), lock.name)  # noqa: PTH118  a key, and no link is followed


def _opened(lock: Path) -> int:
    """Open a lock, made if it is not there."""
    while True:
        with suppress(FileExistsError):
            return make_file(lock)
        with suppress(FileNotFoundError):  # it has just been removed
            fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            break
    try:
        _check(lock, fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check(lock: Path, fd: int) -> None:
    """Raise ``SpoolError`` where an open lock is none, or is that of a stranger."""
    status = os.fstat(fd)
    why = why_foreign(status.st_mode, status.st_uid, {os.geteuid(), lock.parent.stat().st_uid})
    if why is not None:
        raise SpoolError(f"{lock}: {why}")


def _is_had(fd: int) -> bool:
    """Lock an open file; return false where another process has."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: POSIX allows both
        return False
    return True


def _is_still(lock: Path, fd: int) -> bool:
    try:
        return lock.lstat().st_ino == os.fstat(fd).st_ino
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


def claim(
    path: Path, is_still: Callable[[Path, int], bool] = _is_still, *, being_made: bool = False
) -> Claim | None:
    """Take the lock of ``path``, if nobody has it. Raises ``SpoolError`` where that cannot be tried.

    ``being_made``: its lock is new, and says so until ``made()`` is called.
    """
    lock, token, fd = lock_of(path), object(), -1
    name = _name_of(lock)
    if not _entered(name, token):  # before it is opened: see above
        return None
    try:
        while True:
            fd = make_file(lock) if being_made else _opened(lock)
            if not _is_had(fd):
                return None
            if is_still(lock, fd):
                if being_made:
                    os.write(fd, b"being made")
                taken = _held[name] = Claim(path, fd, name)
                fd = -1
                return taken
            stale, fd = fd, -1  # whoever had it has removed it since we opened it
            os.close(stale)
    except FileExistsError:
        return None
    except OSError as error:
        raise SpoolError(f"{lock}: {error.strerror}") from error
    finally:
        if fd >= 0:
            os.close(fd)
        if _held.get(name) is token:
            del _held[name]


def owner(path: Path, ask: Callable[[Path], int | None]) -> int | None:
    """Return the pid of the process that has a file, as ``ask`` tells of its lock. Raises what it raises."""
    lock, token = lock_of(path), _Question()
    name = _name_of(lock)
    if not _entered(name, token):  # closing it below would give it away
        return os.getpid()
    try:
        return ask(lock)
    finally:
        if _held.get(name) is token:  # it is not, where we have been forked meanwhile
            del _held[name]
