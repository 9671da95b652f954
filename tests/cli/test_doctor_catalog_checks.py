"""``togai-shipper doctor --catalog`` and ``--account``: what Togai has, beside what is expected."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from doctored import URL, Net, run

from togai_shipper._config import Config
from togai_shipper.cli.not_answered import NotAnswered

API_CALL = {"name": "api_call", "status": "ACTIVE", "attributes": [{"name": "count"}], "usageMetersCount": 1}
STORAGE = {"name": "storage", "status": "ACTIVE", "usageMetersCount": 1}
ACCOUNTS = [
    {"id": "acme", "status": "ACTIVE", "aliases": [{"alias": "acme-eu"}, {"alias": "ops@acme.example"}]},
    {"id": "globex", "status": "DRAFT", "aliases": None},
]


class Lists:
    """In place of what Togai lists."""

    def __init__(self, schemas: Any = (API_CALL, STORAGE), accounts: Any = ACCOUNTS) -> None:
        self._said = {"/event_schema": schemas, "/accounts": accounts}
        self.keys: list[Any] = []
        self.urls: list[str] = []

    def __call__(self, config: Config) -> Any:
        assert config.api_key is not None
        self.keys.append(config.api_key.reveal())
        self.urls.append(config.base_url)
        return self

    def all_of(self, path: str, account_id: str | None = None) -> Iterable[Any]:
        said = self._said[path]
        if isinstance(said, Exception):
            raise said
        return [each for each in said if account_id in (None, each.get("id"))]


def file_of(folder: Path, *schemas: Any) -> Path:
    path = folder / "togai-schemas.json"
    path.write_text(json.dumps({"version": 1, "event_schemas": schemas}))
    return path


def asked(lists: Lists, *arguments: object, **environ: str | None) -> Any:
    net = Net()
    try:
        return run(net.world(lists=lists), *arguments, **environ)
    finally:
        for end in net.ends:
            end.close()


def told(lists: Lists, *arguments: object, **environ: str | None) -> list[tuple[str, str]]:
    """The lines on catalog and accounts."""
    result = asked(lists, *arguments, "--json", **environ)
    checks = json.loads(result.stdout)["checks"]
    return [(each["level"], each["found"]) for each in checks if each["name"] in ("catalog", "account")]


def test_a_file_that_is_what_togai_has_is_right(tmp_path: Path) -> None:
    lists, file = Lists(), file_of(tmp_path, STORAGE, API_CALL)

    assert told(lists, "--catalog", file) == [("ok", f"2 event schemas in {file}, as at Togai")]
    assert (lists.keys, lists.urls) == (["a-secret-key"], [URL])


def test_each_difference_is_told(tmp_path: Path) -> None:
    changed = {**API_CALL, "version": 7, "dimensions": [{"name": "region"}]}
    file = file_of(tmp_path, API_CALL, {"name": "gone"})

    assert told(Lists((changed, STORAGE)), "--catalog", file) == [
        ("warn", "event schema 'api_call' is another one at Togai: dimensions"),
        ("warn", "event schema 'gone' is in the file, and Togai has it no longer"),
        ("warn", "event schema 'storage' is not in the file"),
    ]


def test_a_new_version_that_asks_for_the_same_is_no_difference(tmp_path: Path) -> None:
    file = file_of(tmp_path, API_CALL)

    assert told(Lists([{**API_CALL, "version": 2}]), "--catalog", file)[0][0] == "ok"


def test_schemas_that_togai_would_not_bill_are_told_as_they_are_there(tmp_path: Path) -> None:
    file = file_of(tmp_path, {**API_CALL, "usageMetersCount": 0})

    assert told(Lists([{**API_CALL, "usageMetersCount": 0}]), "--catalog", file) == [
        ("warn", "no usage meter counts event schema 'api_call'"),
        ("ok", f"1 event schema in {file}, as at Togai"),
    ]


@pytest.mark.parametrize("environ", [{"TOGAI_API_KEY": ""}, {"TOGAI_API_KEY": "two words"}])
def test_without_a_key_the_file_alone_is_looked_at(tmp_path: Path, environ: dict[str, str]) -> None:
    lists, file = Lists(), file_of(tmp_path, API_CALL)

    found = told(lists, "--catalog", file, "--account", "acme", **environ)
    assert found == [("ok", f"1 event schema in {file}, not compared with Togai's")]


def test_without_a_request_the_file_alone_is_looked_at(tmp_path: Path) -> None:
    file = file_of(tmp_path, {**API_CALL, "status": "DRAFT"})

    assert told(Lists(), "--catalog", file, "--no-request") == [
        ("warn", "event schema 'api_call' is not ACTIVE, but 'DRAFT'"),
        ("ok", f"1 event schema in {file}, not compared with Togai's"),
    ]


def test_a_file_that_is_none_has_failed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    result = asked(Lists(), "--catalog", tmp_path / "a.json")

    assert result.exit_code == 1
    assert "must be an object with event_schemas" in result.output


@pytest.mark.parametrize(
    ("schemas", "why"),
    [
        (
            NotAnswered("GET /event_schema: the key may not look this up (403)"),
            "the key may not look this up (403)",
        ),
        ([{"name": 5}], "data[0].name: must be a text, not int"),
    ],
)
def test_where_togai_does_not_list_its_schemas_that_is_a_warning(
    tmp_path: Path, schemas: Any, why: str
) -> None:
    file = file_of(tmp_path, API_CALL)

    assert told(Lists(schemas), "--catalog", file) == [
        ("warn", f"cannot be compared with Togai's: GET /event_schema: {why}"),
        ("ok", f"1 event schema in {file}, not compared with Togai's"),
    ]


@pytest.mark.parametrize(
    ("name", "level", "found"),
    [
        ("acme", "ok", "acme is an account"),
        ("ops@acme.example", "ok", "ops@acme.example is an alias of account acme"),
        ("globex", "warn", "globex is an account, which is DRAFT"),
        ("acmee", "warn", "acmee: no account has this id or alias"),
    ],
)
def test_an_account_is_looked_for_by_its_id_and_its_aliases(name: str, level: str, found: str) -> None:
    assert told(Lists(), "--account", name) == [(level, found)]


def test_several_accounts_are_looked_for_beside_a_relay_too() -> None:
    found = told(Lists(), "--account", "acme", "--account", "nobody", TOGAI_RELAY="redis://127.0.0.1:1/0")

    assert [level for level, _ in found] == ["ok", "warn"]


def test_accounts_that_are_not_listed_cannot_be_told() -> None:
    lists = Lists(accounts=NotAnswered("GET /accounts: the key may not look this up (403)"))

    assert told(lists, "--account", "acme") == [
        ("warn", "acme: GET /accounts: the key may not look this up (403)")
    ]


def test_an_account_cannot_be_looked_for_without_a_request() -> None:
    result = asked(Lists(), "--account", "acme", "--no-request")

    assert result.exit_code == 2
    assert "--account is a request, and --no-request allows none" in result.output
