"""Requests: small JSON files by which a command asks something of the process that has a spool's file.

That process looks for them about once a second, does what they ask, and then removes them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from .errors import SpoolError
from .file import SpoolFile
from .ownership import why_foreign
from .rows import Row

What: TypeAlias = Literal["replay", "purge"]

MAX_BYTES = 1024 * 1024  # of a request that is read; a command asks for 1,000 letters at once
_NAME = r"\.request-[0-9a-f]{8}"


@attrs.frozen
class Request:
    """A request to make dead letters pending again, or to remove them.

    Attributes:
        path: the file of the request, which is removed once that is done.
        what: ``replay`` or ``purge``.
        numbers: the numbers of the letters in the spool's file; those that are gone are passed over.
        is_risky: replay, too, what Togai may bill twice, since it may have forgotten the id.

    """

    path: Path
    what: What
    numbers: tuple[int, ...]
    is_risky: bool = False


def ask(db_path: Path, what: What, numbers: Iterable[int], *, is_risky: bool = False) -> Path:
    """Write a request to the process that has ``db_path``, and return its path. Raises ``SpoolError``."""
    path = Path(f"{db_path}.request-{os.urandom(4).hex()}")
    unfinished = Path(f"{path}.new")
    try:
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            json.dump({"what": what, "numbers": list(numbers), "past_dedupe_window": is_risky}, file)
            file.flush()
            _give(fd, db_path.stat())
            os.fsync(fd)
        unfinished.rename(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise SpoolError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def carry_out(request: Request, file: SpoolFile, now_ms: int, *, is_left: bool = False) -> list[Row]:
    """Do what a request asks, in the file that it is about; return the rows that are pending again."""
    rows = []
    if request.what == "replay":
        rows = file.replay(request.numbers, now_ms, is_left=is_left, is_risky=request.is_risky)
    else:
        file.purge(request.numbers, now_ms)
    with suppress(OSError):
        request.path.unlink()  # only now: to do it twice changes nothing
    return rows


def _give(fd: int, owner: os.stat_result) -> None:
    """Let the application read the request of its operator, who may be root."""
    with suppress(PermissionError):  # who is not root has the same user, or could write nothing here
        os.fchown(fd, owner.st_uid, owner.st_gid)


def read_requests(db_path: Path) -> list[Request]:
    """Return the requests to the process that has ``db_path``, the oldest first, but for invalid ones.

    Others than our user, root and the owner of the file ask for nothing here.
    """
    pattern = re.compile(re.escape(db_path.name) + _NAME)
    found = []
    with suppress(OSError), os.scandir(db_path.parent) as entries:
        trusted = {0, os.geteuid(), db_path.lstat().st_uid}
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with suppress(OSError, ValueError, RecursionError):  # unreadable, or no request
                    request = _read(Path(entry.path), trusted)
                    found.append((entry.stat().st_mtime_ns, entry.name, request))
    return [request for _, _, request in sorted(found, key=lambda each: each[:2])]


def asked_of(directory: Path) -> set[str]:
    """Return the names of the files in a directory that have requests."""
    with suppress(OSError):
        return {
            name.partition(".request-")[0]
            for name in os.listdir(directory)  # noqa: PTH208  only the names are wanted
            if ".request-" in name
        }
    return set()


def _read(path: Path, trusted: Collection[int]) -> Request:
    """Return the request that a file holds. Raises ``ValueError`` where it holds none, or is a stranger's."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if (why := why_foreign(status.st_mode, status.st_uid, trusted)) is not None:
            raise ValueError(why)
        content = json.loads(os.read(fd, MAX_BYTES))
    finally:
        os.close(fd)
    match content:
        case {"what": "replay" | "purge" as what, "numbers": [*numbers]} if all(map(_is_number, numbers)):
            return Request(path, what, tuple(numbers), content.get("past_dedupe_window") is True)
    raise ValueError(path)


def _is_number(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63  # what SQLite can be asked for
