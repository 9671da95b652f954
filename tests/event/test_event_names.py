"""What an event's names, account and id may be."""

from __future__ import annotations

from typing import Any

import pytest
from event_facts import Liar, Name, Text, encoded, refused

from togai_shipper import Event, InvalidEvent
from togai_shipper._event import chosen_id

LONE_SURROGATE = "half a pair: \ud83d"


@pytest.mark.parametrize("field", ["schema_name", "account_id"])
@pytest.mark.parametrize("given", [7, None, b"bytes", ["list"], object(), {"a": 1}])
def test_a_name_that_is_no_text_is_refused_with_field_limit_and_type(field: str, given: Any) -> None:
    error = refused(**{field: given})

    limit = {"schema_name": 50, "account_id": 512}[field]
    assert str(error) == f"{field}: must be a str of 1 to {limit} characters, not {type(given).__name__}"


@pytest.mark.parametrize(("field", "limit"), [("schema_name", 50), ("account_id", 512)])
def test_a_name_may_have_1_to_its_limit_of_characters(field: str, limit: int) -> None:
    for fine in ("x", "é" * limit):
        assert fine in encoded(**{field: fine}).values()

    for wrong in ("", "x" * (limit + 1)):
        error = refused(**{field: wrong})
        assert str(error) == f"{field}: must have 1 to {limit} characters, not {len(wrong)} (str)"


def test_an_id_has_1_to_50_characters() -> None:
    assert chosen_id("api_call", "acme", "i" * 50, None) == "i" * 50
    assert Event("api_call", "acme", id="i" * 50).id == "i" * 50

    for wrong in ("", "i" * 51):
        with pytest.raises(
            InvalidEvent, match=r"^event_id: must have 1 to 50 characters, not (0|51) \(str\)$"
        ):
            chosen_id("api_call", "acme", wrong, None)
        with pytest.raises(InvalidEvent, match=r"^id: must have 1 to 50 characters, not (0|51) \(str\)$"):
            Event("api_call", "acme", id=wrong)
    with pytest.raises(InvalidEvent, match=r"^event_id: must be a str of 1 to 50 characters, not int$"):
        chosen_id("api_call", "acme", 7, None)


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("schema_name", {"schema_name": LONE_SURROGATE}),
        ("account_id", {"account_id": LONE_SURROGATE}),
        ("attribute name", {"attributes": {LONE_SURROGATE: 1}}),
        ("attribute unit", {"attributes": {"latency": (1, LONE_SURROGATE)}}),
        ("dimensions", {"dimensions": {LONE_SURROGATE: "x"}}),
        ("dimensions", {"dimensions": {"region": LONE_SURROGATE}}),
        ("dimensions", {"dimensions": {"region": Text(LONE_SURROGATE)}}),
    ],
)
def test_a_lone_surrogate_is_refused_in_every_text(field: str, facts: dict[str, Any]) -> None:
    error = refused(**facts)

    assert error.field.partition("[")[0] == field
    assert error.problem == "must not hold a lone surrogate, which UTF-8 cannot carry (str)"


def test_a_lone_surrogate_is_refused_in_an_id() -> None:
    event_id = LONE_SURROGATE

    with pytest.raises(InvalidEvent, match=r"^event_id: must not hold a lone surrogate"):
        chosen_id("api_call", "acme", event_id, None)
    with pytest.raises(InvalidEvent, match=r"^id: must not hold a lone surrogate"):
        Event("api_call", "acme", id=event_id)


def test_a_subclass_of_str_counts_as_the_text_that_it_holds() -> None:
    facts = {"schema_name": Name.COUNT, "account_id": Name.COUNT, "attributes": {Name.COUNT: (1, Name.COUNT)}}

    event = encoded(**facts, dimensions={Name.COUNT: Name.COUNT})

    assert (event["schemaName"], event["accountId"]) == ("count", "count")
    assert event["attributes"] == [{"name": "count", "value": "1", "unit": "count"}]
    assert event["dimensions"] == {"count": "count"}
    assert type(Event(Name.COUNT, "acme").schema_name) is str


def test_a_text_that_lies_about_its_length_is_measured() -> None:
    assert "not 60" in refused(schema_name=Liar("x" * 60)).problem
    assert "not 300" in refused(dimensions={"region": Liar("x" * 300)}).problem
