"""Which schemas and accounts exist in ``togai-shipper sandbox``: those of a file, and those of options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from togai_shipper.cli.sandbox.catalog import Existing, existing, schema_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.json"


def names(found: Existing) -> tuple[list[str] | None, list[str] | None]:
    return (
        None if found.schemas is None else list(found.schemas.found),
        None if found.accounts is None else list(found.accounts.found),
    )


def test_without_a_file_and_options_all_exist() -> None:
    assert existing(None, [], []) == Existing(None, None)


def test_options_add_to_a_file_and_win_over_it(path: Path) -> None:
    path.write_text(
        json.dumps(
            {
                "event_schemas": [{"name": "api_call", "attributes": [{"name": "count"}]}, "storage"],
                "accounts": ["acme"],
            }
        )
    )

    found = existing(path, ["api_call:bytes", "sms"], ["globex"])

    assert names(found) == (["storage", "api_call", "sms"], ["acme", "globex"])
    assert found.schemas is not None
    assert list(found.schemas.found["api_call"].attributes) == ["bytes"]


def test_options_of_one_kind_leave_the_other_as_it_is() -> None:
    assert names(existing(None, ["sms"], [])) == (["sms"], None)
    assert names(existing(None, [], ["acme"])) == (None, ["acme"])


def test_what_is_not_active_is_named(path: Path) -> None:
    old = [{"name": "old", "status": "ARCHIVED"}, {"name": "new", "status": "DRAFT"}, "sms"]
    path.write_text(
        json.dumps({"event_schemas": old, "accounts": [{"id": "gone", "aliases": [], "status": "ARCHIVED"}]})
    )

    assert str(existing(path, [], [])) == (
        "What exists: 1 schema, 0 accounts. All else is accepted and not billed."
        " Not active, so left out: old, new, gone."
    )


def test_an_account_and_its_aliases_are_one_account(path: Path) -> None:
    path.write_text('{"accounts": [{"id": "acme", "aliases": [{"alias": "acme-eu"}]}]}')

    assert str(existing(path, [], [])) == (
        "What exists: every schema, 1 account. All else is accepted and not billed."
    )


def test_a_file_that_is_wrong_is_told_as_an_option_is(path: Path) -> None:
    path.write_text("[]")

    with pytest.raises(click.BadParameter, match="must be an object with event_schemas, accounts, or both"):
        existing(path, [], [])


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("api_call", {"name": "api_call", "attributes": []}),
        ("api call:count", {"name": "api call", "attributes": [{"name": "count"}]}),
        (
            "api_call:count, bytes",
            {"name": "api_call", "attributes": [{"name": "count"}, {"name": "bytes"}]},
        ),
    ],
)
def test_an_option_names_a_schema_and_perhaps_its_attributes(text: str, schema: Any) -> None:
    assert schema_of(text) == schema


@pytest.mark.parametrize("text", ["", ":count", "api_call:", "api_call:count,"])
def test_an_option_that_names_nothing_is_wrong(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not NAME or NAME:attribute,attribute"):
        schema_of(text)
