"""Files of events, made and changed as only damage does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.rows import DeadLetter

DAY = 86_400_000  # milliseconds
NOW = 100 * DAY
META = {"base_url": "https://api.togai.com", "pid": "7"}


def letter(name: str = "a", reason: str = "rejected", accepted_ms: int = NOW, **facts: object) -> DeadLetter:
    body = b'{"id":"%s"}' % name.encode()
    made = DeadLetter(name, accepted_ms, body, reason, 400, "no such schema", 3, NOW)
    return attrs.evolve(made, **facts)


def events(*names: str) -> list[tuple[int, bool, bytes]]:
    return [(NOW + n, False, b'{"id":"%s"}' % name.encode()) for n, name in enumerate(names)]


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


def flipped(original: bytes, bit: int) -> bytes:
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
