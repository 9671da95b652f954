"""A process says in its own file how it stands; who reads it is in nobody's way."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from spooled import die, files
from virtual import World

from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.self_report import SelfReport
from togai_shipper._engine.verdict import Reply
from togai_shipper.spool.disk import Disk
from togai_shipper.spool.file import SELF_REPORT, SpoolFile
from togai_shipper.spool.folder import Folder

UNAUTHORIZED = Reply(401, b'{"message": "no such key"}')


def said(folder: Path) -> SelfReport:
    (path,) = files(folder)
    with closing(SpoolFile.peek(path)) as file:
        report = SelfReport.of_text(file.meta()[SELF_REPORT])
    assert report is not None
    return report


def a_second_passes(w: World) -> None:
    w.clock.now += 1.0
    w.pipeline.store.work_here()


def test_a_file_says_from_the_beginning_how_its_process_stands(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(3)
    assert w.pipeline.sync(1.0)

    assert (said(folder).trouble, said(folder).state, said(folder).pending) == ("", "open", 3)


def test_a_parked_process_says_so_within_a_second_and_why(worlds: Any, folder: Path) -> None:
    w = worlds([UNAUTHORIZED])
    w.put(3)
    w.pipeline.flush(1.0)
    a_second_passes(w)

    report = said(folder)
    assert (report.trouble, report.is_by_key, report.pending, report.requests) == ("parked", True, 3, 1)
    assert report.why == "parked: no such key (HTTP 401)"
    assert "secret" not in report.as_text()


def test_what_was_delivered_last_is_said_and_then_nothing(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(3)
    w.pipeline.flush(10)
    a_second_passes(w)

    assert (said(folder).delivered, said(folder).pending) == (3, 0)
    before = said(folder)
    for _ in range(30):
        a_second_passes(w)
    assert said(folder) == before


def test_a_buffer_that_is_full_says_that_it_refuses(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(2)
    w.pipeline.refuse("full")
    w.pipeline.flush(10)
    a_second_passes(w)

    assert (said(folder).trouble, said(folder).refused_full) == ("refusing", 1)


def test_a_process_that_was_killed_leaves_what_it_said(worlds: Any, folder: Path) -> None:
    w = worlds([UNAUTHORIZED])
    w.put(3)
    w.pipeline.flush(1.0)
    a_second_passes(w)
    die(w)

    assert said(folder).trouble == "parked"


def test_a_process_that_ends_says_why_it_has_left_something(worlds: Any, folder: Path) -> None:
    w = worlds([UNAUTHORIZED] * 10)
    w.put(3)
    w.pipeline.flush(1.0)
    w.pipeline.close(0.5)

    assert (said(folder).state, said(folder).why) == ("closed", "parked: no such key (HTTP 401)")


def test_where_it_cannot_be_written_nothing_else_fails_and_it_is_said_later(
    worlds: Any, folder: Path
) -> None:
    w = worlds([UNAUTHORIZED])
    w.put(3)
    assert w.pipeline.sync(1.0)
    w.pipeline.flush(0.0)
    (path,) = files(folder)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    w.pipeline.flush(1.0)
    a_second_passes(w)
    other.execute("ROLLBACK")
    other.close()

    assert said(folder).trouble == ""
    assert w.pipeline.store.figures()["durable"]
    for _ in range(10):
        a_second_passes(w)
    assert said(folder).trouble == "parked"


def test_an_older_version_reads_a_file_that_says_something(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(1)
    assert w.pipeline.sync(1.0)
    (path,) = files(folder)

    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        ((version,),) = connection.execute("PRAGMA user_version")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        keys = {key for (key,) in connection.execute("SELECT key FROM meta")}
    assert version == 2
    assert tables == {
        *("event", "dead", "meta", "tally", "listed"),
        *("sqlite_sequence", "sqlite_autoindex_dead_1", "sqlite_autoindex_meta_1"),
    }
    assert {"base_url", "clock", SELF_REPORT} <= keys


def test_what_is_said_has_no_event_and_is_short(worlds: Any, folder: Path) -> None:
    w = worlds([Reply(503, b"<html>" + b"x" * 5000)] * 50)
    w.put(3, size=2000)
    w.pipeline.flush(5.0)
    a_second_passes(w)

    text = said(folder).as_text()
    assert len(text) < 1200
    assert "acme" not in text
    assert json.loads(text)["pending"] == 3


def test_a_file_without_a_shipper_says_nothing(tmp_path: Path) -> None:
    disk = Disk(Folder(str(tmp_path)), "https://api.togai.com", 10**9, Runtime())
    disk.open().append([(1, False, b"{}")])

    disk.say()
    disk.close()

    (path,) = files(tmp_path)
    with closing(SpoolFile.peek(path)) as file:
        assert SELF_REPORT not in file.meta()
