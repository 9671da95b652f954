"""Files in the directory that are not ours to send, or cannot be read: left alone, or set aside, and told."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from spooled import die, files, stats
from virtual import WALL

from togai_shipper._outcome import FlushReport
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.folder import Folder


def test_a_file_for_another_base_url_is_never_shipped(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds(base_url="http://127.0.0.1:9")
    first.put(2)
    first.pipeline.sync(1.0)
    die(first)

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert (stats(second).stranded, stats(second).recovered) == (2, 0)
    assert "2 events on disk are not ours to send" in str(second.pipeline.health.complaint())
    assert "its events are for http://127.0.0.1:9; they are not sent from here" in caplog.text
    assert second.server.paths == [("/ingestBatch", 1)]

    third = worlds(base_url="http://127.0.0.1:9")
    third.pipeline.flush(0.0)
    assert third.pipeline.flush(10) == FlushReport(delivered=2)


def of_a_newer_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def no_spool(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [(of_a_newer_version, "of a newer version"), (no_spool, "is an SQLite file, but no spool")],
)
def test_a_file_that_is_not_ours_is_left_alone(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture, change: Any, says: str
) -> None:
    first = worlds()
    first.put(1)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    change(path)
    before = path.read_bytes()

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert path.read_bytes() == before
    assert f"{path}: " in caplog.text
    assert says in caplog.text
    assert "it is left alone" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"garbage " * 1000, None], ids=["empty", "garbage", "without its WAL"]
)
def test_a_file_that_cannot_be_read_is_set_aside_and_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    first = worlds()
    first.put(1)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(b"" if content is None else content)

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert second.pipeline.flush(0) == FlushReport()
    (aside,) = folder.glob("*.corrupt-*")
    assert f"set aside as {aside}" in caplog.text
    assert path not in files(folder)


@pytest.mark.parametrize("how", ["overwritten", "cut off"])
def test_a_file_with_damaged_pages_gives_what_can_be_read(worlds: Any, folder: Path, how: str) -> None:
    first = worlds()
    ids = first.put(2000)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    if how == "overwritten":
        content[40 * 4096 : 43 * 4096] = b"\xff" * 3 * 4096
    else:
        del content[-5 * 4096 :]
    path.write_bytes(content)

    second = worlds()
    for _ in range(40):  # a piece each
        second.pipeline.flush(100)

    assert 1850 < len(second.server.metered) < 2000
    assert set(second.server.metered) < set(ids)
    assert len(list(folder.glob("*.corrupt-*"))) == 1


def test_a_file_of_which_the_beginning_alone_is_left_is_set_aside(worlds: Any, folder: Path) -> None:
    first = worlds()
    first.put(2000)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:4096])

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert len(list(folder.glob("*.corrupt-*"))) == 1
    assert stats(second).durable


def test_a_damaged_file_that_cannot_be_set_aside_is_left_and_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Folder(str(folder))
    made.prepare()
    path = folder / "host-1-00000000.db"
    path.write_bytes(b"garbage " * 1000)
    Path(f"{path}.corrupt-{int((WALL + 1000.0) * 1000)}").mkdir()

    w = worlds()
    w.put(1)
    w.pipeline.flush(0.0)
    assert f"left as it is: {path}: cannot be renamed" in caplog.text
    assert w.pipeline.flush(10) == FlushReport(delivered=1)


def test_a_file_whose_process_died_while_it_was_made_is_removed_without_a_word(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Folder(str(folder))
    made.prepare()
    claim = made.new()
    claim.path.touch()
    claim.release()

    w = worlds()
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(delivered=1)
    w.pipeline.close(1)
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert caplog.text == ""


def test_what_is_no_file_is_left_and_told_and_what_comes_after_it_is_adopted(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds()
    first.put(2)
    first.pipeline.sync(1.0)
    die(first)
    for name in ("a", "b"):
        os.mkfifo(folder / f"{name}-1-00000000.db")

    second = worlds()
    second.put(1)
    second.pipeline.flush(0.0)
    assert second.pipeline.flush(10) == FlushReport(delivered=3)
    assert (stats(second).stranded, stats(second).recovered, stats(second).durable) == (2, 2, True)
    assert caplog.text.count("is no regular file; what is in it is not sent from here") == 1
    assert "not ours to send" in str(second.pipeline.health.complaint())
