"""What Togai would take and not bill, as far as a catalog tells."""

from __future__ import annotations

import pytest

from togai_shipper import Event
from togai_shipper._catalog import EventSchema, Problem, problems_of
from togai_shipper._catalog.schemas import Catalog

CATALOG: Catalog = {
    schema.name: schema
    for schema in (
        EventSchema("api_call", attributes=("count", "ms"), dimensions=("region",), usage_meters=1),
        EventSchema("Storage GB"),
        EventSchema("draft", status="DRAFT"),
        EventSchema("unbilled", usage_meters=0),
        EventSchema("templated", has_id_template=True),
    )
}
WHOLE = {"count": 1, "ms": (2, "Milliseconds"), "another": 3}


def problems(schema: str, attributes: object = WHOLE, dimensions: object = None) -> list[Problem]:
    event = Event(schema, "acme", attributes, {"region": "eu"} if dimensions is None else dimensions)  # type: ignore[arg-type]
    return list(problems_of(event, CATALOG))


def test_an_event_that_has_all_that_its_schema_has_is_right_whatever_else_it_has() -> None:
    assert problems("api_call") == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("api_cal", "; the nearest is 'api_call'"),
        ("API_CALL", "; the nearest is 'api_call'"),
        (" storage gb ", "; the nearest is 'Storage GB'"),
        ("something else", ""),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_one(name: str, nearest: str) -> None:
    assert problems(name) == [Problem(f"no event schema is named {name!r}{nearest}", is_failure=True)]


def test_what_an_event_lacks_is_told_at_once() -> None:
    text = "event schema 'api_call' needs attribute 'ms', dimension 'region'"

    assert problems("api_call", {"count": 1}, {"Region": "eu"}) == [Problem(text, is_failure=True)]


@pytest.mark.parametrize(
    ("name", "text", "is_failure"),
    [
        ("draft", "event schema 'draft' is not ACTIVE, but 'DRAFT'", True),
        ("unbilled", "no usage meter counts event schema 'unbilled'", False),
        (
            "templated",
            "Togai makes the ids of event schema 'templated' itself (eventIdTemplate), and may ignore ours",
            False,
        ),
    ],
)
def test_what_is_wrong_with_a_schema_is_wrong_with_its_events(
    name: str,
    text: str,
    is_failure: bool,  # noqa: FBT001  a case
) -> None:
    assert problems(name) == [Problem(text, is_failure)]


def test_togais_own_schemas_are_not_looked_for() -> None:
    assert problems("togai-usage") == []


def test_without_schemas_every_name_is_unknown() -> None:
    event = Event("a", "acme")

    assert [problem.text for problem in problems_of(event, {})] == ["no event schema is named 'a'"]
