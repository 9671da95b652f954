"""The SQLite connections of this process, by which a test does to a file what a disk can do."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import suppress
from pathlib import Path


def handle_of(path: Path) -> sqlite3.Connection:
    """The connection that this process has to a file, and writes by."""
    # By type(), not isinstance(): that would look into whatever lazy objects the process has.
    (handle,) = [each for each in gc.get_objects() if type(each) is sqlite3.Connection and _is_to(each, path)]
    return handle


def _is_to(handle: sqlite3.Connection, path: Path) -> bool:
    with suppress(sqlite3.ProgrammingError):  # it is closed, and kept alive
        for _, _, name in handle.execute("PRAGMA database_list"):
            return Path(bytes.decode(name) if isinstance(name, bytes) else name) == path.resolve()
    return False


def fill(path: Path) -> None:
    """Leave no room on the disk of this file, as SQLite sees it."""
    handle_of(path).execute("PRAGMA max_page_count = 1")


def make_room(path: Path) -> None:
    """Undo ``fill``."""
    handle_of(path).execute("PRAGMA max_page_count = 1000000")


def break_off(path: Path) -> None:
    """Let nothing be done with this file any more by the connection that this process has to it."""
    handle_of(path).close()
