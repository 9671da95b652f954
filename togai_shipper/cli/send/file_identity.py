"""Whether a file is one that was sent before. The decision is pure.

A file is the same if it has the same path (packed or not): it may have been appended to, edited, or written
anew. Under another path it is the same if it was moved. It is not if the system has given the number of a
file that is gone to a new one, which has another beginning, or was changed but did not grow.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import attrs

from .file_names import unpacked

_HEAD = 4096  # bytes


@attrs.frozen
class FileIdentity:
    """What a file can be recognised by.

    Attributes:
        path: its path, without links and ``.gz``, as bytes.
        device: the number of the device it is on.
        inode: its number there.
        size: its bytes.
        modified: when it was changed, in nanoseconds.
        head_size: how many bytes ``head`` is of.
        head: a digest of its beginning.

    """

    path: bytes
    device: str
    inode: str
    size: int
    modified: int
    head_size: int
    head: str


@attrs.frozen
class FileAtHand:
    """A file that is to be sent: its identity, and its beginning."""

    identity: FileIdentity
    beginning: bytes

    def is_the_one(self, earlier: FileIdentity) -> bool:
        """Whether it is the file that was sent before."""
        now = self.identity
        if now.path == earlier.path:
            return True
        return (now.device, now.inode) == (earlier.device, earlier.inode) and self.goes_on_from(earlier)

    def goes_on_from(self, earlier: FileIdentity) -> bool:
        """Whether it holds what a file held before, and perhaps more."""
        now = self.identity
        has_its_head = _digest(self.beginning[: earlier.head_size]) == earlier.head
        return has_its_head and (now.size > earlier.size or now.modified == earlier.modified)


def file_at_hand(path: Path) -> FileAtHand | None:
    """Look at a file; return ``None`` for what is no regular file. Raises ``OSError``."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        head = file.read(_HEAD)
    real = os.path.realpath(path)
    identity = FileIdentity(
        path=os.fsencode(unpacked(real)),
        device=str(status.st_dev),
        inode=str(status.st_ino),
        size=status.st_size,
        modified=status.st_mtime_ns,
        head_size=len(head),
        head=_digest(head),
    )
    return FileAtHand(identity, head)


def _digest(head: bytes) -> str:
    return hashlib.blake2b(head, digest_size=8).hexdigest()
