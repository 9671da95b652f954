"""``togai-shipper send --dry-run --catalog``: what Togai would not bill is told before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from togai_shipper.cli.app import cli
from togai_shipper.cli.send.catalog_warnings import LISTED, MOST


def catalog(folder: Path) -> Path:
    path = folder / "togai-schemas.json"
    schema = {"name": "api_call", "status": "ACTIVE", "attributes": [{"name": "count"}]}
    path.write_text(json.dumps({"version": 1, "event_schemas": [schema]}))
    return path


def line(schema: str, **attributes: Any) -> str:
    return json.dumps(
        {
            "schema_name": schema,
            "account_id": "acme",
            "timestamp": "2026-01-31T23:59:59Z",
            "attributes": attributes,
            "id": f"{schema} {len(attributes)}",
        }
    )


def send(folder: Path, lines: list[str], *arguments: str) -> Result:
    (folder / "usage.ndjson").write_text("\n".join([*lines, ""]))
    return CliRunner().invoke(cli, ["send", *arguments, str(folder / "usage.ndjson")])


def test_what_togai_would_not_bill_is_told_by_how_many_events_and_the_lines_are_good(tmp_path: Path) -> None:
    lines = [line("api_call", count=1), *[line("api_cal", count=1)] * 3, line("api_call"), "{"]

    result = send(tmp_path, lines, "--dry-run", "--catalog", str(catalog(tmp_path)))
    assert result.exit_code == 1  # of the bad line
    warnings = [each for each in result.stderr.splitlines() if each.startswith("warning: ")]
    unknown = "no event schema is named 'api_cal'; the nearest is 'api_call'"
    lacks = "event schema 'api_call' needs attribute 'count'"
    assert warnings == [
        f"warning: 3 events: {unknown} (the first has the id 'api_cal 1')",
        f"warning: 1 event: {lacks} (the first has the id 'api_call 0')",
    ]
    assert "5 good, 1 bad; nothing was sent" in result.stdout


def test_warnings_do_not_change_the_exit_status(tmp_path: Path) -> None:
    assert send(tmp_path, [line("a")], "--dry-run", "--catalog", str(catalog(tmp_path))).exit_code == 0


def test_schemas_without_end_are_told_in_a_bounded_way(tmp_path: Path) -> None:
    lines = [line(f"schema {n}") for n in range(MOST + 50)]

    result = send(tmp_path, lines, "--dry-run", "--catalog", str(catalog(tmp_path)))
    warnings = [each for each in result.stderr.splitlines() if each.startswith("warning: ")]
    assert len(warnings) == LISTED + 1
    assert warnings[0].startswith("warning: 50 events: other problems like these")
    assert warnings[-1] == f"warning: {MOST + 1 - LISTED} more problems like these"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--catalog", "togai-schemas.json"], "--catalog is for --dry-run."),
        (["--catalog", "none.json", "--dry-run"], "catalog none.json: cannot be read: No such file"),
    ],
)
def test_a_catalog_that_cannot_be_used_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    catalog(tmp_path)

    result = send(tmp_path, [line("a")], *arguments)
    assert result.exit_code == 2
    assert why in result.output
