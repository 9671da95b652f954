"""JSON that is not one object a line: an array, objects one after another, objects over several lines."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper.cli.send.json_objects import (
    MAX_DEPTH,
    NoEnd,
    _backslashes_before,
    _is_half,
    are_objects,
    objects_of,
)
from togai_shipper.cli.send.parsing import MAX_LINE, OpenObject

texts = st.text(st.sampled_from('ab"\\{}[],:\n\t é€😀'), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.lists(st.dictionaries(texts, values, max_size=4), max_size=6)
indents = st.sampled_from([None, 0, 1, 4, "\t"])
ends = st.sampled_from(["\n", "\r\n"])


def array(content: list[Any], indent: int | str | None) -> str:
    return json.dumps(content, indent=indent, ensure_ascii=False)


def one_after_another(content: list[Any], indent: int | str | None, between: str) -> str:
    return between.join(json.dumps(each, indent=indent, ensure_ascii=False) for each in content)


arrays = st.builds(lambda *it: (it[0], array(*it)), objects, indents)
sequences = st.builds(
    lambda *it: (it[0], one_after_another(*it)),
    objects,
    indents,
    st.sampled_from(["", " ", "\n", ",\n", "\n\n"]),
)
written = st.tuples(arrays | sequences, ends).map(
    lambda it: (it[0][0], it[0][1].replace("\n", it[1]).encode())
)


def read(content: bytes, *, complete: bool = False, at_once: int = MAX_LINE) -> list[bytes | None]:
    return [text for _, text in objects_of(io.BytesIO(content), complete=complete, at_once=at_once)]


@given(written, st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_each_object_comes_out_on_one_line_however_they_are_written(
    it: tuple[list[Any], bytes], mark: bytes
) -> None:
    content, raw = it

    found = read(mark + raw)

    assert [json.loads(text or b"") for text in found] == content
    assert all(text is not None and b"\n" not in text for text in found)


@given(written, st.integers(1, 9))
def test_wherever_a_long_line_is_cut_while_it_is_read_the_objects_are_the_same(
    it: tuple[list[Any], bytes], at_once: int
) -> None:
    content, raw = it

    assert [json.loads(text or b"") for text in read(raw, at_once=at_once)] == content


@given(written, st.data())
def test_wherever_a_file_is_cut_the_whole_objects_are_read_and_the_rest_is_told(
    it: tuple[list[Any], bytes], data: st.DataObject
) -> None:
    content, raw = it
    cut = data.draw(st.integers(0, len(raw)))

    whole, found = read(raw), read(raw[:cut])

    left = [text for text in found if type(text) is OpenObject]
    good = [text for text in found if type(text) is not OpenObject]
    assert found == [*good, *left]
    assert [*map(bytes.strip, good)] == [*map(bytes.strip, whole[: len(good)])]  # type: ignore[arg-type]
    if len(good) < len(content) and raw.startswith(b"["):
        assert len(left) == (cut > 0)
    if cut == len(raw):
        assert not left


@given(objects, indents, indents)
def test_the_text_of_objects_over_several_lines_does_not_depend_on_how_they_are_indented(
    content: list[Any], one: int | str | None, other: int | str | None
) -> None:
    nested = [{"a": each, "b": 1} for each in content]
    if None not in (one, other):
        assert read(array(nested, one).encode()) == read(one_after_another(nested, other, "\n").encode())


def test_the_text_of_an_object_on_one_line_is_that_of_the_line() -> None:
    assert read(b'[{"a": 1}, {"b":  2} ,{"c":3}]') == [b'{"a": 1}', b'{"b":  2}', b'{"c":3}']
    assert read(b'[\n  {"a": 1},\r\n  {"b": 2} ,\n\t{"c": 3} \n]') == [
        b'  {"a": 1}',
        b'  {"b": 2}',
        b'\t{"c": 3} ',
    ]
    assert read(b'{"a": 1}{"b": 2} {"c": 3}\n {"d": 4} \r\n') == [
        *(b'{"a": 1}', b'{"b": 2}', b'{"c": 3}', b' {"d": 4} ')
    ]


lines = st.builds(
    lambda before, value, after: before + json.dumps(value) + after,
    st.sampled_from(["", " ", "\t", "[", "{", ", ", '"', "x"]),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 3), min_size=1, max_size=2),
    st.sampled_from(["", " ", ",", "]", "}", '"', " {", "\r"]),
)


@given(st.lists(lines, max_size=8), st.sampled_from(["", "[\n", "{\n", '{"a":\n', "[[\n"]))
def test_what_has_an_id_as_a_line_keeps_it(some: list[str], first: str) -> None:
    content = (first + "".join(f"{each}\n" for each in some)).encode()
    try:
        found = read(content)
    except NoEnd:
        return
    there = [line.rstrip(b"\r") for line in content.split(b"\n")]
    for text in found:
        likely = [line for line in there if text and text.strip() in line]
        if likely and all(map(is_object, likely)):
            assert text in likely


def is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def pages(*contents: list[Any]) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in contents)


def test_arrays_may_follow_one_another() -> None:
    assert read(pages([{"a": 1}, {"a": 2}], [], [{"a": 3}])) == [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}']


def test_what_is_no_object_comes_out_by_itself() -> None:
    found = read(b'[1, "a, b", [{"a": 1}], null, {"b": 2}]\nnext, "a": 2}\n{"c": 3}')

    assert found == [b"1", b'"a, b"', b'[{"a": 1}]', b"null", b'{"b": 2}', b"next", b'"a": 2}', b'{"c": 3}']


# --- what is broken ---------------------------------------------------------------------------------------

GOOD = {"a": {"b": [1, {"c": 2}]}, "d": "x"}
BROKEN = [
    '"a": tru',
    '"a": "no end',
    '"a": {"b": 1',
    '"a": [1',
    '"a": [1}',
    '"a": 1}, "b": 2',
    '"a": ],',
    '"a": "\\"',
    '"a" {"b": 1',
]


@pytest.mark.parametrize("indent", [0, 2])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_object_over_several_lines_costs_no_other(broken: str, indent: int) -> None:
    good, blanks = json.dumps(GOOD, indent=indent), " " * indent
    bad = f'{{\n{blanks}{broken},\n{blanks}"z": 1\n}}'
    for content in (
        f"{good}\n{bad}\n{good}\n{good}\n",
        "[\n" + f"{good},\n{bad},\n{good},\n{good}".replace("\n", "\n" + blanks) + "\n]\n",
    ):
        told = [text for text in read(content.encode()) if text and is_object(text)]

        assert told.count(json.dumps(GOOD, separators=(",", ":")).encode()) == 3


@pytest.mark.parametrize("broken", ["tru", '{"b": 1, }', "[1}", '"\\q"', "{]"])
def test_a_broken_object_of_an_array_on_one_line_costs_no_other(broken: str) -> None:
    found = read(f'[{{"a": 1}}, {{"a": {broken}}}, {{"a": 2}}]'.encode())

    assert [text for text in found if text and is_object(text)] == [b'{"a": 1}', b'{"a": 2}']


@pytest.mark.parametrize("broken", ['{"b": 1', '{"b": "x"', '{"b": [1]'])
def test_after_a_comma_the_next_object_begins_though_a_brace_is_missing(broken: str) -> None:
    assert b'{"a": 2}' in read(f'[{{"a": 1}}, {broken}, {{"a": 2}}, {{"a": 3}}]'.encode())


def test_a_writer_that_died_costs_one_object() -> None:
    half = '{\n "a": 1,\n "b": "unfin\n'
    content = json.dumps(GOOD, indent=1) + "\n" + half + json.dumps({"a": 2}, indent=1) + '\n{"a": 3}\n'

    assert read(content.encode())[1:] == [b'{"a":1,"b":"unfin', b'{"a":2}', b'{"a": 3}']


@pytest.mark.parametrize(
    "content",
    [b'[{"a": 1}, {"a": "x}, {"a": 2}]', b'{\n"a": {"b": 1}\n"c": {\n', b"[" + b"[" * (MAX_DEPTH + 2)],
    ids=["quote", "bracket", "depth"],
)
def test_where_nobody_can_tell_where_an_object_ends_it_says_so(content: bytes) -> None:
    with pytest.raises(NoEnd):
        read(content)


def test_an_array_that_is_not_closed_is_told_unless_all_is_there() -> None:
    assert read(b'[{"a": 1}') == [b'{"a": 1}', OpenObject()]
    assert read(b'[{"a": 1}', complete=True) == [b'{"a": 1}']
    assert [type(text) for text in read(b'[{"a": 1},\n{"b')] == [bytes, OpenObject]
    assert read(b"[") == [OpenObject()]


# --- memory -----------------------------------------------------------------------------------------------


class Stream(io.RawIOBase):
    """An array of as many parts as wanted, made as it is read."""

    def __init__(self, first: bytes, part: bytes, times: int, last: bytes) -> None:
        self._parts: Iterator[bytes] = iter([first, *[part] * times, last])
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._ready = self._ready or next(self._parts, b"")
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count


PARTS = 10_000  # of a kilobyte each


@pytest.mark.parametrize(
    ("first", "part", "last", "count"),
    [
        (b"[", b'{"a": "' + b"x" * 1000 + b'"}, ', b"]", PARTS),
        (b"[\n", b'{\n "a": "' + b"x" * 1000 + b'"\n},\n', b"]", PARTS),
        (b" ", b'{"a": "' + b"x" * 1000 + b'"}', b"", PARTS),
        (b'[{"a": "', b"x" * 1000, b'"}, {}]', 2),
        (b'[{"a": "', b'\\"' * 500, b'"}, {}]', 2),
        (b'[{"a": [', b"1, " * 300, b"1]}, {}]", 2),
        (b'[{"a": [\n', (b'"b", ' * 25 + b"\n") * 8, b'"c"]}, {}]', 2),
        (b"[", (b" " * 124 + b"\n") * 8, b"{}]", 1),
    ],
    ids=["one line", "lines", "sequence", "string", "escapes", "figures", "long", "blank"],
)
def test_memory_is_bounded_whatever_its_size(first: bytes, part: bytes, last: bytes, count: int) -> None:
    stream = io.BufferedReader(Stream(first, part, PARTS, last))
    tracemalloc.start()
    try:
        found = sum(1 for _ in objects_of(stream))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == count
    assert peak < 8 * MAX_LINE


def test_an_object_that_is_too_long_is_passed_over() -> None:
    too_long = '{"a": "' + "x" * MAX_LINE + '\\"y"}'

    assert read(f'[{{"b": 1}}, {too_long}, {{"c": 2}}]'.encode()) == [b'{"b": 1}', None, b'{"c": 2}']


# --- which it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "are"),
    [
        (b"[", True),
        (b'\xef\xbb\xbf \n [{"a": 1}', True),
        (b"{\n", True),
        (b'{"a": {\n', True),
        (b'{ "a": 1,\r\n', True),
        (b'{"a": 1}{"b": 2}\n', True),
        (b'{"a": 1} {\n', True),
        (b'{"a": 1},\n', True),
        (b"", False),
        (b"\n\n", False),
        (b'{"a": 1}\n', False),
        (b'  {"a": 1}  \n', False),
        (b'{"a": 1}', False),
        (b'{"a": 1', False),
        (b'{"a": "x\n', False),
        (b'{"a": 1]\n', False),
        (b'{"a": 1} x\n', False),
        (b"a,b\n", False),
        (b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"\n", False),
    ],
)
def test_by_its_first_line_it_is_known_whether_there_is_one_object_a_line(head: bytes, are: object) -> None:
    assert are_objects(head) is are


def test_what_is_nested_too_deep_for_the_parser_may_be_half_an_object() -> None:
    assert _is_half(b"[" * 200_000)


def test_backslashes_before_a_place_are_counted() -> None:
    assert [_backslashes_before(rb"a\\b", at) for at in (1, 2, 3, 4)] == [0, 1, 2, 0]
