"""How an event gets its id, and how the id is found again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from event_facts import NOON, Name, Text
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import ids, names

from togai_shipper import IDEMPOTENCY_NAMESPACE, Event, InvalidEvent
from togai_shipper._event import chosen_id, encode, fresh_id, id_of
from togai_shipper._event.identity import derived_id


def test_the_namespace_of_derived_ids_is_frozen() -> None:
    assert str(IDEMPOTENCY_NAMESPACE) == "9eb775de-57c7-4dc1-b6c0-5d7a8c180f59"


@pytest.mark.parametrize(
    ("facts", "event_id"),
    [
        (("api_call", "acme", "order-7/1"), "90373177-30ab-5e55-a745-356d5e415b2e"),
        (("api_call", "acme", "order-7/2"), "2e86cb14-8b60-5549-84d7-48fab03c749e"),
        (("a", "b", ""), "ec87a069-a2f0-5427-96b4-c24025e3ae6a"),
        (('say "x"', "back\\slash", "line\nend"), "f1b5b612-e9b2-5cd9-87ba-b00981fa32c9"),
        (("schéma", "compte €", "clé 😀"), "2a83cc9b-8365-5110-8bd0-b5c7453db6a7"),
        (("a", "b", "\ud83d"), "a472a204-b4d5-55bb-99a1-a18003c1f6a4"),
    ],
)
def test_a_derived_id_is_the_same_for_ever(facts: tuple[str, str, str], event_id: str) -> None:
    assert derived_id(*facts) == event_id
    if facts[2]:  # an empty key is refused at the door
        assert chosen_id(facts[0], facts[1], None, facts[2]) == event_id


def test_derived_ids_differ_wherever_their_texts_do() -> None:
    facts = [
        ("a", "b", "c"),
        ("ab", "", "c"),
        ("a", "bc", ""),
        ('a","b', "c", ""),
        ("a", 'b","c', ""),
        ("a", "c", "b"),
    ]

    assert len({derived_id(*each) for each in facts}) == len(facts)


def test_a_derived_id_is_of_the_text_and_not_of_its_type() -> None:
    plain = chosen_id("count", "acme", None, "key")

    assert chosen_id(Name.COUNT, Text("acme"), None, Text("key")) == plain


@pytest.mark.parametrize("key", [7, b"key", ("a",), True])
def test_an_idempotency_key_is_a_text(key: Any) -> None:
    with pytest.raises(InvalidEvent, match=rf"^idempotency_key: must be a str, not {type(key).__name__}$"):
        chosen_id("api_call", "acme", None, key)


def test_an_idempotency_key_is_of_a_valid_schema_and_account() -> None:
    with pytest.raises(InvalidEvent, match=r"^schema_name"):
        chosen_id("", "acme", None, "key")
    with pytest.raises(InvalidEvent, match=r"^account_id"):
        chosen_id("api_call", 7, None, "key")


def test_an_id_and_an_idempotency_key_exclude_each_other() -> None:
    with pytest.raises(InvalidEvent, match=r"^event_id: and idempotency_key exclude each other"):
        chosen_id("api_call", "acme", "id", "key")


def test_fresh_ids_are_distinct_and_may_be_looked_up() -> None:
    made = {fresh_id() for _ in range(1000)}

    assert len(made) == 1000
    assert all(1 <= len(each) <= 50 for each in made)
    assert Event("a", "b").id != Event("a", "b").id


@given(st.tuples(names, names, ids))
def test_the_id_is_found_without_reading_the_rest(facts: tuple[str, str, str]) -> None:
    schema_name, account_id, event_id = facts
    body = encode(schema_name, account_id, {}, {'"id":"': '"id":"x"'}, NOON, event_id)

    assert id_of(body) == json.loads(body)["id"] == event_id


@given(*[st.text('"\\:,id{}\n', min_size=1, max_size=12)] * 2)
@example('"id":"', '"id":"\\')
@example("id", '"')
@example('\\","id":"x', "\\")
def test_quotes_in_a_schemas_name_do_not_hide_the_id(schema_name: str, event_id: str) -> None:
    assert id_of(encode(schema_name, "acme", {}, None, NOON, event_id)) == event_id


def test_the_id_of_somebody_elses_json_is_read_as_json() -> None:
    assert id_of(b'{ "id" : "7" }') == "7"


@pytest.mark.parametrize(
    "body", [b"", b'{"x":1}', b'{"id":7}', b'{"id":', b'{"id":"\xff"}', b'["id"]', b"7", b"[" * 100_000]
)
def test_bytes_without_an_id_have_none(body: bytes) -> None:
    assert id_of(body) == ""
