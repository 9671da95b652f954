"""Files and standard input, as events."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper.cli.send.bad_line import BadLine
from togai_shipper.cli.send.columns import BadHeader
from togai_shipper.cli.send.event_fields import map_of
from togai_shipper.cli.send.inputs import Input, LineFormat, Unreadable, total
from togai_shipper.cli.send.parsing import MAX_LINE, lines_of

NDJSON = LineFormat(is_csv=False)
CSV = LineFormat(is_csv=True, complete=True)
AT = "2026-01-31T23:59:59Z"
HEADER = b"schema_name,account_id,timestamp,dimensions.note\n"
ROW = b"s,a,2026-01-31T23:59:59Z,"


def read(content: bytes, form: LineFormat, path: Path | None = None) -> list[tuple[int, bytes | None, Any]]:
    """What is read: the number, the bytes, and the account or note, or what is wrong."""
    stdin = io.BytesIO(content) if path is None else None
    source = Input("it", path, form, stdin=stdin)
    source.check()
    return [
        (number, raw, str(facts) if isinstance(facts, BadLine) else _told(facts, form))
        for number, raw, facts in source.events()
    ]


def _told(facts: dict[str, Any], form: LineFormat) -> Any:
    return facts["dimensions"].get("note") if form.is_csv else facts["account_id"]


def line(account: str) -> bytes:
    return b'{"schema_name":"s","account_id":"%s","timestamp":"2026-01-31T23:59:59Z"}' % account.encode()


# --- lines ------------------------------------------------------------------------------------------------


def test_blank_lines_are_passed_over_and_counted() -> None:
    assert list(lines_of(io.BytesIO(b"\n a\r\n \t\n\r\nb"))) == [(2, b" a"), (5, b"b")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert list(lines_of(io.BytesIO(b"\xef\xbb\xbfa\n\xef\xbb\xbfb"))) == [(1, b"a"), (2, b"\xef\xbb\xbfb")]


@pytest.mark.parametrize("longer", [0, 1, MAX_LINE, 2 * MAX_LINE - 1])
def test_a_line_that_is_too_long_is_passed_over(longer: int) -> None:
    content = b"a\n" + b"x" * (MAX_LINE + longer) + b"\nb\n" + b"x" * (MAX_LINE + longer)

    assert list(lines_of(io.BytesIO(content))) == [(1, b"a"), (2, None), (3, b"b"), (4, None)]


class Endless(io.RawIOBase):
    """Zeros, by the gigabyte if wanted."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count


def test_a_line_without_end_takes_no_memory() -> None:
    tracemalloc.start()

    assert list(lines_of(io.BufferedReader(Endless(200 * MAX_LINE)))) == [(1, None)]

    assert tracemalloc.get_traced_memory()[1] < 10 * MAX_LINE
    tracemalloc.stop()


# --- NDJSON -----------------------------------------------------------------------------------------------


def test_a_bad_line_costs_its_neighbours_nothing() -> None:
    content = b"\n".join([line("a"), b"no", b"\x80\x00\xff", line("b"), b"x" * (MAX_LINE + 1), line("c")])

    assert read(content, NDJSON) == [
        (1, line("a"), "a"),
        (2, b"no", "is not JSON: Expecting value (column 1)"),
        (3, b"\x80\x00\xff", "is not UTF-8 (byte 1)"),
        (4, line("b"), "b"),
        (5, None, "has more than 1,048,576 bytes"),
        (6, line("c"), "c"),
    ]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_whatever_stands_in_a_file_the_good_lines_are_read(garbage: list[bytes]) -> None:
    """Its first line says that it is NDJSON: after a bracket it would be an array."""
    content = line("first") + b"\n"
    for at, piece in enumerate(garbage):
        content += piece.replace(b"\n", b"") + b"\n" + line(f"a{at}") + b"\n"

    expected = [(2 * at + 3, f"a{at}") for at in range(len(garbage))]

    assert [
        each for number, _, told in read(content, NDJSON) if (each := (number, told)) in expected
    ] == expected


# --- CSV --------------------------------------------------------------------------------------------------


def test_a_bad_row_costs_its_neighbours_nothing() -> None:
    content = b"\n".join([HEADER + ROW + b"1", b"s", ROW + b"2,3", ROW + b'"4"x', ROW + b"\xff", ROW + b"5"])

    assert read(content, CSV) == [
        (2, ROW + b"1", "1"),
        (3, b"s", "has 1 column, not 4"),
        (4, ROW + b"2,3", "has 5 columns, not 4"),
        (5, ROW + b'"4"x', "is not CSV: ',' expected after '\"'"),
        (6, ROW + b"\xff", "is not UTF-8 (byte 26)"),
        (7, ROW + b"5", "5"),
    ]


def test_a_cell_may_go_over_several_lines() -> None:
    content = HEADER + ROW + b'"one\ntwo,""2""\nthree"\n' + ROW + b"next\n"

    assert read(content, CSV) == [
        (2, ROW + b'"one\ntwo,""2""\nthree"', 'one\ntwo,"2"\nthree'),
        (5, ROW + b"next", "next"),
    ]


def test_of_blank_lines_those_within_a_cell_are_part_of_it() -> None:
    cell = b'"\n\none\r\n\r\n \t\ntwo\n"'
    content = b"\n" + HEADER + b"\r\n" + ROW + b"1\n \n" + ROW + cell + b"\n\n" + ROW + b"2\n\n"

    assert read(content, CSV) == [
        (4, ROW + b"1", "1"),
        (6, ROW + cell.replace(b"\r", b""), "\n\none\n\n \t\ntwo\n"),
        (14, ROW + b"2", "2"),
    ]


def test_blank_lines_within_a_cell_do_not_count_as_lines_of_a_row() -> None:
    note = "\n\n".join(["x"] * 100)

    assert read(HEADER + ROW + f'"{note}"'.encode(), CSV) == [(2, ROW + f'"{note}"'.encode(), note)]


OPEN = "is not CSV: unexpected end of data"


@pytest.mark.parametrize(
    "following",
    [
        [],
        [ROW + b"1"] * 3,
        [ROW + b"1"] * 200,  # more than a row's lines
        [ROW + b"1" * 40_000] * 2,  # more than a row's bytes
        [ROW + b"1", ROW + b'2" long', ROW + b"3"],  # a quote that closes nothing
        [ROW + b'"closed', b'elsewhere"'],
        [b"", ROW + b"1", b" ", ROW + b'2" long', b"", ROW + b"3", b""],
        [b""] * 70_000 + [b'closed"', ROW + b"1"],  # more than a row's bytes, though nothing is in them
        [ROW + b"1", b'closed",and,too,many,columns'],
        [ROW + b'\xff"'],
        [b"x" * (MAX_LINE + 1), ROW + b"2"],
    ],
)
def test_a_quote_that_is_opened_by_mistake_costs_one_row(following: list[bytes]) -> None:
    content = b"\n".join([HEADER + ROW + b'"oops', *following])
    alone = read(b"\n".join([HEADER.rstrip(), *following]), CSV) if following else []

    told = read(content, CSV)

    assert told[0] == (2, ROW + b'"oops', OPEN)
    assert told[1:] == [(number + 1, raw, what) for number, raw, what in alone]


def test_a_file_without_a_line_has_no_rows() -> None:
    assert read(b"", CSV) == []
    assert read(HEADER, CSV) == []


@pytest.mark.parametrize("header", [b"schema_name,region\n", b"x" * (MAX_LINE + 1), b'"\n'])
def test_a_header_that_makes_no_events_is_told_before_anything_is_read(header: bytes) -> None:
    with pytest.raises(BadHeader):
        read(header, CSV)


# --- files ------------------------------------------------------------------------------------------------


def test_a_file_is_unpacked_if_its_name_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(HEADER + ROW + b"1\n"))

    assert read(b"", LineFormat(is_csv=True, mapped=map_of(["attributes.n==1"])), path) == [
        (2, ROW + b"1", "1")
    ]


def test_how_far_it_is_goes_by_the_file_s_bytes(tmp_path: Path) -> None:
    path, packed = tmp_path / "a.ndjson", tmp_path / "a.ndjson.gz"
    path.write_bytes(line("a") + b"\n")
    packed.write_bytes(gzip.compress(line("a")))
    sources = [Input("a", path, NDJSON), Input("b", packed, NDJSON)]

    for source in sources:
        source.check()
        assert source.position() == 0
        assert len(list(source.events())) == 1
        assert source.position() == source.size
    assert total(sources) == path.stat().st_size + packed.stat().st_size


def test_while_a_file_is_read_its_position_moves(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(line("a"))
    source = Input("a", path, NDJSON)
    source.check()
    events = source.events()

    next(events)

    assert source.position() == source.size
    source.close()
    assert source.position() == 0  # nobody knows


def test_of_standard_input_nobody_knows_the_size() -> None:
    source = Input("-", None, NDJSON, stdin=io.BytesIO(line("a")))
    source.check()

    assert total([source]) is None
    assert len(list(source.events())) == 1
    assert source.position() == 0


def test_a_pipe_is_read_once_though_its_header_is_looked_at_first(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, HEADER + ROW + b"1\n")
    os.close(write_end)
    try:
        assert read(b"", CSV, Path(f"/dev/fd/{read_end}")) == [(2, ROW + b"1", "1")]
    finally:
        os.close(read_end)


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "no", "No such file or directory")):
        with pytest.raises(Unreadable, match=rf"^{why}$"):
            Input("it", path, NDJSON).check()


def test_a_file_that_is_not_packed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(HEADER)

    with pytest.raises(Unreadable, match=r"^is not packed by gzip, though its name says so"):
        Input("it", path, CSV).check()


def test_of_a_packed_file_that_is_cut_all_that_is_there_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    whole = gzip.compress(b"".join(line(os.urandom(16).hex()) + b"\n" for _ in range(10_000)))
    path.write_bytes(whole[: len(whole) // 2])
    there = zlib.decompressobj(wbits=31).decompress(path.read_bytes()).count(b"\n")
    source = Input("it", path, NDJSON)
    source.check()
    got: list[int] = []

    with pytest.raises(Unreadable, match=r"^Compressed file ended"):
        got.extend(number for number, _, _ in source.events())  # what came before the error is kept
    assert got == list(range(1, there + 1))
    assert source.position() == source.size
