"""``is_encoded``: bytes are an event if they are what ``encode`` writes, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Given, givens

from togai_shipper._event import decode, is_encoded

WIRE = {
    "schemaName": "api_call",
    "id": "order-7",
    "timestamp": "2026-01-31T23:59:59.999Z",
    "accountId": "acme",
    "attributes": [{"name": "count", "value": "1"}, {"name": "ms", "value": "12.5", "unit": "Milliseconds"}],
    "dimensions": {"region": "eu", "path": "/ä"},
}


PLAIN = {"dimensions": {"region": "eu", "path": "/a"}}


def written(**changes: Any) -> bytes:
    return json.dumps({**WIRE, **changes}, ensure_ascii=False, separators=(",", ":")).encode()


@given(givens)
def test_whatever_was_tracked_is_an_event(given: Given) -> None:
    assert is_encoded(given.encoded())
    assert is_encoded(given.event().encode())


@given(givens, st.data())
def test_no_part_of_an_event_is_one_and_no_event_with_more_to_it(given: Given, data: st.DataObject) -> None:
    body = given.encoded()
    at = data.draw(st.integers(0, len(body) - 1))

    assert not is_encoded(body[:at])
    assert not is_encoded(body + b" ")
    assert not is_encoded(b" " + body)
    assert not is_encoded(body + b"," + body)
    assert not is_encoded(body + data.draw(st.binary(min_size=1)))


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_an_event_or_not(body: bytes) -> None:
    assert not is_encoded(body)


def test_a_whole_one_is_an_event() -> None:
    assert is_encoded(written())
    assert is_encoded(written(**PLAIN))
    assert is_encoded(written(attributes=[], dimensions={}))


@given(st.data())
def test_a_changed_byte_leaves_an_event_if_and_only_if_it_is_written_again_alike(data: st.DataObject) -> None:
    body = bytearray(written(**PLAIN))
    for _ in range(data.draw(st.integers(1, 2))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(
            st.sampled_from(b'"\\,:{}[]019x- \x00\x7f\xc3')
        )
    try:
        is_the_same = decode(bytes(body)).encode() == body
    except (ValueError, TypeError, LookupError, AttributeError):
        is_the_same = False

    assert is_encoded(bytes(body)) == is_the_same


@pytest.mark.parametrize(
    ("day", "is_one"),
    [("02-28", True), ("02-29", False), ("04-30", True), ("04-31", False), ("12-31", True), ("00-01", False)],
)
def test_a_day_is_one_of_the_calendar(day: str, is_one: bool) -> None:  # noqa: FBT001  a column
    assert is_encoded(written(**PLAIN, timestamp=f"2026-{day}T00:00:00.000Z")) == is_one
    assert not is_encoded(written(**PLAIN, timestamp=f"0000-{day}T00:00:00.000Z"))
    assert is_encoded(written(**PLAIN, timestamp="2028-02-29T00:00:00.000Z"))


def test_as_much_as_an_event_may_hold() -> None:
    long = {
        "schemaName": "x" * 50,
        "id": "x" * 50,
        "accountId": "x" * 512,
        "attributes": [
            {"name": f"{n}".zfill(50), "value": "-" + "9" * 512 + "." + "9" * 512, "unit": "x" * 50}
            for n in range(10)
        ],
        "dimensions": {"x" * n: "x" * 200 for n in range(60)},
    }
    assert is_encoded(written(**long))
    assert not is_encoded(written(**{**long, "accountId": "x" * 513}))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "x" * 51},
        {"id": 7},
        {"id": None},
        {"id": ["order-7"]},
        {"schemaName": ""},
        {"schemaName": "x" * 51},
        {"schemaName": ["api_call"]},
        {"accountId": ""},
        {"accountId": {}},
        {"timestamp": "2026-01-31"},
        {"timestamp": "2026-02-31T23:59:59.999Z"},
        {"timestamp": "2026-01-31T23:59:59.999+"},
        {"timestamp": "2026-01-31T23:59+01:00Z "},
        {"timestamp": '2026-01-31T23:59:59","aZ'},
        {"timestamp": 1769903999999},
        {"timestamp": None},
        {"attributes": None},
        {"attributes": {}},
        {"attributes": ["count"]},
        {"attributes": [{"name": "count"}]},
        {"attributes": [{"name": "count", "value": 1}]},
        {"attributes": [{"name": "count", "value": "1e3"}]},
        {"attributes": [{"name": "count", "value": True}]},
        {"attributes": [{"name": "count", "value": None}]},
        {"attributes": [{"name": "count", "value": ["1", "GB"]}]},
        {"attributes": [{"name": [], "value": "1"}]},
        {"attributes": [{"name": "count", "value": "1", "unit": None}]},
        {"attributes": [{"name": "count", "value": "1", "unit": ""}]},
        {"attributes": [{"name": "count", "value": "1", "extra": "1"}]},
        {"attributes": [{"name": "count", "value": "1"}, {"name": "count", "value": "2"}]},
        {"attributes": [{"name": str(n), "value": "1"} for n in range(11)]},
        {"dimensions": None},
        {"dimensions": []},
        {"dimensions": {"region": ""}},
        {"dimensions": {"region": 1}},
        {"dimensions": {"region": "x" * 201}},
        {"extra": "1"},
    ],
    ids=str,
)
def test_what_breaks_the_contract_is_no_event(changes: dict[str, Any]) -> None:
    assert not is_encoded(written(**changes))
    assert not is_encoded(written(**{**PLAIN, **changes}))


OTHERS = {
    "nothing": b"",
    "another object": b'{"x":1}',
    "a list": b"[]",
    "null": b"null",
    "NaN": b"NaN",
    "two": written() + b"," + written(),
    "with spaces": written().replace(b",", b", "),
    "an id twice": written().replace(b'"id":"order-7"', b'"id":"order-6","id":"order-7"'),
    "a dimension twice": written().replace(b'"region":"eu"', b'"region":"us","region":"eu"'),
    "a value twice": written().replace(b'"value":"1"', b'"value":"2","value":"1"'),
    "escaped without need": written().replace(b"order-7", b"order-\\u0037"),
    "latin-1": written().replace("ä".encode(), "ä".encode("latin-1")),
    "a lone surrogate": written().replace("ä".encode(), b"\\ud800"),
    "too deep a list": b"[" * 100_000,
    "too deep an object": b'{"schemaName":' * 100_000,
    "a long number": b'{"schemaName":' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_written_in_another_way_is_no_event(body: bytes) -> None:
    assert not is_encoded(body)
    assert not is_encoded(body.replace("/ä".encode(), b"/a"))
