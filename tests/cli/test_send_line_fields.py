"""What a line of JSON says."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from togai_shipper.cli.send.bad_line import BadLine, named
from togai_shipper.cli.send.event_fields import UNKNOWN
from togai_shipper.cli.send.json_fields import JsonFields

NEEDED = {"schema_name": "api_call", "account_id": "acme", "timestamp": "2026-01-31T23:59:59Z"}


def fields_of(**fields: Any) -> dict[str, Any]:
    return JsonFields({}).fields(json.dumps({**NEEDED, **fields}).encode())


def test_togai_s_own_json_says_the_same_as_ours() -> None:
    theirs = b"""{"schemaName": "api_call", "accountId": "acme", "timestamp": "2026-01-31T23:59:59Z",
        "id": "e-1", "attributes": [{"name": "count", "value": "1"}, {"name": "ms", "value": "9.50",
        "unit": "Milliseconds"}],
        "dimensions": {"region": "eu"}}"""
    ours = b"""{"schema_name": "api_call", "account_id": "acme", "timestamp": "2026-01-31T23:59:59Z",
        "event_id": "e-1", "attributes": {"count": "1", "ms": ["9.50", "Milliseconds"]},
        "dimensions": {"region": "eu"}}"""

    assert JsonFields({}).fields(theirs) == JsonFields({}).fields(ours)
    assert JsonFields({}).fields(ours)["attributes"] == {"count": "1", "ms": ("9.50", "Milliseconds")}


def test_a_number_keeps_the_digits_that_were_written() -> None:
    line = json.dumps({**NEEDED, "attributes": {"n": 0}}).replace('"n": 0', '"n": 12345678901234567.10')

    assert JsonFields({}).fields(line.encode())["attributes"] == {"n": Decimal("12345678901234567.10")}


def test_null_says_nothing() -> None:
    assert fields_of(id=None, dimensions=None, attributes=None) == NEEDED
    assert fields_of(attributes=[{"name": "n", "value": 1, "unit": None}])["attributes"] == {"n": 1}


@pytest.mark.parametrize("missing", NEEDED)
def test_a_line_without_schema_account_or_timestamp_is_bad(missing: str) -> None:
    for fields in ({missing: None}, {}):
        given = {**{name: value for name, value in NEEDED.items() if name != missing}, **fields}

        with pytest.raises(BadLine, match=f"^{missing}: is missing$"):
            JsonFields({}).fields(json.dumps(given).encode())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"no", "is not JSON: Expecting value (column 1)"),
        (b'{"a": 1} {"b": 2}', "is not JSON: something follows the object (column 9)"),
        (b"\xff\xfe", "is not UTF-8 (byte 1)"),
        (b"[1]", "must be a JSON object, not list"),
        (b"null", "must be a JSON object, not null"),
        (b'{"a": NaN}', "NaN: is not a number in JSON"),
        (b'{"a": -Infinity}', "-Infinity: is not a number in JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "has a number that is too long"),
        (b'{"a": ' + b"[" * 200_000, "is nested too deeply"),
        (b'{"accountId": "a", "accountId": "b"}', "has a name twice in one object"),
        (b'{"accountId": "a", "account_id": "b"}', "account_id: is given twice, under two names"),
        (
            b'{"acount": "a"}',
            f"acount: {UNKNOWN}",
        ),
    ],
)
def test_what_is_no_object_of_an_event_is_a_bad_line(line: bytes, why: str) -> None:
    with pytest.raises(BadLine) as bad:
        JsonFields({}).fields(line)

    assert str(bad.value) == why


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ("n", "attributes: must be a list or a mapping, not str"),
        ({"n": [1, "GB", 2]}, "attributes['n']: must be a value, or a list of value and unit"),
        (["n"], "attributes: must be objects with a name, a value and perhaps a unit"),
        ([{"name": "n"}], "attributes: must be objects with a name, a value and perhaps a unit"),
        ([{"value": 1}], "attributes: must be objects with a name, a value and perhaps a unit"),
        (
            [{"name": "n", "value": 1, "units": "GB"}],
            "attributes: must be objects with a name, a value and perhaps a unit",
        ),
        ([{"name": ["n"], "value": 1}], "attribute name: must be a str, not list"),
        ([{"name": "n", "value": 1}, {"name": "n", "value": 2}], "attributes: must have different names"),
    ],
)
def test_attributes_of_another_shape_are_a_bad_line(attributes: Any, why: str) -> None:
    with pytest.raises(BadLine) as bad:
        fields_of(attributes=attributes)

    assert str(bad.value) == why


def test_a_name_in_a_message_is_short_and_has_nothing_that_a_terminal_obeys() -> None:
    assert named("region") == "region"
    assert named("\x1b[2J\n") == "\\x1b[2J\\n"
    assert named("x" * 1000) == "x" * 60 + "…"
