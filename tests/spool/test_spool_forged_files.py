"""Files that somebody else has made: nothing in them is run, or goes on without end."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spool_files import NOW, body, events, letter
from spooled import die, files, stats

from togai_shipper._outcome import FlushReport
from togai_shipper.spool.errors import Endless, Forged, SpoolError
from togai_shipper.spool.file import SpoolFile

WITHOUT_END = "WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n)"
EVENT = "seq INTEGER PRIMARY KEY, accepted_ms INTEGER NOT NULL, known INTEGER NOT NULL, body BLOB NOT NULL"
FORGED = {
    "a view without end": [
        "DROP TABLE event",
        f"CREATE VIEW event AS {WITHOUT_END} SELECT seq, 1 known, x'7b7d' body FROM n",  # noqa: S608  ours
    ],
    "a view of dead letters": [
        "DROP TABLE dead",
        f"CREATE VIEW dead AS {WITHOUT_END} SELECT seq number, x'' body FROM n",  # noqa: S608  ours
    ],
    "a view of what is known": [
        "DROP TABLE meta",
        f"CREATE VIEW meta AS {WITHOUT_END} SELECT seq key, seq value FROM n",  # noqa: S608  ours
    ],
    "one view more": ["CREATE VIEW more AS SELECT 1"],
    "one table more": ["CREATE TABLE more (x)"],
    "a trigger": [
        f"CREATE TRIGGER more AFTER DELETE ON event BEGIN {WITHOUT_END} SELECT * FROM n; END"  # noqa: S608  ours
    ],
    "an index": ["CREATE INDEX more ON event (crc)"],
    "an index of an expression": ["CREATE INDEX more ON event (length(body || body))"],
    "a partial index": ["CREATE INDEX more ON event (crc) WHERE length(body) > 1"],
    "a virtual table": [
        "DROP TABLE event",
        f"CREATE VIRTUAL TABLE event USING fts5 ({EVENT.replace(' ', '_')})",
    ],
    "a table without rowid": [
        "DROP TABLE event",
        f"CREATE TABLE event ({EVENT}, crc INTEGER NOT NULL) WITHOUT ROWID",
    ],
    "a generated column": [
        "DROP TABLE event",
        f"CREATE TABLE event ({EVENT}, crc INTEGER AS (length(hex(zeroblob(9)))))",
    ],
    "a check": [
        "DROP TABLE event",
        f"CREATE TABLE event ({EVENT}, crc INTEGER NOT NULL CHECK (crc LIKE '%'))",
    ],
    "a default": [
        "DROP TABLE event",
        f"CREATE TABLE event ({EVENT}, crc INTEGER NOT NULL DEFAULT (random()))",
    ],
    "a column more": ["ALTER TABLE event ADD COLUMN more"],
    "other letters": ["DROP TABLE event", f"create table event ({EVENT}, crc INTEGER NOT NULL)"],
    "statistics": ["ANALYZE"],
}


@pytest.mark.parametrize("statements", FORGED.values(), ids=FORGED.keys())
@pytest.mark.parametrize("how", [SpoolFile.open, SpoolFile.peek, SpoolFile.salvage])
def test_a_file_with_anything_but_our_tables_is_not_read(
    file: SpoolFile,
    path: Path,
    change: Callable[..., None],
    how: Callable[[Path], SpoolFile],
    statements: list[str],
) -> None:
    file.append(events("a"))
    file.bury([letter("b")])
    for statement in statements:
        change(statement)

    with pytest.raises(Forged, match="other tables than a spool's, or more"):
        how(path)


def test_a_table_that_is_another_one_by_its_name_alone_is_not_read(
    file: SpoolFile, path: Path, change: Callable[..., None]
) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'body BLOB', 'body TEXT') WHERE name = 'event'"
    )
    connection.commit()
    connection.close()

    with pytest.raises(Forged):
        SpoolFile.peek(path)


@pytest.mark.parametrize("root", ["1", "(SELECT rootpage FROM sqlite_master WHERE name = 'dead')"])
def test_a_table_that_lies_where_another_one_does_is_not_read(file: SpoolFile, path: Path, root: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(f"UPDATE sqlite_master SET rootpage = {root} WHERE name = 'event'")  # noqa: S608  ours
    connection.commit()
    connection.close()

    with pytest.raises(Forged):
        SpoolFile.salvage(path)


def test_behind_the_last_row_that_sqlite_can_number_there_is_no_other(
    file: SpoolFile, path: Path, change: Callable[..., None]
) -> None:
    file.bury([letter("a")])
    change("INSERT INTO event VALUES (?, 1, 1, x'', 0)", 2**63 - 1)
    again = SpoolFile.open(path)

    with pytest.raises(SpoolError, match="too large"):
        again.replay([1], NOW)
    assert again.dead_count() == 1
    again.close()


def test_a_forged_file_is_set_aside_and_told_while_our_events_go_on(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds()
    first.put(1)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    connection = sqlite3.connect(path)
    for statement in FORGED["a view without end"]:
        connection.execute(statement)
    connection.close()

    second = worlds()
    second.put(3)

    assert second.pipeline.flush(10) == FlushReport(delivered=3)
    (aside,) = folder.glob("*.corrupt-*[0-9]")
    assert f"has other tables than a spool's, or more than those; set aside as {aside}" in caplog.text
    assert f"set aside as {aside}" in str(second.pipeline.health.complaint())
    assert stats(second).durable

    aside.unlink()
    second.clock.now += 120
    second.pipeline.flush(10)
    assert second.pipeline.health.complaint() is None


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much with every look."""
    return itertools.count(0.0, seconds).__next__


def knot(path: Path, table: str) -> None:
    """Let each page of a table's tree lead 500 times to the next, five times: it is read without end."""
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    leaves = [at for at in range(1, len(content) // 4096) if content[at * 4096] == 0x0D][-9:]  # of this table
    levels = [root, *(at + 1 for at in leaves[:5])]
    for page, below in itertools.pairwise(levels):
        cell = below.to_bytes(4, "big") + b"\x7f"
        places = [4096 - 5 * (n + 1) for n in range(500)]
        head = b"\x05\0\0" + (500).to_bytes(2, "big") + places[-1].to_bytes(2, "big") + b"\0" + cell[:4]
        pointers = b"".join(place.to_bytes(2, "big") for place in places)
        content[(page - 1) * 4096 : page * 4096] = (head + pointers).ljust(4096 - 2500, b"\0") + cell * 500
    path.write_bytes(content)


def test_a_statement_without_end_is_broken_off(file: SpoolFile, path: Path) -> None:
    file.append([(NOW, False, body(str(n))) for n in range(2000)])
    file.bury([letter(str(n)) for n in range(2000)])
    file.close()
    knot(path, "dead")
    knotted = SpoolFile.open(path, ticking(1.0))

    with pytest.raises(Endless, match=f"{path}: a statement takes too long"):
        knotted.dead_reasons()
    assert len(list(itertools.islice(knotted.dead(), 9_999))) < 9_999
    assert knotted.pending()[0] == 2000
    knotted.close()


def test_a_statement_that_was_frozen_goes_on(file: SpoolFile, path: Path) -> None:
    read = SpoolFile.peek(path, ticking(3600))
    file.append(events("a"))

    assert read.complaints() == []
    assert read.pending()[0] == 1
    read.close()
