"""A file as it was when the command began: what is appended later is left for the next run.

A command reads a file several times: to check it, to take the ids of its lines, and to send them. A line that
came in between would be sent with an id that was not taken, which may be that of another file's line.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Any

import attrs

_END = 4096  # bytes at each end of the file that are compared


@attrs.frozen
class FileState:
    """How a file was when it was first opened: where it is, its bytes, and a digest of both of its ends."""

    device: int
    inode: int
    size: int
    ends: bytes


class Snapshot(io.RawIOBase):
    """Reads a regular file, but no further than it went when it was first opened.

    Raises ``OSError`` where another file is in its place since, or it does not hold any more what it held.

    Args:
        path: the file.
        first: how it was when it was first opened; ``None``: this is the first time.

    """

    def __init__(self, path: Path, first: FileState | None = None) -> None:
        self._file = io.FileIO(path)
        try:
            self.state = first or self._now(os.fstat(self.fileno()).st_size)
            self.has_grown()
        except BaseException:
            self.close()
            raise

    def has_grown(self) -> bool:
        """Whether something was appended since. Raises ``OSError`` where it holds something else by now."""
        if self._now(self.state.size) != self.state:
            raise OSError(errno.ESTALE, "it was changed, or replaced, after the command had begun")
        return bool(os.pread(self.fileno(), 1, self.state.size))  # a size may be wrong, as below /proc

    def _now(self, size: int) -> FileState:
        descriptor, status = self.fileno(), os.fstat(self.fileno())
        ends = hashlib.blake2b(os.pread(descriptor, min(size, _END), 0))
        ends.update(os.pread(descriptor, min(size, _END), max(size - _END, 0)))
        return FileState(status.st_dev, status.st_ino, min(size, status.st_size), ends.digest())

    # --- what a stream has; all that reads comes down to ``readinto`` ---

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int | None:
        """Read what there is, as far as the file went."""
        left = max(self.state.size - self._file.tell(), 0)
        return self._file.readinto(memoryview(buffer).cast("B")[:left])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the end is where the file ended then."""
        if whence == os.SEEK_END:
            offset, whence = self.state.size + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def opened(path: Path, first: FileState | None = None) -> io.RawIOBase:
    """Open a file; what is no regular file is read as it comes. Raises ``OSError``."""
    return Snapshot(path, first) if stat.S_ISREG(path.stat().st_mode) else io.FileIO(path)
