"""``GET /event_schema`` and ``GET /accounts`` of the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from bare_client import get

from togai_shipper.testing import FakeTogai

if TYPE_CHECKING:
    from pathlib import Path


def test_schemas_are_listed_as_they_were_given(
    togai: FakeTogai, session: requests.Session, tmp_path: Path
) -> None:
    schema = {
        "name": "api_call",
        "version": 3,
        "status": "INACTIVE",
        "attributes": [{"name": "count"}],
        "dimensions": [],
        "usageMetersCount": 0,
        "eventIdTemplate": "{id}",
        "createdAt": "2024-01-01T00:00:00Z",
    }
    path = tmp_path / "togai-schemas.json"
    path.write_text(json.dumps({"event_schemas": [schema]}))
    togai.schemas = path

    reply = get(session, togai, "/event_schema")

    assert reply.status_code == 200
    assert reply.json() == {"data": [schema], "context": {"pageSize": 20}}


@pytest.mark.parametrize("given", [["sms"], {"sms": ()}, [{"name": "sms"}]])
def test_names_are_listed_as_active_schemas_that_a_meter_counts(
    togai: FakeTogai, session: requests.Session, given: Any
) -> None:
    togai.schemas = given

    assert get(session, togai, "/event_schema").json()["data"] == [
        {
            "name": "sms",
            "version": 1,
            "status": "ACTIVE",
            "attributes": [],
            "dimensions": [],
            "usageMetersCount": 1,
        }
    ]


def test_names_of_attributes_or_dimensions_are_listed_as_attributes(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas = {"api_call": ("count", "region")}

    (schema,) = get(session, togai, "/event_schema").json()["data"]
    assert schema["attributes"] == [{"name": "count"}, {"name": "region"}]


def test_accounts_are_listed_with_what_togai_always_says_of_one(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.accounts = ["acme", {"id": "globex", "status": "DRAFT", "aliases": [{"alias": "gx"}]}]
    common = {"status": "ACTIVE", "aliases": []}

    assert get(session, togai, "/accounts").json()["data"] == [
        common
        | {
            "id": each,
            "name": f"account {each}",
            "customerId": each,
            "togaiAccountId": f"account.{each}",
            "togaiCustomerId": f"customer.{each}",
        }
        | changes
        for each, changes in (
            ("acme", {}),
            ("globex", {"status": "DRAFT", "aliases": [{"alias": "gx"}]}),
        )
    ]


def test_plain_names_of_accounts_are_listed(togai: FakeTogai, session: requests.Session) -> None:
    togai.accounts = ["acme"]

    assert [each["id"] for each in get(session, togai, "/accounts").json()["data"]] == ["acme"]


@pytest.mark.parametrize("path", ["/event_schema", "/accounts"])
def test_where_none_are_given_the_list_is_empty(
    togai: FakeTogai, session: requests.Session, path: str
) -> None:
    assert get(session, togai, path).json() == {"data": [], "context": {"pageSize": 20}}


@pytest.mark.parametrize(
    ("path", "kind", "name"), [("/event_schema", "schemas", "name"), ("/accounts", "accounts", "id")]
)
@pytest.mark.parametrize(("size", "pages"), [(None, [20, 20, 5]), (30, [30, 15]), (100, [45])])
def test_a_list_comes_in_pages_of_20_or_as_large_as_asked_for(
    *,
    togai: FakeTogai,
    session: requests.Session,
    path: str,
    kind: str,
    name: str,
    size: Any,
    pages: list[int],
) -> None:
    names = [f"n{number:02d}" for number in range(45)]
    setattr(togai, kind, names)

    page = get(session, togai, path, **({} if size is None else {"pageSize": size})).json()
    found = [page["data"]]
    while "nextToken" in page:
        page = get(session, togai, path, nextToken=page["nextToken"]).json()
        found.append(page["data"])

    assert [len(each) for each in found] == pages
    assert [each[name] for data in found for each in data] == names


def test_the_last_page_can_lead_to_an_empty_one_whose_token_is_null(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas, togai.trailing_page, togai.null_token = ["sms"], True, True

    last = get(session, togai, "/event_schema").json()
    beyond = get(session, togai, "/event_schema", nextToken=last["nextToken"]).json()

    assert (len(last["data"]), beyond) == (1, {"data": [], "context": {"pageSize": 20}, "nextToken": None})


def test_lists_are_filtered(togai: FakeTogai, session: requests.Session) -> None:
    togai.schemas = ["a", {"name": "b", "status": "INACTIVE"}]
    togai.accounts = ["c", {"id": "d", "customerId": "inc", "status": "DRAFT"}]

    def found(path: str, **query: str) -> list[str]:
        return [
            each.get("name" if path == "/event_schema" else "id")
            for each in get(session, togai, path, **query).json()["data"]
        ]

    assert found("/event_schema", status="ACTIVE") == ["a"]
    assert found("/event_schema", status="INACTIVE") == ["b"]
    assert found("/accounts", account_id="c") == ["c"]
    assert found("/accounts", customer_id="inc") == found("/accounts", status="DRAFT") == ["d"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/event_schema", {"status": "DRAFT"}),
        ("/event_schema", {"pageSize": "101"}),
        ("/accounts", {"pageSize": "0"}),
        ("/accounts", {"nextToken": "made up"}),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    togai: FakeTogai, session: requests.Session, path: str, query: Any
) -> None:
    reply = get(session, togai, path, **query)

    assert reply.status_code == 400
    assert reply.json()["message"].startswith(next(iter(query)) + ": ")


def test_a_token_is_of_one_list(togai: FakeTogai, session: requests.Session) -> None:
    togai.schemas = [str(number) for number in range(21)]
    token = get(session, togai, "/event_schema").json()["nextToken"]

    assert get(session, togai, "/accounts", nextToken=token).json() == {
        "message": "nextToken: is of another list"
    }
