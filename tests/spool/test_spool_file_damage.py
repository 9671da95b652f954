"""``spool.rows`` and ``spool.file``: what damage does to a row, and how it is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spool_files import META, NOW, body, events, flipped, letter

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import READ_BYTES, SpoolFile
from togai_shipper.spool.rows import CORRUPT, checksum


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
    one = len(body("a"))
    sizes = [one, one, READ_BYTES - 2 * one, one, READ_BYTES + 1, READ_BYTES // 2, READ_BYTES // 2, one]
    file.append([(NOW, False, body("a", size)) for size in sizes])
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
    assert ([row.body for row in rows], damaged) == ([body("ä"), body("ü")], [2])
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
