"""What events have in common, as it is read from their bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._event import KINDS, encode, traits_of

WHEN = "2026-01-01T00:00:00.000Z"
names = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
odd = st.text("ab,:{}[]\\\"'", min_size=1, max_size=5)
facts = st.tuples(
    names, names, st.dictionaries(names, st.integers(), max_size=3), st.dictionaries(names, names)
)


def encoded(schema: str, account: str, attributes: Any, dimensions: Any, event_id: str = "1") -> bytes:
    return encode(schema, account, attributes, dimensions, WHEN, event_id)


@given(facts, facts)
def test_events_share_an_account_a_schema_or_both_exactly_where_those_are_the_same(
    one: Any, other: Any
) -> None:
    first, second = dict(traits_of(encoded(*one))), dict(traits_of(encoded(*other)))

    assert tuple(first) == KINDS
    assert (first["schema"] == second["schema"]) is (one[0] == other[0])
    assert (first["account"] == second["account"]) is (one[1] == other[1])
    assert (first["account and schema"] == second["account and schema"]) is (one[:2] == other[:2])


@given(st.dictionaries(odd, odd, max_size=3), st.dictionaries(odd, odd, max_size=3))
def test_two_shapes_are_the_same_exactly_where_the_dimensions_have_the_same_names(
    one: dict[str, str], other: dict[str, str]
) -> None:
    first, second, third = (
        dict(traits_of(encoded("call", "acme", {"count": 1}, dimensions)))["shape"]
        for dimensions in (one, other, dict.fromkeys(one, "eu"))
    )

    assert first == third
    assert (first == second) is (list(one) == list(other))


@given(facts, st.integers(), odd)
def test_a_shape_is_the_names_and_not_the_values(fact: Any, number: int, text: str) -> None:
    schema, account, attributes, _ = fact
    others = dict.fromkeys(attributes, number)

    one = dict(traits_of(encoded(schema, account, attributes, {"region": "eu"}, "1")))
    another = dict(traits_of(encoded(schema, "someone", others, {"region": text}, "2")))

    assert one["shape"] == another["shape"]


def test_another_name_schema_or_unit_makes_another_shape() -> None:
    shapes = {
        dict(traits_of(encoded(*fact)))["shape"]
        for fact in (
            ("call", "acme", {"count": 1}, {}),
            ("read", "acme", {"count": 1}, {}),
            ("call", "acme", {"number": 1}, {}),
            ("call", "acme", {"count": (1, "ms")}, {}),
            ("call", "acme", {"count": 1}, {"region": "eu"}),
        )
    }

    assert len(shapes) == 5


def test_the_shape_is_left_out_where_nobody_asks_for_it() -> None:
    event = encoded("call", "acme", {}, {})

    assert traits_of(event, shape=False) == tuple(trait for trait in traits_of(event) if trait[0] != "shape")


def test_bytes_that_are_no_event_have_nothing_in_common() -> None:
    assert traits_of(b"{}") == ()
