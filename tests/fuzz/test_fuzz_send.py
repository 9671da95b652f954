"""Whatever bytes a file holds: ``togai-shipper send`` has one outcome for each line, in bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from togai_shipper import InvalidEvent, Shipper
from togai_shipper.cli.send.bad_line import BadLine
from togai_shipper.cli.send.chosen import is_csv
from togai_shipper.cli.send.columns import BadHeader, Columns, header_of
from togai_shipper.cli.send.inputs import Input, LineFormat, Unreadable
from togai_shipper.cli.send.json_fields import JsonFields
from togai_shipper.cli.send.parsing import MAX_LINE, Read, is_blank, lines_of, read_csv, read_json

HEADER = b"schema_name,account_id,timestamp,attributes.n\n"
EVENT = {"schema_name": "s", "account_id": "a", "timestamp": "2026-01-31T23:59:59Z", "attributes": {"n": 1}}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*EVENT, "schemaName", "id", "dimensions", "idempotency_key", "event_id"]) | st.text(
    max_size=4
)
objects = st.dictionaries(names, values, max_size=5).map(lambda some: json.dumps({**EVENT, **some}).encode())
odd = st.sampled_from(
    [
        b"",
        b" ",
        b"\r",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xff",
        b"[" * 2000,
        b'{"a":' * 2000,
        b"1e999",
        b"NaN",
        b"9" * 5000,
        b'"',
        b'""',
        b'"a',
        b'a"',
        b"s,a,2026-01-31T23:59:59Z,1",
        b's,a,2026-01-31T23:59:59Z,"1',
        b'",,,',
        b"\x85",
        b"\x1c",
        b"x" * (MAX_LINE - 1),
        b"x" * MAX_LINE,
        b"x" * (MAX_LINE + 1),
        b'"' * MAX_LINE,
    ]
)
lines = st.binary(max_size=30) | objects | odd
contents = (
    st.binary(max_size=200)
    | st.lists(lines, max_size=12).map(b"\n".join)
    | st.lists(lines, max_size=6).map(b"\r\n".join)
)


class Stream(io.BytesIO):
    """A file that is only ever read by the line, and never by a longer one than ``MAX_LINE``."""

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= MAX_LINE
        return super().readline(size)

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("all of it at once")


def outcome(shipper: Shipper, fields: Any) -> str:
    """What becomes of a line: it is bad, or its event is refused or accepted; nothing else may happen."""
    if isinstance(fields, BadLine):
        assert str(fields)
        return "bad"
    try:
        return "accepted" if shipper.track(**fields) else "refused"
    except InvalidEvent:
        return "refused"


def test_every_line_of_ndjson_has_one_outcome(fuzz: Any) -> None:
    with Shipper(enabled=False, strict=True) as shipper:

        @fuzz(contents, few=60, many=20_000)
        def holds(content: bytes) -> None:
            there = [number for number, _ in lines_of(Stream(content))]
            found = [
                (number, outcome(shipper, fields))
                for number, _, fields in read_json(lines_of(Stream(content)), JsonFields({}))
            ]

            assert [number for number, _ in found] == there
            told = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
            assert len(there) == sum(not is_blank(line.rstrip(b"\r")) for line in told)


def says_nothing(line: bytes | None) -> bool:
    cells = "" if line is None else line.decode(errors="replace").translate(dict.fromkeys(b',"', " "))
    return line is not None and not cells.removeprefix("\ufeff").strip()


def test_every_line_of_csv_is_in_one_row_and_each_row_has_one_outcome(fuzz: Any) -> None:
    with Shipper(enabled=False, strict=True) as shipper:

        @fuzz(contents, few=60, many=20_000)
        def holds(content: bytes) -> None:
            left = dict(lines_of(Stream(content), blank=True))
            columns = Columns(header_of(HEADER.rstrip()), {}, ignoring=False)
            for number, raw, fields in read_csv(lines_of(Stream(content), blank=True), columns):
                outcome(shipper, fields)
                parts = [None] if raw is None else raw.split(b"\n")
                assert [left.pop(number + place) for place in range(len(parts))] == parts
            assert all(map(says_nothing, left.values()))


def read_file(path: Path, form: LineFormat) -> Iterator[Read]:
    source = Input(path.name, path, form)
    source.check()
    yield from source.events()


NAMES = ["a.ndjson", "a.ndjson.gz", "a.csv", "a.csv.gz", "A.TSV"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_bytes_is_read_or_told_to_be_unreadable(fuzz: Any, name: str) -> None:
    packed = contents.map(lambda content: gzip.compress(content, mtime=0))
    cut = st.tuples(packed, st.integers(0, 60), st.binary(max_size=4)).map(
        lambda it: it[0][: it[1]] + it[2] + it[0][it[1] + 2 :]
    )
    wide = contents.map(lambda content: content.decode("latin-1").encode("utf-16"))
    begun = st.tuples(st.sampled_from([HEADER, b"[", b"{\n", b"[\n  {", b"\xff\xfe", b"sep=;\n"]), contents)
    whole = contents | packed | cut | wide | begun.map(b"".join)

    @fuzz(whole, few=40, many=5_000)
    def holds(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(content)
            numbers = []
            form = LineFormat(is_csv=is_csv(name, None))
            events = set()
            with suppress(Unreadable, BadHeader):
                for number, line, fields in read_file(path, form):
                    numbers.append(number)
                    if not isinstance(fields, BadLine):
                        events.add((number, line))
            assert numbers == sorted(set(numbers))
            with suppress(Unreadable, BadHeader):
                for number, line in Input(name, path, form).raw_lines():  # of which ids are taken
                    events.discard((number, line))
            assert not events


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv"])
def test_a_pipe_is_read_as_a_file_is_though_its_beginning_is_looked_at(fuzz: Any, name: str) -> None:
    def told(reads: Iterator[Read]) -> list[tuple[int, bytes | None, str]]:
        got = []
        with suppress(Unreadable):
            for number, line, fields in reads:
                got.append((number, line, str(fields)))  # what came before the error is kept
        return got

    packed = contents.map(lambda content: gzip.compress(HEADER + content)[:-4])

    @fuzz(
        contents | packed | contents.map(lambda content: HEADER + content),
        st.integers(0, 5),
        few=40,
        many=5_000,
    )
    def holds(content: bytes, looked_at: int) -> None:
        form = LineFormat(is_csv=is_csv(name, None))
        pipe = Input(name, None, form, stdin=io.BytesIO(content))
        with tempfile.TemporaryDirectory() as folder, suppress(BadHeader, Unreadable):
            path = Path(folder, name)
            path.write_bytes(content)
            pipe.check()
            for _ in islice(pipe.beginning(), looked_at):
                pass
            assert told(pipe.events()) == told(read_file(path, form))


@pytest.mark.parametrize(
    "unit", [b"x" * 1024, b'"' * 1024, b"[" * 1024, b'"' + b"x" * 1022 + b"\n", b',"' * 512], ids='x"[r,'
)
@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.csv.gz"])
def test_a_file_that_unpacks_to_a_hundred_times_its_size_is_read_in_bounded_memory(
    tmp_path: Path, name: str, unit: bytes
) -> None:
    path = tmp_path / name
    with gzip.open(path, "wb") as file:
        file.write(HEADER)
        for _ in range(16 * 1024):  # 16 MB
            file.write(unit)

    tracemalloc.start()
    try:
        for _ in read_file(path, LineFormat(is_csv="csv" in name)):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MAX_LINE
