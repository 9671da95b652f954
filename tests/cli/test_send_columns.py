"""What the columns of a CSV file mean."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from togai_shipper.cli.send.bad_line import BadLine
from togai_shipper.cli.send.columns import BadHeader, Columns, cells, header_of
from togai_shipper.cli.send.event_fields import map_of

NEEDED = ["schema_name", "account_id", "timestamp"]
AT = "2026-01-31T23:59:59Z"


def fields_of(header: list[str], row: list[str], *maps: str, ignoring: bool = False) -> dict[str, Any]:
    return Columns(header, map_of(maps), ignoring=ignoring).fields(row)


def test_columns_are_known_by_their_names() -> None:
    header = [*NEEDED, "id", "attributes.count", "attributes.ms", "attributes.ms.unit", "dimensions.region"]

    assert fields_of(header, ["api_call", "acme", AT, "e-1", "1", "9.5", "Milliseconds", "eu"]) == {
        "schema_name": "api_call",
        "account_id": "acme",
        "timestamp": AT,
        "event_id": "e-1",
        "attributes": {"count": "1", "ms": ("9.5", "Milliseconds")},
        "dimensions": {"region": "eu"},
    }


def test_map_says_which_column_is_a_field_and_which_text_is_the_same_for_all() -> None:
    maps = (
        "account_id=customer",
        "attributes.count=n",
        "attributes.count.unit==calls",
        "schema_name==api_call",
    )
    maps += ("dimensions.by==a=b", "dimensions.region=where is it?", "timestamp=at")

    assert fields_of(["n", "customer", "at", "where is it?"], ["2", "acme", AT, "eu"], *maps) == {
        "schema_name": "api_call",
        "account_id": "acme",
        "timestamp": AT,
        "attributes": {"count": ("2", "calls")},
        "dimensions": {"by": "a=b", "region": "eu"},
    }


def test_an_empty_cell_says_nothing() -> None:
    header = [*NEEDED, "idempotency_key", "attributes.a", "attributes.b", "attributes.b.unit", "dimensions.c"]

    assert fields_of(header, ["s", "a", AT, "", "", "1", "", ""]) == {
        "schema_name": "s",
        "account_id": "a",
        "timestamp": AT,
        "attributes": {"b": "1"},
        "dimensions": {},
    }


@pytest.mark.parametrize("null", [None, "NULL", "-"])
def test_a_cell_of_null_is_as_an_empty_one(null: str | None) -> None:
    header = [*NEEDED, "attributes.a", "attributes.b", "attributes.b.unit", "dimensions.c", "dimensions.d"]
    columns = Columns(header, {}) if null is None else Columns(header, {}, null=null)
    text = null or "\\N"

    assert columns.fields(["s", "a", AT, text, "1", text, text, f"{text} "]) == {
        "schema_name": "s",
        "account_id": "a",
        "timestamp": AT,
        "attributes": {"b": "1"},
        "dimensions": {"d": f"{text} "},
    }
    with pytest.raises(BadLine, match=r"^account_id: is missing$"):
        columns.fields(["s", text, AT, "", "", "", "", ""])


def test_a_constant_is_never_null() -> None:
    columns = Columns(NEEDED, map_of(["dimensions.x==NULL"]), null="NULL")

    assert columns.fields(["s", "a", AT])["dimensions"] == {"x": "NULL"}


@pytest.mark.parametrize("at", range(3))
def test_a_row_without_schema_account_or_timestamp_is_bad(at: int) -> None:
    row = ["s", "a", AT]
    row[at] = ""

    with pytest.raises(BadLine, match=f"^{NEEDED[at]}: is missing$"):
        fields_of(NEEDED, row)


@pytest.mark.parametrize("row", [["s", "a"], ["s", "a", AT, "x"]])
def test_a_row_with_another_number_of_columns_is_bad(row: list[str]) -> None:
    with pytest.raises(BadLine, match=rf"^has {len(row)} columns, not 3$"):
        fields_of(NEEDED, row, "dimensions.x==y")


def test_an_unknown_column_may_be_left_out() -> None:
    assert "note" not in fields_of([*NEEDED, "note"], ["s", "a", AT, "?"], ignoring=True)


@pytest.mark.parametrize(
    ("header", "maps", "why"),
    [
        ([*NEEDED, "region"], (), "column 'region' is not a field of an event"),
        ([*NEEDED, "dimensions."], (), "column 'dimensions.' is not a field of an event"),
        ([*NEEDED, "attributes..unit"], (), r"column 'attributes\.\.unit' is not a field of an event"),
        ([*NEEDED, "at"], ("timestamp=at",), "column 'timestamp' is not a field of an event"),
        (
            ["schema_name", "timestamp"],
            (),
            r"there is no column account_id; name one with --map account_id=COLUMN",
        ),
        (NEEDED, ("dimensions.x=y",), r"there is no column 'y', which --map dimensions\.x names"),
        ([*NEEDED, "account_id"], (), "column 'account_id' appears twice"),
        ([*NEEDED, "id", "event_id"], (), "id and event_id mean the same, and both are there"),
        (
            [*NEEDED, "attributes.n.unit"],
            (),
            r"column 'attributes\.n\.unit' is the unit of 'attributes\.n', which is missing",
        ),
    ],
)
def test_columns_that_make_no_events_are_named(header: list[str], maps: tuple[str, ...], why: str) -> None:
    with pytest.raises(BadHeader, match=why):
        Columns(header, map_of(maps))


@pytest.mark.parametrize(
    ("maps", "why"),
    [
        (["account_id"], "'account_id' is neither FIELD=COLUMN nor FIELD==TEXT"),
        (["account=customer"], "'account' is not a field of an event"),
        (["account_id=a", "account_id=b"], "account_id is given twice"),
        (["id=a", "event_id=b"], "id and event_id mean the same, and both are given"),
    ],
)
def test_a_map_that_says_nothing_clear_is_refused(maps: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        map_of(maps)


def test_cells_may_be_quoted() -> None:
    assert cells("a,b,,") == ["a", "b", "", ""]
    assert cells('"a,1","say ""b""",c') == ["a,1", 'say "b"', "c"]
    with pytest.raises(csv.Error):
        cells('a,"b')


@pytest.mark.parametrize("line", [b'a,"b', b"\xff"])
def test_a_header_that_cannot_be_read_is_told(line: bytes) -> None:
    with pytest.raises(BadHeader, match=r"^the header: "):
        header_of(line)
