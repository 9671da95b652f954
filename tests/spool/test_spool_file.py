"""``spool.file``: what is kept of pending events, and who may open a file."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from spool_files import META, NOW, body, events, letter
from sqlite_handles import fill

from togai_shipper.spool.errors import Damaged, NotOurs, SpoolError, SpoolFull
from togai_shipper.spool.file import PAGE, SpoolFile
from togai_shipper.spool.rows import ROW_BYTES, Row
from togai_shipper.spool.schema import FORMAT


def test_what_is_appended_is_read_in_its_order_and_in_parts(file: SpoolFile) -> None:
    first = file.append(events("a", "ü", "c"))

    assert first == 1
    assert file.read(0, 2) == (
        [
            Row(1, NOW, known=False, body=body("a")),
            Row(2, NOW + 1, known=False, body=body("ü")),
        ],
        [],
    )
    assert [row.seq for row in file.read(2, 2)[0]] == [3]
    assert file.read(3, 2) == ([], [])
    assert file.read_one(2) == Row(2, NOW + 1, known=False, body=body("ü"))
    assert file.read_one(4) is None
    assert file.last_seq() == 3
    assert file.oldest_ms() == NOW
    assert file.append(events("d")) == 4


def test_what_is_settled_is_gone_and_the_rest_stays(file: SpoolFile) -> None:
    file.append(events("a", "b", "c"))

    file.remove([1, 3, 99])

    assert [row.seq for row in file.read(0, 9)[0]] == [2]
    assert file.pending() == (1, len(body("b")) + ROW_BYTES)


def test_what_is_removed_is_not_written_once_more(file: SpoolFile, path: Path) -> None:
    file.append([(NOW, True, b"x" * 50_000) for _ in range(20)])
    assert file.empty_wal()

    file.remove(range(1, 21))

    assert path.with_name(path.name + "-wal").stat().st_size < 100_000


def test_an_empty_file_says_so(file: SpoolFile) -> None:
    assert (file.pending(), file.last_seq(), file.oldest_ms()) == ((0, 0), 0, None)
    assert (file.dead_count(), file.dead_reasons(), list(file.dead())) == (0, {}, [])
    assert list(file.scan()) == []


def test_all_is_there_again_after_the_file_was_closed(file: SpoolFile, path: Path) -> None:
    file.append(events("a", "b"))
    file.close()

    again = SpoolFile.open(path)

    assert [row.seq for row in again.read(0, 9)[0]] == [1, 2]
    assert again.append(events("c")) == 3
    assert again.meta() == META
    again.close()


def test_what_was_appended_survives_kill_9(path: Path) -> None:
    program = (
        "import os, sys, pathlib\nfrom togai_shipper.spool.file import SpoolFile\n"
        "file = SpoolFile.create(pathlib.Path(sys.argv[1]), {})\n"
        "file.append([(1, False, b'{}')] * 3)\nos.kill(os.getpid(), 9)"
    )

    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=60, check=False)

    assert done.returncode == -signal.SIGKILL
    file = SpoolFile.peek(path)
    assert file.pending()[0] == 3
    file.close()


def test_a_scan_goes_through_every_row_a_page_at_a_time(file: SpoolFile) -> None:
    file.append(events(*map(str, range(2 * PAGE + 1))))

    pages = [[row.seq for row in rows] for rows, _ in file.scan()]

    assert list(map(len, pages)) == [PAGE, PAGE, 1]
    assert [seq for page in pages for seq in page] == list(range(1, 2 * PAGE + 2))


def test_a_scan_of_pages_that_lead_to_themselves_comes_to_an_end(file: SpoolFile, path: Path) -> None:
    class Endlessly(SpoolFile):
        def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
            return super().read(0, limit)

    file.append(events("a"))

    with closing(Endlessly.open(path)) as again:
        assert [row.seq for rows, _ in again.scan() for row in rows] == [1, 1]


def test_a_file_is_read_while_its_process_writes(file: SpoolFile, path: Path) -> None:
    reader = SpoolFile.peek(path)
    file.append(events("a"))

    assert reader.pending()[0] == 1
    with pytest.raises(SpoolError, match="readonly"):
        reader.append(events("b"))
    assert file.append(events("b")) == 2
    reader.close()


def test_a_file_is_its_owner_s_alone(file: SpoolFile, path: Path) -> None:
    file.append(events("a"))

    modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}

    assert modes == {path.name: 0o600, f"{path.name}-wal": 0o600, f"{path.name}-shm": 0o600}


# --- whose it is, and how it is ---------------------------------------------------------------------------


def test_sqlite_s_own_check_says_what_it_finds(file: SpoolFile, path: Path) -> None:
    file.bury([letter("needle")])
    assert file.complaints() == []
    file.close()
    before, found, after = path.read_bytes().rpartition(b"needle")
    assert found
    path.write_bytes(before + b"noodle" + after)  # in the index alone

    read = SpoolFile.peek(path)

    assert read.complaints() != []
    read.close()


@pytest.mark.parametrize("how", [SpoolFile.open, SpoolFile.peek])
def test_a_file_of_nothing_is_damaged(how: Callable[[Path], SpoolFile], path: Path) -> None:
    path.write_bytes(b"")

    with pytest.raises(Damaged, match="holds nothing"):
        how(path)


@pytest.mark.parametrize("how", [SpoolFile.open, SpoolFile.peek])
def test_garbage_is_damaged(how: Callable[[Path], SpoolFile], path: Path) -> None:
    path.write_bytes(os.urandom(5000))

    with pytest.raises(Damaged, match=f"{path}: .*not a database"):
        how(path)


def test_without_its_wal_a_new_file_is_damaged(path: Path) -> None:
    file = SpoolFile.create(path, META)
    file.append(events("a"))
    alone = path.with_name("host-7-ffffffff.db")
    alone.write_bytes(path.read_bytes())
    file.close()

    with pytest.raises(Damaged, match="-wal"):
        SpoolFile.peek(alone)


def test_a_foreign_database_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    with pytest.raises(NotOurs, match="no spool"):
        SpoolFile.open(path)


def test_a_file_of_a_newer_version_is_left_alone(
    file: SpoolFile, path: Path, change: Callable[..., None]
) -> None:
    file.close()
    change(f"PRAGMA user_version = {FORMAT + 1}")

    with pytest.raises(NotOurs, match=f"its format is {FORMAT + 1}, of a newer version"):
        SpoolFile.peek(path)


@pytest.mark.parametrize("statement", ["DROP TABLE event", "ALTER TABLE event RENAME COLUMN body TO bodx"])
def test_a_file_without_its_tables_is_damaged(
    file: SpoolFile, change: Callable[..., None], statement: str
) -> None:
    change(statement)

    with pytest.raises(Damaged):
        file.read(0, 9)


# --- a disk that does not do what it should ----------------------------------------------------------------


def test_a_file_that_is_there_already_is_not_made_again(file: SpoolFile, path: Path) -> None:
    with pytest.raises(SpoolError, match=f"{path}: File exists"):
        SpoolFile.create(path, META)


def test_a_file_that_cannot_be_made_is_closed(path: Path) -> None:
    with pytest.raises(SpoolError, match="supported"):
        SpoolFile.create(path, {"base_url": object()})  # type: ignore[dict-item]  # what SQLite refuses


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(SpoolError, match="No such file"):
        SpoolFile.peek(Path("/nowhere/host-7-0123abcd.db"))


def test_a_full_disk_leaves_the_file_as_it_was(file: SpoolFile, path: Path) -> None:
    file.append(events("a"))
    fill(path.parent)

    with pytest.raises(SpoolFull, match=f"{path}: .*full"):
        file.append([(NOW, False, b"x" * 100_000)])

    assert [row.seq for row in file.read(0, 9)[0]] == [1]


# --- where nothing can be written ---------------------------------------------------------------------------


def nowhere(_: Path) -> bool:
    return False


def test_what_is_left_is_read_as_it_lies_where_nothing_can_be_made_beside_it(
    file: SpoolFile, path: Path
) -> None:
    file.append([(1, False, b"a")])
    file.close()
    assert not Path(f"{path}-shm").exists()

    found = SpoolFile.peek(path, may_write=nowhere)

    assert found.pending()[0] == 1
    assert not Path(f"{path}-shm").exists()
    found.close()


def test_a_living_process_s_file_is_read_there_with_what_it_writes(file: SpoolFile, path: Path) -> None:
    file.append([(1, False, b"a")])

    found = SpoolFile.peek(path, may_write=nowhere)

    assert found.pending()[0] == 1
    found.close()


def test_a_file_whose_last_part_could_not_be_read_there_is_not_read_in_part(
    file: SpoolFile, path: Path, tmp_path: Path
) -> None:
    file.append([(1, False, b"a")])
    killed = tmp_path / "killed.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")

    with pytest.raises(SpoolError, match=r"killed\.db: cannot be read in a directory"):
        SpoolFile.peek(killed, may_write=nowhere)

    file.close()  # all of it is in the file then
    shutil.copy(path, killed)
    Path(f"{killed}-wal").write_bytes(b"")
    SpoolFile.peek(killed, may_write=nowhere).close()
