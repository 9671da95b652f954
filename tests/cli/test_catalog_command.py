"""``togai-shipper catalog``, from the sandbox to the file, and back into another sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from togai_shipper import Shipper
from togai_shipper._catalog import read_catalog
from togai_shipper.cli.app import cli
from togai_shipper.testing import FakeTogai

SCHEMAS = [
    {
        "name": "storage",
        "status": "ACTIVE",
        "attributes": [{"name": "gb", "defaultUnit": "None"}],
        "dimensions": [],
        "usageMetersCount": 0,
    },
    {
        "name": "api_call",
        "status": "ACTIVE",
        "attributes": [{"name": "count"}],
        "dimensions": [{"name": "region"}],
    },
]


@pytest.fixture
def organisation() -> Iterator[FakeTogai]:
    with FakeTogai("secret", schemas=SCHEMAS) as togai:
        yield togai


def catalog(togai: FakeTogai, *arguments: str, **environ: str) -> Result:
    environ = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url, **environ}
    return CliRunner().invoke(cli, ["catalog", *arguments], env=environ)


def test_the_schemas_are_a_file_that_a_person_reads_and_warnings_go_beside_it(
    organisation: FakeTogai,
) -> None:
    result = catalog(organisation)

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["version"], told["base_url"]) == (1, organisation.url)
    assert [schema["name"] for schema in told["event_schemas"]] == ["api_call", "storage"]
    assert '\n      "name": "api_call",\n' in result.stdout
    assert result.stderr.splitlines() == [
        f"2 event schemas at {organisation.url}",
        "warning: no usage meter counts event schema 'storage'",
    ]
    assert catalog(organisation).stdout == result.stdout
    assert "secret" not in result.output


def test_more_than_a_hundred_schemas_are_all_read(tmp_path: Path) -> None:
    with FakeTogai("secret", schemas=[f"schema {n}" for n in range(250)]) as togai:
        (tmp_path / "a.json").write_text(catalog(togai).stdout)

        assert read_catalog(tmp_path / "a.json").keys() == {f"schema {n}" for n in range(250)}
        assert len(togai.requests) == 3


def test_what_is_written_is_what_another_sandbox_has(organisation: FakeTogai, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(catalog(organisation).stdout)

    with (
        FakeTogai("secret", schemas=tmp_path / "a.json") as other,
        Shipper("secret", base_url=other.url) as shipper,
    ):
        shipper.track("api_call", "acme", {"count": 1}, {"region": "eu"})
        shipper.track("api_cal", "acme", {"count": 1}, {"region": "eu"})
        assert shipper.flush()
        assert other.ledger.metered == 1
        assert catalog(other).stdout.replace(other.url, organisation.url) == catalog(organisation).stdout


def test_a_key_without_a_right_a_wrong_key_and_no_key_are_told_in_a_line(organisation: FakeTogai) -> None:
    refused = catalog(organisation, TOGAI_API_KEY="another")
    assert refused.exit_code == 3
    assert refused.stdout == ""
    assert refused.stderr == (
        "Error: GET /event_schema: Togai refuses the key (401); it allows an address 5 such requests in 30"
        " minutes\n"
    )

    without = catalog(organisation, TOGAI_API_KEY="")
    assert without.exit_code == 2
    assert "api_key: missing" in without.stderr


def test_a_server_that_has_no_such_list_is_told_in_a_line(organisation: FakeTogai) -> None:
    result = catalog(organisation, "--base-url", f"{organisation.url}/v1")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Error: GET /event_schema: it is not there (HTTP 404)")


def test_a_list_that_togai_does_not_document_is_told_in_a_line() -> None:
    with FakeTogai("secret", schemas=[{"name": "a", "attributes": [{"name": "b"}]}]) as togai:
        togai.schemas.objects[0]["attributes"][0]["name"] = 5  # type: ignore[union-attr]  # the sandbox lies

        result = catalog(togai)
    assert (result.exit_code, result.stdout) == (3, "")
    assert (
        "is not as Togai documents it: data[0].attributes[0].name: must be a text, not int" in result.stderr
    )
