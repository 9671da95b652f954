"""What any event becomes on the wire, and what comes back from there."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from event_facts import Facts, Text
from hypothesis import given
from strategies import Given, givens

from togai_shipper._event import Attribute, decode, decode_own, encode, timestamp_text
from togai_shipper.exceptions import InvalidEvent
from togai_shipper.sandbox import contract


@given(givens)
def test_what_is_encoded_decodes_to_what_was_given(given: Given) -> None:
    event = json.loads(given.encoded())

    assert event["schemaName"] == given.schema_name
    assert event["accountId"] == given.account_id
    assert event["id"] == given.id
    assert event["dimensions"] == given.dimensions
    assert event["timestamp"] == timestamp_text(given.timestamp)
    assert [attribute["name"] for attribute in event["attributes"]] == list(given.attributes)
    for attribute, value in zip(event["attributes"], given.attributes.values(), strict=True):
        amount, unit = value if isinstance(value, tuple) else (value, None)
        assert Decimal(attribute["value"]) == Decimal(repr(amount) if isinstance(amount, float) else amount)
        assert attribute.get("unit") == unit


@given(givens)
def test_what_is_encoded_is_an_event_in_the_servers_eyes(given: Given) -> None:
    payload = contract.parse(b'{"event":' + given.encoded() + b"}")

    (event,) = contract.unwrap(payload, "event")
    contract.check(event, "event", strict=True)


@given(givens)
def test_however_the_same_facts_are_given_the_bytes_are_the_same(given: Given) -> None:
    def retyped(facts: Mapping[str, Any]) -> dict[str, Any]:
        return {Text(name): Text(value) if isinstance(value, str) else value for name, value in facts.items()}

    plain = given.encoded()

    attributes = given.event().attributes
    assert attrs.evolve(given, attributes=attributes).encoded() == plain
    assert attrs.evolve(given, attributes=iter(attributes)).encoded() == plain
    assert attrs.evolve(given, attributes=given.attributes.items()).encoded() == plain
    for other in (Facts, MappingProxyType, retyped):
        assert (
            attrs.evolve(
                given,
                schema_name=Text(given.schema_name),
                account_id=Text(given.account_id),
                attributes=other(given.attributes),
                dimensions=other(given.dimensions),
            ).encoded()
            == plain
        )


@given(givens)
def test_an_event_encodes_to_what_its_facts_encode_to_and_comes_back(given: Given) -> None:
    event = given.event()

    assert event.encode() == given.encoded()
    assert decode(event.encode()) == event
    assert hash(event) == hash(decode(event.encode()))


@given(givens)
def test_an_event_can_be_pickled_copied_and_evolved(given: Given) -> None:
    event = given.event()

    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == attrs.evolve(event) == event  # noqa: S301  our own


@given(givens)
def test_what_this_process_has_encoded_is_read_as_what_anybody_has(given: Given) -> None:
    body = given.encoded()

    event = decode_own(body)
    assert event == decode(body)
    assert event.encode() == body
    assert {type(each) for each in event.attributes} <= {Attribute}


def test_what_an_attribute_of_another_class_says_of_itself_is_looked_at() -> None:
    class Odd(Attribute):
        def __getattribute__(self, name: str) -> Any:
            return '1","evil":"' if name == "value" else super().__getattribute__(name)

    with pytest.raises(InvalidEvent, match="must be plain digits"):
        encode("api_call", "acme", [Odd("count", 1)], {}, "2026-01-31T12:00:00.000Z", "1")
