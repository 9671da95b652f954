"""The SQLite connections of this process, by which a test does to its files what a disk can do.

Python tells of each connection by an audit event, which asks nothing of the library.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_writing: defaultdict[Path, dict[str, sqlite3.Connection]] = defaultdict(dict)  # by directory and file's name
_opening = threading.local()


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect":
        _opening.database = urlsplit(os.fsdecode(arguments[0]))  # bytes, on Python 3.10
    elif event == "sqlite3.connect/handle" and _opening.database.query == "mode=rw":
        path = Path(unquote(_opening.database.path))
        _writing[path.parent][path.name] = arguments[0]


sys.addaudithook(_note)


def handle_of(path: Path) -> sqlite3.Connection:
    """The connection by which this process writes a file."""
    return _writing[path.parent.absolute()][path.name]


def fill(folder: Path) -> None:
    """Leave no room on the disk for the files of this directory that are open, as SQLite sees it."""
    _allow_pages(folder, 1)


def make_room(folder: Path) -> None:
    """Undo ``fill``."""
    _allow_pages(folder, 1_000_000)


def _allow_pages(folder: Path, count: int) -> None:
    for handle in _writing[folder.absolute()].values():
        with suppress(sqlite3.ProgrammingError):  # it was closed
            handle.execute(f"PRAGMA max_page_count = {count}")


def break_off(path: Path) -> None:
    """Let nothing be done with this file any more by the connection that this process has to it."""
    handle_of(path).close()
