"""Paths into nested JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper.cli.send.json_paths import left_over, path_of, text_of_path, tree_of, value_at, without

names = st.text("ab.\\0", max_size=4)
values = st.recursive(
    st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def paths_in(value: Any) -> list[tuple[str, ...]]:
    """Of all that is no object and no list, and not null."""
    if type(value) is dict:
        return [(name, *rest) for name, inner in value.items() for rest in paths_in(inner)]
    if type(value) is list:
        return [(str(at), *rest) for at, inner in enumerate(value) for rest in paths_in(inner)]
    return [] if value is None else [()]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("id", ("id",)),
        ("customer.id", ("customer", "id")),
        ("items.0.count", ("items", "0", "count")),
        (r"customer\.id", ("customer.id",)),
        (r"a\.b.c\\.d", ("a.b", "c\\", "d")),
        (r"C:\temp", (r"C:\temp",)),
        ("a\\", ("a\\",)),
        (".a..b", ("", "a", "", "b")),
        ("", ("",)),
        ("äö.\n", ("äö", "\n")),
    ],
)
def test_dots_divide_a_path_unless_a_backslash_is_before_them(text: str, path: tuple[str, ...]) -> None:
    assert path_of(text) == path


@given(st.lists(names, min_size=1).map(tuple))
def test_there_is_a_text_for_each_path(path: tuple[str, ...]) -> None:
    assert path_of(text_of_path(path)) == path


@given(st.dictionaries(names, values, max_size=3))
def test_whatever_an_object_holds_is_reached_by_its_path(value: dict[str, Any]) -> None:
    for path in paths_in(value):
        assert type(value_at(path, value)) is int


@pytest.mark.parametrize(
    "path", ["b", "a.2", "a.00", "a.-1", "a.x", "a.\u0661", "n.x", "a.0.x", "o.0", "a.9999999999"]
)
def test_what_is_not_there_is_null(path: str) -> None:
    assert value_at(path_of(path), {"a": [1, 2], "n": None, "o": {"00": 1}}) is None


@given(st.dictionaries(names, values, max_size=3), st.data())
def test_a_value_is_what_paths_lead_to_and_what_is_left_over(
    value: dict[str, Any], data: st.DataObject
) -> None:
    there = paths_in(value)
    used = data.draw(st.lists(st.sampled_from(there), max_size=3)) if there else []
    if tree := tree_of(used):
        left = {path for path in left_over(value, tree) if value_at(path, value) is not None}

        assert all(path[: len(each)] != each for each in left for path in used)
        assert set(there) - set(used) == {
            path for path in there for each in left if path[: len(each)] == each
        }
        beside = without(value, tree)
        assert beside == {
            name: inner for name, inner in value.items() if all(name != path[0] for path in used)
        }


def test_a_path_takes_all_that_it_leads_to() -> None:
    tree = tree_of([("a", "b"), ("a",), ("c", "0")])

    assert list(left_over({"a": {"b": 1, "x": 2}, "c": [1, {"d": 2}], "e": None}, tree)) == [
        ("c", "1"),
        ("e",),
    ]
    assert without([1, 2, 3], {"1": {}}) == [1, 3]


def test_a_text_where_a_path_leads_further_is_left_over() -> None:
    assert list(left_over("gold", tree_of([("plan", "name")]))) == [()]
