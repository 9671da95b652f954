"""What a line of JSON says with ``--map``, and without what it does not say."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sending import AT, Send, accounts, line, write

from togai_shipper import InvalidEvent, Shipper
from togai_shipper.cli.send.bad_line import BadLine
from togai_shipper.cli.send.event_fields import map_of
from togai_shipper.cli.send.json_fields import JsonFields
from togai_shipper.testing import FakeTogai

NESTED = {
    "customer": {"id": "acme", "tags": ["eu", "gold"]},
    "at": "2026-01-31 23:59:59 UTC",
    "usage": [{"calls": 3, "ms": 12.5}],
}
MAPS = (
    "schema_name==api_call",
    "account_id=customer.id",
    "timestamp=at",
    "attributes.calls=usage.0.calls",
    "attributes.ms=usage.0.ms",
    "attributes.ms.unit==Milliseconds",
    "dimensions.region=customer.tags.0",
    "dimensions.tier=customer.tags.1",
)
EVENT = {"schema_name": "api_call", "account_id": "acme", "timestamp": AT}


def fields_of(given: Any, *maps: str, ignoring: bool = False) -> dict[str, Any]:
    return JsonFields(map_of(maps), ignoring=ignoring).fields(json.dumps(given).encode())


def why_bad(given: Any, *maps: str, ignoring: bool = False) -> str:
    with pytest.raises(BadLine) as bad:
        fields_of(given, *maps, ignoring=ignoring)
    return str(bad.value)


def test_map_says_which_path_is_a_field_and_which_text_is_the_same_for_all() -> None:
    fields = fields_of(NESTED, *MAPS)

    assert {**fields, "attributes": {name: str(value) for name, value in fields["attributes"].items()}} == {
        "schema_name": "api_call",
        "account_id": "acme",
        "timestamp": "2026-01-31T23:59:59.000Z",
        "attributes": {"calls": "3", "ms": "(Decimal('12.5'), 'Milliseconds')"},
        "dimensions": {"region": "eu", "tier": "gold"},
    }


@pytest.mark.parametrize("without", [("customer", "tags", 1), ("usage", 0, "calls")])
def test_a_path_to_null_or_to_nothing_gives_no_field(without: tuple[Any, ...]) -> None:
    for is_there in (True, False):
        given = json.loads(json.dumps(NESTED))
        inner = given
        for step in without[:-1]:
            inner = inner[step]
        if is_there:
            inner[without[-1]] = None
        else:
            del inner[without[-1]]
        fields = fields_of(given, *MAPS)

        assert len(fields["attributes"]) + len(fields["dimensions"]) == 3


def test_a_needed_field_that_is_not_there_is_told_with_its_path() -> None:
    assert why_bad(line_with_flat_names(), r"account_id=customer.id", ignoring=True) == (
        "account_id: is missing (there is no customer.id)"
    )
    assert fields_of(line_with_flat_names(), r"account_id=customer\.id")["account_id"] == "acme"
    flat = {**EVENT, "account_id": None}
    assert why_bad(flat, r"account_id=a\.b.c", ignoring=True) == (
        r"account_id: is missing (there is no a\.b.c)"
    )


def line_with_flat_names() -> dict[str, Any]:
    return {"schema_name": "s", "timestamp": AT, "customer.id": "acme"}


@pytest.mark.parametrize(
    ("given", "maps", "unknown"),
    [
        ({"note": "?"}, (), "note"),
        ({"note": None}, (), "note"),
        ({"a.b": 1}, (), r"a\.b"),
        ({"c": {"id": "acme", "name": "A"}}, ("account_id=c.id",), "c.name"),
        ({"c": [{"n": 1}, {"n": 2}]}, ("attributes.n=c.0.n",), "c.1"),
        ({"c": "acme"}, ("dimensions.x=c.id",), "c"),
        ({"at": AT}, ("timestamp=at",), "timestamp"),
        ({"schemaName": "s"}, ("schema_name==t",), "schema_name"),
        ({"attributes": {"n": 1}, "m": 2}, ("attributes.n=m",), "attributes.n"),
        ({"attributes": {"n": 1}, "m": None}, ("attributes.n=m",), "attributes.n"),
        ({"dimensions": {"d": "x"}, "m": "y"}, ("dimensions.d=m",), "dimensions.d"),
        (
            {"attributes": {"u": {"id": "x", "name": "y"}}},
            ("dimensions.u=attributes.u.id",),
            "attributes.u.name",
        ),
        ({"attributes": {"u": "x"}}, ("dimensions.u=attributes.u.id",), "attributes.u"),
    ],
)
def test_what_is_used_for_nothing_is_told_unless_it_is_to_be_left_out(
    given: dict[str, Any], maps: tuple[str, ...], unknown: str
) -> None:
    why = why_bad({**EVENT, **given}, *maps)

    assert why.endswith(
        ": is not a field of an event; say what it is with --map, or ignore it with --ignore-unknown"
    )
    assert why.startswith(f"{unknown}:")
    assert fields_of({**EVENT, **given}, *maps, ignoring=True)


@pytest.mark.parametrize("ignoring", [True, False])
def test_what_stands_beside_an_attribute_that_is_mapped_is_what_its_name_says(*, ignoring: bool) -> None:
    given = {**EVENT, "attributes": {"n": 1, "m": 2}, "dimensions": {"x": "1", "y": "2"}}
    maps = ("attributes.calls=attributes.n", "dimensions.z=dimensions.x")

    fields = fields_of(given, *maps, ignoring=ignoring)

    assert fields["attributes"] == {"m": 2, "calls": 1}
    assert fields["dimensions"] == {"y": "2", "z": "1"}


def test_an_attribute_of_togai_s_list_may_be_mapped_and_the_others_stay() -> None:
    given = {**EVENT, "attributes": [{"name": "n", "value": 1}, {"name": "m", "value": 2}]}
    maps = ("attributes.calls=attributes.0.value",)

    assert fields_of(given, *maps, ignoring=True)["attributes"] == {"m": 2, "calls": 1}
    assert why_bad(given, *maps).startswith("attributes.0.name: ")


def test_a_unit_may_be_given_to_the_line_s_own_attribute() -> None:
    for value in (5, [5, None]):
        given = {**EVENT, "attributes": {"size": value, "n": 1}}
        assert fields_of(given, "attributes.size.unit==GB")["attributes"] == {"size": (5, "GB"), "n": 1}
    assert fields_of(EVENT, "attributes.size.unit==GB")["attributes"] == {}
    assert why_bad({**EVENT, "attributes": {"size": [5, "MB"]}}, "attributes.size.unit==GB") == (
        "attributes['size']: has a unit, and --map gives another one"
    )


def test_a_constant_without_text_says_nothing_as_in_a_csv_file() -> None:
    assert "dimensions" not in fields_of(EVENT) or not fields_of(EVENT)["dimensions"]
    assert fields_of(EVENT, "dimensions.x==")["dimensions"] == {}


def test_dimensions_of_another_shape_are_a_bad_line() -> None:
    assert why_bad({**EVENT, "dimensions": "x"}, "dimensions.y==z") == (
        "dimensions: must be a mapping, not str"
    )


# --- null -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({"n": None, "m": 2}, {"m": 2}),
        ({"n": [None, "GB"], "m": [2, None]}, {"m": 2}),
        ({"n": None}, {}),
        ([{"name": "n", "value": None, "unit": "GB"}, {"name": "m", "value": 2, "unit": None}], {"m": 2}),
        ([None, {"name": "m", "value": 2}], {"m": 2}),
    ],
)
def test_null_within_attributes_says_nothing(own: Any, wanted: dict[str, Any]) -> None:
    assert fields_of({**EVENT, "attributes": own})["attributes"] == wanted


def test_null_within_dimensions_says_nothing() -> None:
    given = {**EVENT, "dimensions": {"region": "eu", "plan": None}}

    assert fields_of(given)["dimensions"] == {"region": "eu"}


scalars = st.none() | st.integers(-5, 5) | st.sampled_from(["", "x", "5", AT])
objects = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "unit", "name", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)


mapped = st.sampled_from([*EVENT, "id", "attributes.a", "attributes.a.unit", "dimensions.b"])
sources = st.sampled_from(["a", "b", "a.b", "a.0", "attributes.a", "dimensions.b.a", "=x", "=", "timestamp"])
members = st.sampled_from([*EVENT, "attributes", "dimensions", "a", "b"])


@given(
    given=st.dictionaries(members, objects, max_size=5),
    maps=st.dictionaries(mapped, sources, max_size=4),
    ignoring=st.booleans(),
)
def test_whatever_a_line_and_map_say_it_is_an_event_or_refused(
    *, given: dict[str, Any], maps: dict[str, str], ignoring: bool
) -> None:
    reader = JsonFields(map_of([f"{field}={source}" for field, source in maps.items()]), ignoring=ignoring)
    with Shipper(enabled=False, strict=True) as shipper, suppress(BadLine, InvalidEvent):
        shipper.track(**reader.fields(json.dumps({**EVENT, **given}).encode()))


# --- the command ------------------------------------------------------------------------------------------


def given_maps(*maps: str) -> list[str]:
    return [part for each in maps for part in ("--map", each)]


def test_nested_events_are_delivered_by_map(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", json.dumps(NESTED), json.dumps({**NESTED, "customer": {"id": "umbrella", "tags": []}}))

    assert send("a.ndjson", *given_maps(*MAPS)).exit_code == 0
    assert accounts(togai) == ["acme", "umbrella"]


def test_a_corrected_map_is_refused_with_both_ways_out(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", json.dumps({**EVENT, "usage": {"calls": 3, "gb": 7}}))
    calls = ["--ignore-unknown", *given_maps("attributes.n=usage.calls")]
    assert send("a.ndjson", *calls).exit_code == 0

    for corrected in (
        given_maps("attributes.n=usage.gb"),
        given_maps("attributes.m=usage.calls"),
        given_maps("attributes.n=usage.calls", "dimensions.gb=usage.gb"),
        given_maps("attributes.n=usage.calls", "dimensions.by==me"),
        given_maps(r"attributes.n=usage\.calls"),
        given_maps("attributes.n==3"),
        [],
    ):
        result = send("a.ndjson", "--ignore-unknown", *corrected)
        told = " ".join(result.stderr.split())
        assert result.exit_code == 2
        assert "--job" in told
        assert "--same-events" in told
    assert send("a.ndjson", *given_maps("attributes.n=usage.calls"), "--rejects", "bad").exit_code == 1
    assert send("a.ndjson", *calls).exit_code == 0
    assert togai.ledger.metered == 1


def test_a_line_has_the_same_id_with_and_without_a_map(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line())
    assert send("a.ndjson").exit_code == 0

    assert send("a.ndjson", "--same-events", *given_maps("dimensions.x==y")).exit_code == 0
    assert togai.ledger.metered == 1


def test_unknown_members_of_lines_may_be_left_out(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line(note="?"))

    assert send("a.ndjson").exit_code == 1
    assert send("a.ndjson", "--ignore-unknown").exit_code == 0
    assert togai.ledger.metered == 1
