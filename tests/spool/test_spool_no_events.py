"""Rows that somebody else has written: their checksum is right, their body is no event, and none is sent."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from spool_files import NOW, body, letter
from spooled import die, files, letters, stats

from togai_shipper._outcome import FlushReport
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.rows import CORRUPT, checksum

TWO = body("a") + b"," + body("b")
NO_EVENTS = [
    b'{"x":1}',
    TWO,
    b"",
    b"7",
    body("a") + b" ",
    body("a")[:-1],
    b"\xff",
    body("a").replace(b"a", b"a" * 99),
]


def forge(path: Path, *bodies: bytes) -> None:
    """Replace the bodies of the first rows, each with the checksum that is right for it."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT seq, accepted_ms, known FROM event ORDER BY seq").fetchall()
    for (seq, accepted_ms, known), forged in zip(rows, bodies, strict=False):
        crc = checksum(accepted_ms, bool(known), forged)
        connection.execute("UPDATE event SET body = ?, crc = ? WHERE seq = ?", (forged, crc, seq))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("forged", NO_EVENTS, ids=range(len(NO_EVENTS)))
def test_what_is_no_event_is_damaged_and_its_neighbours_are_read(
    file: SpoolFile, path: Path, forged: bytes
) -> None:
    file.append([(NOW, False, forged), (NOW, False, body("b"))])
    file.bury([letter("c", body=forged), letter("d", reason=CORRUPT, body=forged), letter("e")])

    rows, damaged = file.read(0, 9)
    assert ([row.seq for row in rows], damaged) == ([2], [1])
    assert file.read_as_they_lie(0, 9) == (rows, [1])
    assert file.replay([1, 2], NOW) == []
    assert [dead.reason for _, dead in file.dead()] == [CORRUPT, CORRUPT, "rejected"]
    assert list(file.damaged_dead()) == [1]


def test_of_an_orphan_what_is_no_event_stays_there_and_the_others_are_sent(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds()
    ids = first.put(4)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    forge(path, b'{"x":1}', TWO)

    second = worlds()
    second.pipeline.flush(0.0)

    assert second.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(second.server.metered) == {*ids[2:]}
    assert (stats(second).corrupt_rows, stats(second).pending) == (2, 0)
    assert f"{path}: 2 events are damaged on disk, and not sent" in caplog.text
    (aside,) = folder.glob("*.corrupt-*[0-9]")
    kept = SpoolFile.peek(aside)
    assert [kept.raw(1), kept.raw(2), kept.pending()[0]] == [b'{"x":1}', TWO, 2]
    kept.close()


def test_of_our_own_file_what_is_no_event_becomes_a_dead_letter_and_is_told(
    worlds: Any, folder: Path
) -> None:
    told: list[Exception] = []
    w = worlds(max_queue_size=2, on_error=lambda error, _: told.append(error))
    ids = [w.put(1)[0] for _ in range(4) if w.pipeline.sync(1.0)]
    w.pipeline.sync(1.0)
    forge(files(folder)[0], b"", b"", TWO)  # the first is in memory already

    assert w.pipeline.flush(10) == FlushReport(delivered=2, dropped=2)
    assert set(w.server.metered) == {ids[0], ids[3]}
    assert [(each.reason, each.body) for each in letters(folder)] == [(CORRUPT, b""), (CORRUPT, TWO)]
    assert all("corrupt" in str(error) for error in told)
    assert told
