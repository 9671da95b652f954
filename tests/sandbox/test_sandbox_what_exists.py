"""Which schemas and accounts exist in the sandbox, and what becomes of events of others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from bare_client import METERED, batch, event, single

from togai_shipper.sandbox.catalog_reading import (
    CatalogError,
    CatalogFile,
    accounts_given,
    read_catalog,
    schemas_given,
)
from togai_shipper.testing import FakeTogai

if TYPE_CHECKING:
    from pathlib import Path

FAILED = "INGESTION_FAILED"
SCHEMA: dict[str, Any] = {
    "name": "api_call",
    "version": 2,
    "status": "ACTIVE",
    "attributes": [{"name": "count"}, {"name": "ms", "defaultUnit": "ms"}],
    "dimensions": [{"name": "region"}],
    "usageMetersCount": 1,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.json"


def fitting(event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    """An event that has all that the schema asks for."""
    attributes = [{"name": "count", "value": "1"}, {"name": "ms", "value": "9", "unit": "ms"}]
    return event(event_id, attributes=attributes) | changes


# --- reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["event_schemas", "schemas"])
def test_names_alone_will_do(path: Path, field: str) -> None:
    path.write_text(json.dumps({field: ["api_call"], "accounts": ["acme"]}))

    assert read_catalog(path) == CatalogFile(["api_call"], ["acme"])


def test_what_a_catalog_does_not_speak_of_is_left_open(path: Path) -> None:
    path.write_text('{"accounts": []}')

    assert read_catalog(path) == CatalogFile(None, [])


def test_the_file_that_the_command_catalog_writes_is_read(path: Path) -> None:
    path.write_text(
        json.dumps({"version": 1, "base_url": "https://api.togai.com", "event_schemas": [SCHEMA]})
    )

    assert read_catalog(path) == CatalogFile([SCHEMA], None)


def test_togais_own_answers_are_taken_as_they_are(path: Path) -> None:
    schemas = {"data": [SCHEMA, SCHEMA | {"version": 3, "status": "DRAFT"}], "context": {}}
    accounts = {"data": [{"id": "acme", "aliases": [{"alias": "acme-eu"}]}], "nextToken": None}
    path.write_text(json.dumps({"event_schemas": schemas, "accounts": accounts}))

    assert schemas_given(path).found["api_call"].version == 2
    assert accounts_given(str(path)).found["acme-eu"].id == "acme"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "is not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"[]", "must be an object with event_schemas, accounts, or both, and nothing else"),
        (b"{}", "must be an object with event_schemas, accounts, or both, and nothing else"),
        (b'{"version": 1}', "must be an object with event_schemas, accounts, or both, and nothing else"),
        (b'{"schema": []}', "must be an object with event_schemas, accounts, or both, and nothing else"),
        (
            b'{"version": 2, "event_schemas": []}',
            "version: must be 1; another version of togai_shipper made this file",
        ),
        (
            b'{"schemas": [], "event_schemas": []}',
            "schemas: is an older name of event_schemas, which is there too",
        ),
        (b'{"schemas": "x"}', "schemas: must be a list, or an answer of Togai's with its list in data"),
        (b'{"accounts": {}}', "accounts: must be a list, or an answer of Togai's with its list in data"),
        (
            b'{"accounts": {"data": [], "nextToken": "t"}}',
            "accounts: has a nextToken, so it is not all; ask for the next page",
        ),
        (b'{"schemas": ["a", 1]}', "schemas[1]: must be a name, or an object with one as its name"),
        (
            b'{"event_schemas": [{"id": "a"}]}',
            "event_schemas[0]: must be a name, or an object with one as its name",
        ),
        (b'{"accounts": [""]}', "accounts[0]: must be a name, or an object with one as its id"),
        (b'{"event_schemas": ["a", {"name": "a"}]}', "event_schemas[1]: 'a' is there already"),
        (
            b'{"schemas": [{"name": "a", "attributes": "count"}]}',
            "schemas[0].attributes: must be a list",
        ),
        (
            b'{"schemas": [{"name": "a", "dimensions": [{}]}]}',
            "schemas[0].dimensions[0]: must be a name, or an object with one as its name",
        ),
        (
            b'{"schemas": [{"name": "a", "enrichments": ["b"]}]}',
            "schemas[0].enrichments: must be an object",
        ),
        (
            b'{"accounts": [{"id": "a", "aliases": [{"name": "b"}]}]}',
            "accounts[0].aliases[0]: must be a name, or an object with one as its alias",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)

    with pytest.raises(CatalogError) as caught:
        FakeTogai(schemas=path, accounts=path)

    assert str(caught.value) == f"{path}: {why}"


@pytest.mark.parametrize("kind", ["schemas", "accounts"])
def test_a_file_has_to_speak_of_what_it_is_given_for(path: Path, kind: str) -> None:
    path.write_text('{"accounts": []}' if kind == "schemas" else '{"event_schemas": []}')

    with pytest.raises(CatalogError, match="has no (event_)?" + kind):
        FakeTogai(**{kind: path})


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read: Is a directory"):
        read_catalog(tmp_path)


def test_a_set_of_names_may_be_changed_in_place(togai: FakeTogai, session: requests.Session) -> None:
    known = {"sms"}
    togai.schemas = known
    single(session, togai, event("a"))
    known.add("api_call")
    single(session, togai, event("b"))

    assert togai.ledger.lost(["a", "b"]) == {"a"}


# --- what becomes of events -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, METERED),
        ({"schemaName": "api_calls"}, "INGESTION_FAILED_SCHEMA_NOT_DEFINED"),
        ({"schemaName": " API_call "}, "INGESTION_FAILED_SCHEMA_NOT_DEFINED"),
        ({"attributes": [{"name": "count", "value": "1"}]}, FAILED),
        ({"dimensions": {}}, FAILED),
        ({"dimensions": {"region": "eu", "zone": "a"}}, METERED),
    ],
)
def test_an_event_ends_by_what_its_schema_asks_for(
    *, togai: FakeTogai, session: requests.Session, changes: Any, status: str
) -> None:
    togai.schemas = [SCHEMA]

    assert single(session, togai, fitting(**changes)).status_code == 202
    assert togai.ledger.get("e-1").statuses == (status,)


def test_a_dimension_in_the_place_of_an_attribute_does_not_do(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas = [{"name": "api_call", "attributes": [{"name": "region"}]}]
    batch(session, togai, event(attributes=[]))

    assert togai.ledger.get("e-1").statuses == (FAILED,)


def test_what_togai_enriches_itself_is_not_asked_for(togai: FakeTogai, session: requests.Session) -> None:
    fields = [{"name": "ms", "type": "ATTRIBUTE"}, {"name": "region", "type": "DIMENSION"}]
    togai.schemas = [SCHEMA | {"enrichments": {"fields": fields}}]
    single(session, togai, event(dimensions={}))

    assert togai.ledger.metered == 1


@pytest.mark.parametrize(
    ("switch", "changes"),
    [
        ("extra_attributes_fail", {"attributes": [{"name": n, "value": "1"} for n in ("count", "ms", "kb")]}),
        ("extra_dimensions_fail", {"dimensions": {"region": "eu", "zone": "a"}}),
        (
            "other_units_fail",
            {"attributes": [{"name": "count", "value": "1"}, {"name": "ms", "value": "1", "unit": "s"}]},
        ),
    ],
)
def test_whether_what_a_schema_does_not_have_fails_is_a_switch(
    *, togai: FakeTogai, session: requests.Session, switch: str, changes: Any
) -> None:
    togai.schemas = [SCHEMA]
    setattr(togai, switch, False)
    single(session, togai, fitting("off", **changes))
    setattr(togai, switch, True)
    single(session, togai, fitting("on", **changes))

    assert togai.ledger.get("off").statuses == (METERED,)
    assert togai.ledger.get("on").statuses == (FAILED,)


def test_the_unit_that_a_schema_asks_for_passes(togai: FakeTogai, session: requests.Session) -> None:
    togai.schemas, togai.other_units_fail = [SCHEMA], True
    single(session, togai, fitting())

    assert togai.ledger.metered == 1


def test_an_event_that_no_meter_counts_is_processed_and_not_billed(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas = [SCHEMA | {"usageMetersCount": 0}]
    single(session, togai, fitting())

    assert togai.ledger.get("e-1").statuses == ("INGESTION_COMPLETED_NO_MATCHING_METERS",)
    assert togai.requests[0].outcomes[0] is not None
    assert togai.requests[0].outcomes[0].reason == "schema 'api_call' has no usage meter"
    assert togai.ledger.totals.not_billed == 1


def test_whether_what_is_not_active_counts_is_a_switch(togai: FakeTogai, session: requests.Session) -> None:
    togai.schemas, togai.accounts = [SCHEMA | {"status": "INACTIVE"}], [{"id": "acme", "status": "DRAFT"}]
    single(session, togai, fitting("a"))
    togai.inactive_count = True
    single(session, togai, fitting("b"))

    assert togai.ledger.get("a").statuses == ("INGESTION_FAILED_SCHEMA_NOT_DEFINED",)
    assert togai.ledger.get("b").statuses == (METERED,)


def test_an_account_that_is_not_active_is_not_found(togai: FakeTogai, session: requests.Session) -> None:
    togai.accounts = [{"id": "acme", "status": "ARCHIVED"}]
    single(session, togai, event())

    assert togai.ledger.get("e-1").statuses == ("INGESTION_FAILED_ACCOUNT_NOT_FOUND",)


def test_an_older_version_of_a_schema_does_not_hide_the_active_one(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas = [SCHEMA | {"version": 1, "status": "ARCHIVED"}, SCHEMA, SCHEMA | {"status": "DRAFT"}]
    single(session, togai, fitting())

    assert togai.ledger.metered == 1


@pytest.mark.parametrize("given", [[SCHEMA], ["api_call"], {"api_call": ()}])
def test_whether_names_are_taken_loosely_is_a_switch(
    togai: FakeTogai, session: requests.Session, given: Any
) -> None:
    togai.schemas, togai.loose_names = given, True
    batch(session, togai, fitting("a", schemaName=" API_Call "), fitting("b", schemaName="other"))

    assert togai.ledger.get("a").statuses == (METERED,)
    assert togai.ledger.get("b").statuses == ("INGESTION_FAILED_SCHEMA_NOT_DEFINED",)


# --- ids that Togai makes ---------------------------------------------------------------------------------


def test_an_event_without_an_id_gets_one_by_the_template_of_its_schema(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas = [SCHEMA | {"eventIdTemplate": "{accountId}"}]
    anonymous = {name: value for name, value in fitting().items() if name != "id"}
    batch(session, togai, anonymous, anonymous, fitting("own"))

    assert (togai.ledger.metered, togai.ledger.duplicates) == (2, 1)
    assert togai.ledger.get("own").metered == 1


def test_whether_a_template_wins_over_ids_that_come_is_a_switch(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas, togai.template_makes_ids = [SCHEMA | {"eventIdTemplate": "{accountId}"}, "sms"], True
    batch(session, togai, fitting("a"), fitting("b"), event("c", schemaName="sms"))

    assert (togai.ledger.metered, togai.ledger.duplicates) == (2, 1)
    assert togai.ledger.lost(["a", "b", "c"]) == {"a", "b"}
