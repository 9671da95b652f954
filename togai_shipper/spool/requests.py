"""What a command asks of the process that has a file, by small JSON files beside it.

That process does it within a second or so, and then removes them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from .errors import SpoolError
from .file import SpoolFile
from .rows import Row

What: TypeAlias = Literal["replay", "purge"]

MAX_BYTES = 1024 * 1024  # of a request that is read; a command asks for 1,000 letters at once
_NAME = r"\.request-[0-9a-f]{8}"


@attrs.frozen
class Request:
    """Dead letters to be made pending again, or to be forgotten.

    Attributes:
        path: the file that asks; whoever has done it removes it.
        what: ``replay`` or ``purge``.
        numbers: the letters' within their file; those that are gone are passed over.

    """

    path: Path
    what: What
    numbers: tuple[int, ...]


def ask(db_path: Path, what: What, numbers: Iterable[int]) -> Path:
    """Leave a request for the process that has ``db_path``. Raises ``SpoolError``."""
    path = Path(f"{db_path}.request-{os.urandom(4).hex()}")
    unfinished = Path(f"{path}.new")
    try:
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            json.dump({"what": what, "numbers": list(numbers)}, file)
            file.flush()
            _give(fd, db_path.stat())
            os.fsync(fd)
        unfinished.rename(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise SpoolError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def heed(request: Request, file: SpoolFile, now_ms: int) -> list[Row]:
    """Do what is asked, in the file that it is about; returns what is pending again."""
    rows = []
    if request.what == "replay":
        rows = file.replay(request.numbers, now_ms)
    else:
        file.purge(request.numbers)
    request.path.unlink(missing_ok=True)  # after it is done: done twice, it finds nothing
    return rows


def _give(fd: int, owner: os.stat_result) -> None:
    """Let the application read what its operator asks, who may be root."""
    with suppress(PermissionError):  # else he is the same, or may not write here at all
        os.fchown(fd, owner.st_uid, owner.st_gid)


def asked(db_path: Path) -> list[Request]:
    """What is asked of the process that has ``db_path``, the oldest first; without what makes no sense."""
    pattern = re.compile(re.escape(db_path.name) + _NAME)
    found = []
    with suppress(OSError), os.scandir(db_path.parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with suppress(OSError, ValueError, RecursionError):  # unreadable, or no request
                    request = _read(Path(entry.path))
                    found.append((entry.stat().st_mtime_ns, entry.name, request))
    return [request for _, _, request in sorted(found, key=lambda each: each[:2])]


def _read(path: Path) -> Request:
    """Raises ``ValueError`` for what is no request."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        match json.loads(file.read(MAX_BYTES)):
            case {"what": "replay" | "purge" as what, "numbers": [*numbers]} if all(map(_is_number, numbers)):
                return Request(path, what, tuple(numbers))
    raise ValueError(path)


def _is_number(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63  # what SQLite can be asked for
