"""``spool.rows`` and ``spool.file``: what is kept, and what damage does to it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_handles import fill

from togai_shipper.spool.errors import Damaged, NotOurs, SpoolError, SpoolFull
from togai_shipper.spool.file import PAGE, READ_BYTES, SpoolFile
from togai_shipper.spool.rows import (
    CORRUPT,
    PAST_WINDOW,
    ROW_BYTES,
    DeadLetter,
    Row,
    checksum,
    is_past_window,
)
from togai_shipper.spool.schema import FORMAT

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


# --- pending events ---------------------------------------------------------------------------------------


def test_what_is_appended_is_read_in_its_order_and_in_parts(file: SpoolFile) -> None:
    first = file.append(events("a", "ü", "c"))

    assert first == 1
    assert file.read(0, 2) == (
        [
            Row(1, NOW, known=False, body=b'{"id":"a"}'),
            Row(2, NOW + 1, known=False, body='{"id":"ü"}'.encode()),
        ],
        [],
    )
    assert [row.seq for row in file.read(2, 2)[0]] == [3]
    assert file.read(3, 2) == ([], [])
    assert file.read_one(2) == Row(2, NOW + 1, known=False, body='{"id":"ü"}'.encode())
    assert file.read_one(4) is None
    assert file.last_seq() == 3
    assert file.oldest_ms() == NOW
    assert file.append(events("d")) == 4


def test_what_is_settled_is_gone_and_the_rest_stays(file: SpoolFile) -> None:
    file.append(events("a", "b", "c"))

    file.remove([1, 3, 99])

    assert [row.seq for row in file.read(0, 9)[0]] == [2]
    assert file.pending() == (1, 10 + ROW_BYTES)


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


# --- dead letters -----------------------------------------------------------------------------------------


def test_a_dead_letter_takes_its_row_s_place(file: SpoolFile) -> None:
    file.append(events("a", "b"))

    file.bury([letter("a")], [1])

    assert [row.seq for row in file.read(0, 9)[0]] == [2]
    assert list(file.dead()) == [(1, letter("a"))]
    assert (file.dead_count(), file.dead_reasons()) == (1, {"rejected": 1})


def test_a_letter_buried_twice_is_one_and_another_event_of_its_id_is_two(file: SpoolFile) -> None:
    file.bury([letter("a")])
    file.bury([letter("a")])
    assert file.dead_count() == 1

    file.bury([letter("a", body=b'{"id":"a","accountId":"other"}')])

    assert file.dead_count() == 2


def test_a_letter_that_cannot_be_kept_leaves_its_row_where_it_is(file: SpoolFile) -> None:
    file.append(events("a"))

    with pytest.raises(SpoolError, match="NOT NULL"):
        file.bury([letter("b"), letter("a", message=None)], [1])

    assert file.pending()[0] == 1
    assert file.dead_count() == 0


def test_the_number_of_a_purged_letter_names_no_other(file: SpoolFile) -> None:
    file.bury([letter("a"), letter("b")])

    file.purge([2])
    file.bury([letter("c")])

    assert [(number, dead.id) for number, dead in file.dead()] == [(1, "a"), (3, "c")]


def test_a_replayed_letter_is_pending_and_keeps_its_window(file: SpoolFile) -> None:
    file.append(events("x"))
    young, old = letter("a", accepted_ms=NOW - 39 * DAY), letter("b", accepted_ms=NOW - 41 * DAY)
    file.bury([young, old, letter("c")])

    rows = file.replay([1, 2, 99], NOW)

    assert rows == [
        Row(2, young.accepted_ms, known=True, body=young.body),
        Row(3, NOW, known=True, body=old.body),
    ]
    assert file.read(1, 9) == (rows, [])
    assert [dead.id for _, dead in file.dead()] == ["c"]
    assert file.append(events("y")) == 4


def test_more_letters_than_a_page_are_replayed_and_listed(file: SpoolFile) -> None:
    file.bury([letter(str(n)) for n in range(PAGE + 2)])
    numbers = [number for number, _ in file.dead()]

    rows = file.replay(numbers, NOW)

    assert [row.seq for row in rows] == list(range(1, PAGE + 3))
    assert (file.dead_count(), file.pending()[0]) == (0, PAGE + 2)


def test_a_replay_that_fails_changes_nothing(file: SpoolFile, change: Callable[..., None]) -> None:
    file.bury([letter("a")])
    change("INSERT INTO event VALUES (1, 1, 0, x'00', 0)")  # where the replayed one would go

    with pytest.raises(SpoolError, match="UNIQUE"):
        file.replay([1], NOW)

    assert (file.dead_count(), file.pending()[0]) == (1, 1)


def test_a_damaged_letter_is_told_as_corrupt_and_never_replayed(
    file: SpoolFile, change: Callable[..., None]
) -> None:
    file.bury([letter("a"), letter("b"), letter("c", reason=CORRUPT)])
    change("UPDATE dead SET body = replace(body, 'a', 'b') WHERE number = 1")

    assert file.replay([1, 3], NOW) == []

    (_, damaged), (_, whole), (_, corrupt) = file.dead()
    assert damaged.reason == CORRUPT
    assert damaged.message == "damaged on disk; it was rejected: no such schema"
    assert (whole, corrupt.reason) == (letter("b"), CORRUPT)
    assert list(file.damaged_dead()) == [1]


@pytest.mark.parametrize("column", ["id", "accepted_ms", "body", "reason", "message", "attempts", "dead_ms"])
@pytest.mark.parametrize("value", [b"\xff", "x", 1.5, 10**15])
def test_a_letter_s_column_of_a_wrong_type_breaks_nothing(
    file: SpoolFile, change: Callable[..., None], column: str, value: object
) -> None:
    file.bury([letter("a"), letter("b"), letter("c")])
    change(f"UPDATE dead SET {column} = ?, status = x'00' WHERE number = 2", value)  # noqa: S608  ours

    letters = [dead for _, dead in file.dead()]

    assert (letters[0], letters[2]) == (letter("a"), letter("c"))
    assert isinstance(letters[1].body, bytes)
    assert letters[1].status is None


def test_whose_window_is_past() -> None:
    assert not is_past_window(letter(accepted_ms=NOW - 40 * DAY), NOW)
    assert is_past_window(letter(accepted_ms=NOW - 40 * DAY - 1), NOW)
    assert is_past_window(letter(reason=PAST_WINDOW), NOW)


# --- damage -----------------------------------------------------------------------------------------------


@given(accepted_ms=st.integers(0, 2**45), known=st.booleans(), body=st.binary(min_size=1), bit=st.integers(0))
def test_a_flipped_bit_changes_the_checksum(accepted_ms: int, known: bool, body: bytes, bit: int) -> None:  # noqa: FBT001  a row's columns
    damaged = flipped(body, bit % (8 * len(body)))

    assert checksum(accepted_ms, known, damaged) != checksum(accepted_ms, known, body)
    assert checksum(accepted_ms + 1, known, body) != checksum(accepted_ms, known, body)
    assert checksum(accepted_ms, not known, body) != checksum(accepted_ms, known, body)


@pytest.mark.parametrize("damaged", [[], [1, 4, 5, 7, 8]])
def test_no_more_than_some_bytes_are_read_at_once(
    file: SpoolFile, change: Callable[..., None], damaged: list[int]
) -> None:
    sizes = [1, 1, READ_BYTES - 2, 1, READ_BYTES + 1, READ_BYTES // 2, READ_BYTES // 2, 1]
    file.append([(NOW, False, b"x" * size) for size in sizes])
    for seq in damaged:
        change("UPDATE event SET accepted_ms = x'00ff' WHERE seq = ?", seq)

    pieces = [[0]]
    while pieces[-1]:
        rows, wrong = file.read(pieces[-1][-1], 99)
        assert set(wrong) <= set(damaged)
        pieces.append(sorted([row.seq for row in rows] + wrong))

    assert pieces == [[0], [1, 2, 3], [4], [5], [6, 7], [8], []]


def test_a_body_that_damage_makes_a_number_is_not_taken_for_a_length(
    file: SpoolFile, change: Callable[..., None]
) -> None:
    file.append(events("ä", "ö"))

    change("UPDATE event SET body = 12 WHERE seq = 2")

    assert file.raw(1) == events("ä")[0][2]
    assert file.raw(2) == file.raw(3) == b""


@pytest.mark.parametrize(
    "damage",
    [
        "body = x'7b7d'",
        "body = 12",
        "accepted_ms = accepted_ms + 1",
        "accepted_ms = x'00ff'",
        "accepted_ms = '2026'",
        "accepted_ms = 1.5",
        "known = 1",
        "crc = crc + 1",
        "crc = x'00'",
    ],
)
def test_a_damaged_row_is_named_and_its_neighbours_are_read(
    file: SpoolFile, change: Callable[..., None], damage: str
) -> None:
    file.append(events("ä", "ö", "ü"))

    change(f"UPDATE event SET {damage} WHERE seq = 2")  # noqa: S608  ours

    rows, damaged = file.read(0, 9)
    assert ([row.body for row in rows], damaged) == (['{"id":"ä"}'.encode(), '{"id":"ü"}'.encode()], [2])
    assert file.read_one(2) is None


def test_a_body_whose_type_alone_is_damaged_is_whole(file: SpoolFile, change: Callable[..., None]) -> None:
    file.append(events("ä", "ö", "ü"))

    change("UPDATE event SET body = CAST(body AS TEXT) WHERE seq = 2")

    rows, damaged = file.read(0, 9)
    assert ([row.seq for row in rows], damaged) == ([1, 2, 3], [])


def test_what_is_no_number_is_not_the_oldest(file: SpoolFile, change: Callable[..., None]) -> None:
    file.append(events("a"))

    change("UPDATE event SET accepted_ms = x'00'")

    assert file.oldest_ms() is None


def test_no_flipped_bit_makes_a_wrong_event_or_an_error_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "host-7-0123abcd.db"
    file = SpoolFile.create(path, META)
    file.append(events("ä", "b", "c"))
    file.bury([letter("d")])
    right = {row.body for row in file.read(0, 9)[0]}
    file.close()  # what is in the -wal is in the file now
    original = path.read_bytes()
    bits = [8 * place + bit for place, byte in enumerate(original) if byte for bit in range(8)]
    damaged = unread = 0

    for bit in bits[::23]:  # of 12,000, all of which were tried once
        path.write_bytes(flipped(original, bit))
        try:
            read = SpoolFile.peek(path)
        except SpoolError:
            unread += 1
            continue
        try:
            for rows, wrong in read.scan():
                assert {row.body for row in rows} <= right
                damaged += len(wrong)
            for _, dead in read.dead():
                assert dead.reason == CORRUPT or dead.body == letter("d").body
            for ask in (read.pending, read.oldest_ms, read.dead_reasons, read.meta, read.complaints):
                ask()
        except SpoolError:
            unread += 1
        finally:
            read.close()

    assert damaged
    assert unread


def flipped(original: bytes, bit: int) -> bytes:
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


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
    with pytest.raises(SpoolError, match="unable to open"):
        SpoolFile.peek(Path("/nowhere/host-7-0123abcd.db"))


def test_a_full_disk_leaves_the_file_as_it_was(file: SpoolFile, path: Path) -> None:
    file.append(events("a"))
    fill(path)

    with pytest.raises(SpoolFull, match=f"{path}: .*full"):
        file.append([(NOW, False, b"x" * 100_000)])

    assert [row.seq for row in file.read(0, 9)[0]] == [1]
