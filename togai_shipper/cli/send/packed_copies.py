"""Whether a file is the packed copy of another, by the checksum that gzip keeps of what it packs."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .file_kinds import is_gzip

_BLOCK = 1 << 18  # bytes that are read at once
_TRAILER = struct.Struct("<II")  # the checksum, and the bytes modulo 2 ** 32


def is_packed(path: Path) -> bool:
    """Whether a regular file is packed by gzip; what cannot be read is not."""
    return _trailer(path) is not None


def first_copy(names: Sequence[str]) -> tuple[str, str] | None:
    """Return the first file that has the content of a packed one, and that one; ``None`` if there is none."""
    packed: dict[int, dict[int, str]] = {}  # by bytes and checksum
    for name in names:
        if found := _trailer(Path(name)):
            checksum, size = found
            if size:  # one empty file is like the other
                packed.setdefault(size, {})[checksum] = name
    for name in names if packed else ():
        with suppress(OSError, ValueError):
            likely = packed.get(Path(name).stat().st_size)
            if likely and (copy := likely.get(_checksum(Path(name)))):
                return name, copy
    return None


def _trailer(path: Path) -> tuple[int, int] | None:
    """Return the checksum and the size of what is packed in a file, if it is."""
    with suppress(OSError, ValueError):
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                if is_gzip(file.read(2)):
                    file.seek(-_TRAILER.size, os.SEEK_END)
                    checksum, size = _TRAILER.unpack(file.read(_TRAILER.size))
                    return checksum, size
    return None


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum
