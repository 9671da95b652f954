"""Whatever lies in a spool's directory: it ends nothing, hurts no other file, brings nothing but events."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import strategies as st
from virtual import World, world

from tests.spool.spooled import die
from togai_shipper.sandbox import contract
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.requests import MAX_BYTES, read_requests

SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock", ".corrupt-1", ".request-00000001", ".request-1")

# --- what a stranger, a crash or a bad disk leaves ----------------------------------------------------------


@attrs.frozen
class Whole:
    """A file that holds three events, all of it in the file itself: its bytes, and the events."""

    content: bytes
    events: list[Any]


@pytest.fixture(scope="module")
def whole() -> Whole:
    with tempfile.TemporaryDirectory() as folder:
        first = world(spool=folder)
        first.put(3)
        first.pipeline.sync(1.0)
        die(first)
        [path] = Path(folder).glob("*.db")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA journal_mode = DELETE")
            events = [json.loads(body) for (body,) in connection.execute("SELECT body FROM event")]
        return Whole(path.read_bytes(), events)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of it that are others, where there is something, and perhaps an end that is cut off."""
    places = st.sampled_from([at for at, byte in enumerate(whole) if byte])
    changes = st.lists(st.tuples(places, st.binary(min_size=1, max_size=2)), min_size=1, max_size=6)

    def changed(found: tuple[list[tuple[int, bytes]], int]) -> bytes:
        data = bytearray(whole)
        for at, new in found[0]:
            data[at : at + len(new)] = new
        return bytes(data[: found[1]])

    cuts = st.just(len(whole)) | st.integers(0, len(whole))
    return st.tuples(changes, cuts).map(changed)


bases = st.builds("host-{}-{:08x}.db".format, st.integers(1, 9), st.integers(0, 3))
ours = st.builds(str.__add__, bases, st.sampled_from(SUFFIXES))
odd = st.sampled_from(
    ["a.db", "-1-.db", "host-1-0000000g.db", "x" * 200, "\x1b[2J-1-00000000.db", "\udcff.db", ".db"]
)
others = odd | st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
number = (
    st.integers(-5, 5) | st.integers() | st.sampled_from([2**63, -(2**63) - 1, 1.0, True, None, "1", [1]])
)
numbers = st.lists(number, max_size=5) | st.none() | st.text(max_size=3)
asked = st.fixed_dictionaries(
    {"what": st.sampled_from(["replay", "purge", "purge", "drop", None]), "numbers": numbers},
    optional={"window": numbers},
)
requests = st.binary(max_size=60) | asked.map(lambda what: json.dumps(what).encode())


def litter(whole: bytes) -> st.SearchStrategy[dict[str, bytes]]:
    """Some files, by their names; among them one that once was a spool's."""
    content = st.binary(max_size=100) | damaged(whole) | requests
    some = st.dictionaries(ours | others, content, max_size=5)
    return st.builds(lambda files, base, once: {**files, base: once}, some, bases, damaged(whole))


# --- a process that has to do with it -----------------------------------------------------------------------


class Tracebacks(logging.Handler):
    """Keeps the exceptions that the library logs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(self.format(record))


@contextmanager
def quietly() -> Iterator[list[str]]:
    """Collect the tracebacks that are logged meanwhile, and nothing else."""
    logger, handler = logging.getLogger("togai_shipper"), Tracebacks()
    logger.addHandler(handler)
    try:
        yield handler.found
    finally:
        logger.removeHandler(handler)


def left_behind(folder: Path) -> list[str]:
    """The ids of three events in a file whose process is gone."""
    gone = world(spool=str(folder), random=lambda: 0.5)
    ids = gone.put(3)
    gone.pipeline.sync(1.0)
    die(gone)
    return ids


def lay(folder: Path, files: dict[str, bytes]) -> dict[Path, bytes]:
    """Write files, but for those that are there; return those that were written."""
    laid = {}
    for name, content in files.items():
        path = folder / name
        try:
            if not os.path.lexists(path):
                path.write_bytes(content)
                laid[path] = content
        except OSError:  # a name that this file system has not
            continue
    return laid


def deliver(w: World) -> None:
    for _ in range(6):
        w.pipeline.flush(100)


def test_other_files_are_adopted_and_delivery_goes_on_beside_any_files(fuzz: Any, whole: Whole) -> None:
    @fuzz(litter(whole.content), requests, few=25, many=2_000)
    def holds(files: dict[str, bytes], request: bytes) -> None:
        with tempfile.TemporaryDirectory() as name, quietly() as tracebacks:
            folder = Path(name)
            ids = left_behind(folder)
            [path] = folder.glob("*.db")
            laid = lay(folder, {**files, f"{path.name}.request-0000000a": request})
            w = world(spool=str(folder))
            try:
                ids += w.put(2)
                deliver(w)

                assert set(ids) <= set(w.server.metered)
                for event_id, event in w.server.seen.items():
                    contract.check(event, "event")
                    assert event_id in ids or event in whole.events
                for path, content in laid.items():
                    if not re.match(r".+-\d+-[0-9a-f]{8}\.db", path.name, re.DOTALL):
                        assert path.read_bytes() == content, path
                assert tracebacks == []
            finally:
                die(w)


def test_any_bytes_beside_a_file_are_a_request_or_none_and_none_is_removed(fuzz: Any) -> None:
    long = requests.map(lambda content: content + b" " * MAX_BYTES)
    names = st.sampled_from(
        [".request-00000001", ".request-0000000f", ".request-00000001.new", ".request-", "-wal"]
    )

    @fuzz(st.dictionaries(names, requests | long, max_size=4), few=60, many=10_000)
    def holds(files: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            db = Path(folder, "host-7-0123abcd.db")
            laid = lay(db.parent, {db.name + suffix: content for suffix, content in files.items()})
            for found in read_requests(db):
                assert re.fullmatch(r".+\.request-[0-9a-f]{8}", found.path.name)
                assert found.what in ("replay", "purge")
                assert all(type(number) is int and -(2**63) <= number < 2**63 for number in found.numbers)
            assert {path: path.read_bytes() for path in db.parent.iterdir()} == laid


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
EVENT = {
    "schemaName": "s",
    "timestamp": "2026-01-01T00:00:00.000Z",
    "accountId": "a",
    "attributes": [],
    "dimensions": {},
}
near = st.dictionaries(st.sampled_from([*EVENT, "id", "x"]), values, max_size=2).map(
    lambda some: {"id": "q", **EVENT, **some}
)
bodies = (
    st.binary(min_size=1, max_size=40)
    | values.map(lambda value: json.dumps(value).encode())
    | near.map(lambda event: json.dumps(event).encode())
    | near.map(lambda event: (json.dumps(event) + "," + json.dumps({**event, "id": "second"})).encode())
)


def test_what_is_no_event_never_reaches_the_wire_and_holds_up_nobody(fuzz: Any) -> None:
    @fuzz(st.lists(bodies, min_size=1, max_size=4), few=25, many=2_000)
    def holds(hostile: list[bytes]) -> None:
        with tempfile.TemporaryDirectory() as name, quietly() as tracebacks:
            folder = Path(name)
            ids = left_behind(folder)
            file = SpoolFile.create(folder / "host-99-00000000.db", {"base_url": "http://127.0.0.1:1"})
            file.append([(int(time.time() * 1000), False, body) for body in hostile])
            file.close()
            w = world(spool=str(folder))
            try:
                ids += w.put(2)
                deliver(w)
                assert set(ids) <= set(w.server.metered)
                for event in w.server.seen.values():
                    contract.check(event, "event")
                assert tracebacks == []
            finally:
                die(w)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "fifo"])
def test_what_is_no_regular_file_ends_nothing_and_is_not_followed(fuzz: Any, kind: str) -> None:
    @fuzz(st.sets(ours, min_size=1, max_size=4), few=15, many=500)
    def holds(names: set[str]) -> None:
        with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as elsewhere:
            folder, target = Path(name), Path(elsewhere, "precious")
            ids = left_behind(folder)
            target.write_bytes(b"precious")
            for each in names:
                path = folder / each
                if kind == "folder":
                    path.mkdir()
                elif kind == "fifo":
                    os.mkfifo(path)
                else:
                    path.symlink_to(target if kind == "link" else Path(elsewhere, "nothing"))
            w = world(spool=name)
            try:
                ids += w.put(2)
                deliver(w)
                assert set(ids) <= set(w.server.metered)
                assert target.read_bytes() == b"precious"
                assert list(Path(elsewhere).iterdir()) == [target]
            finally:
                die(w)
