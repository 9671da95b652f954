"""Check whether a file is whole: by SQLite's own check, and by the checksum of every row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import attrs

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder

from .events import Holder

MAX_NAMED = 5  # complaints of SQLite that are repeated; it makes up to 100


@attrs.frozen
class Findings:
    """What was found in one file, or under one of a relay's keys.

    Attributes:
        path: the file, or the relay's key.
        owner: the process that owns it, as in ``FileFacts``.
        pending: how many pending events are whole.
        dead: how many dead letters are whole.
        is_readable: whether it could be read to its end.
        problems: what is wrong with it, a sentence for each problem.

    """

    path: Holder
    owner: int | None = None
    pending: int = 0
    dead: int = 0
    is_readable: bool = False
    problems: tuple[str, ...] = ()


def verify(folder: Folder, path: Path) -> Findings:
    """Check all of a file, in constant memory, whoever owns it."""
    problems = list(_lacks_wal(path))
    owner, pending, dead, is_readable = None, 0, 0, False
    try:
        owner = folder.owner(path)
        with closing(SpoolFile.peek(path)) as file:
            complaints = file.complaints()
            problems += [f"SQLite: {text}" for text in complaints[:MAX_NAMED]]
            if len(complaints) > MAX_NAMED:
                problems.append(f"SQLite: and {len(complaints) - MAX_NAMED} more")
            pending, damaged = _pending(file)
            problems += _told(damaged, "pending event", "it is not sent", "they are not sent")
            wrong = sum(1 for _ in file.damaged_dead())
            dead = file.dead_count() - wrong
            problems += _told(wrong, "dead letter", "it is not replayed", "they are not replayed")
        is_readable = True
    except SpoolError as error:
        problems.append(str(error).removeprefix(f"{path}: "))
    return Findings(path, owner, pending, dead, is_readable, tuple(problems))


def _pending(file: SpoolFile) -> tuple[int, int]:
    whole = damaged = 0
    for rows, wrong in file.scan():
        whole += len(rows)
        damaged += len(wrong)
    return whole, damaged


def _told(count: int, what: str, one: str, many: str) -> Iterator[str]:
    if count:
        are = f"{what} is damaged (wrong checksum, or no event); {one}"
        these = f"{what}s are damaged (wrong checksums, or no events); {many}"
        yield f"1 {are}" if count == 1 else f"{count:,} {these}"


def _lacks_wal(path: Path) -> Iterator[str]:
    """Report a missing -wal; ask before the file is opened, which makes a new one."""
    if Path(f"{path}-shm").exists() and not Path(f"{path}-wal").exists():
        yield "its -wal file is missing, though its -shm file is there: what was written last is lost"
