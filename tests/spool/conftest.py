"""What the spool's tests start from: a directory, worlds that spool to it, and a file of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from spool_files import META
from spooled import die
from virtual import World, world

from togai_shipper.spool.file import SpoolFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def worlds(folder: Path) -> Iterator[Any]:
    """Makes worlds that spool to one directory, and ends them."""
    made: list[World] = []

    def make(replies: Any = (), **options: Any) -> World:
        made.append(world(replies, **{"spool": str(folder), **options}))
        return made[-1]

    yield make
    for each in made:
        die(each)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host-7-0123abcd.db"


@pytest.fixture
def file(path: Path) -> Iterator[SpoolFile]:
    made = SpoolFile.create(path, META)
    yield made
    made.close()


@pytest.fixture
def change(file: SpoolFile, path: Path) -> Callable[..., None]:
    """Do to the file what only damage does."""

    def execute(statement: str, *parameters: object) -> None:
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(statement, parameters)
        connection.close()

    return execute
