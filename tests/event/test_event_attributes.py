"""What an event's attributes may be, and in which forms they are given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from types import MappingProxyType
from typing import Any

import pytest
from event_facts import Facts, Items, Liar, encoded, refused
from strategies import Given

from togai_shipper import Attribute, InvalidEvent


@pytest.mark.parametrize("kind", [dict, Facts, lambda facts: [Attribute(*item) for item in facts.items()]])
def test_an_event_has_at_most_10_attributes(kind: Any) -> None:
    facts = {f"a{n}": n for n in range(11)}

    error = refused(attributes=kind(facts))

    assert error.field == "attributes"
    assert "must be at most 10" in error.problem
    assert type(kind(facts)).__name__ in error.problem
    del facts["a10"]
    assert len(encoded(attributes=kind(facts))["attributes"]) == 10


def test_a_tuple_may_have_attributes_and_pairs_with_different_names() -> None:
    assert len(encoded(attributes=(Attribute("a", 1), ("b", 2)))["attributes"]) == 2
    assert refused(attributes=(Attribute("a", 1), Attribute("a", 2))).field == "attributes"


@pytest.mark.parametrize(
    "endless", [lambda: (Attribute(f"a{n}", n) for n in count()), lambda: Items(endless_items())], ids=count()
)
def test_of_endless_attributes_11_are_read_at_most(endless: Any) -> None:
    assert refused_attributes(endless()) == "must be at most 10"


def endless_items() -> Iterator[tuple[str, int]]:
    for n in count():
        assert n < 11, "read on"
        yield f"a{n}", n


def refused_attributes(given: Any) -> str:
    with pytest.raises(InvalidEvent) as error:
        encoded(attributes=given)
    assert error.value.field == "attributes"
    return error.value.problem.partition(" (")[0]


@pytest.mark.parametrize("wrong", ["", "x" * 51])
def test_an_attributes_name_and_unit_have_1_to_50_characters(wrong: str) -> None:
    expected = f"must have 1 to 50 characters, not {len(wrong)} (str)"

    assert str(refused(attributes={wrong: 1})) == f"attribute name: {expected}"
    assert str(refused(attributes={"latency": (1, wrong)})) == f"attribute unit: {expected}"
    with pytest.raises(InvalidEvent, match=r"^attribute unit"):
        Attribute("latency", 1, wrong)


@pytest.mark.parametrize(
    "given", [{7: 1}, {None: 1}, {("a",): 1}, {"latency": (1, 7)}, {"latency": (1, ["s"])}]
)
def test_an_attributes_name_and_unit_are_texts(given: Any) -> None:
    assert "must be a str of 1 to 50 characters, not " in refused(attributes=given).problem


@pytest.mark.parametrize(
    "given",
    [
        [Attribute("count", 1), Attribute("count", 2)],
        Items([("count", 1), ("count", 2)]),
        {Liar("count"): 1, Liar("count"): 2},
        {Liar("count"): 1, "count": 2},
    ],
)
def test_attributes_have_different_names(given: Any) -> None:
    error = refused(attributes=given)

    assert error.field == "attributes"
    assert error.problem.startswith("must have different names (")


@pytest.mark.parametrize(
    "given", [None, 7, "count", b"count", object(), [7], ["ab"], [("a", 1, "s")], [Given], {"a"}], ids=count()
)
def test_attributes_that_are_none_are_refused_with_their_type(given: Any) -> None:
    error = refused(attributes=given)

    assert error.field == "attributes"
    assert error.problem.startswith("must ")
    inner = next(iter(given)) if isinstance(given, (list, set)) else given
    assert error.problem.endswith(f"not {type(inner).__name__}")


def test_attributes_may_come_as_mapping_pairs_or_objects_with_or_without_unit() -> None:
    expected = encoded(attributes={"count": 1, "latency": (12.5, "Seconds"), "size": (3, None)})["attributes"]

    assert expected == [
        {"name": "count", "value": "1"},
        {"name": "latency", "value": "12.5", "unit": "Seconds"},
        {"name": "size", "value": "3"},
    ]
    pairs = {"count": 1, "latency": (12.5, "Seconds"), "size": (3, None)}
    objects = [Attribute("count", 1), Attribute("latency", 12.5, "Seconds"), Attribute("size", 3, None)]
    for same in (
        Facts(pairs),
        pairs.items(),
        objects,
        iter(objects),
        tuple(objects),
        MappingProxyType(pairs),
    ):
        assert encoded(attributes=same)["attributes"] == expected


@pytest.mark.parametrize("given", [(1,), (1, "s", "s"), (), [1, "s"]])
def test_a_value_that_is_no_pair_of_amount_and_unit_is_refused(given: Any) -> None:
    error = refused(attributes={"latency": given})

    assert str(error) == f"attributes['latency']: must be a number, not {type(given).__name__}"
