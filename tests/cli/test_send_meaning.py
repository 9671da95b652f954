"""What the lines of a job mean, as the record keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sending import AT, Send

from togai_shipper.cli.send.columns import Columns
from togai_shipper.cli.send.event_fields import map_of
from togai_shipper.cli.send.json_fields import JsonFields
from togai_shipper.cli.send.meaning import LineMeaning, meaning_of_paths
from togai_shipper.testing import FakeTogai

NEEDED = ["schema_name", "account_id", "timestamp"]
MAPS = ["attributes.n=n", "dimensions.y==z"]

texts = st.text("ab1", max_size=2)
paths = st.dictionaries(texts.filter(bool), st.lists(texts, min_size=1, max_size=2).map(tuple), max_size=2)
constants = st.dictionaries(texts.filter(bool), texts, max_size=2)


def test_a_job_of_an_earlier_version_means_the_same() -> None:
    """Digests of 0.2.0: with others each job would be refused until its record is forgotten."""
    columns = Columns([*NEEDED, "n", "x"], map_of(MAPS), ignoring=True)

    assert columns.meaning == LineMeaning("39375ce1bd135546", 5, "1238aad190e6216e")
    assert JsonFields({}).meaning == JsonFields({}, ignoring=True).meaning == LineMeaning("ndjson")


@given(paths, constants, paths, constants)
def test_lines_of_ndjson_mean_the_same_if_map_says_the_same(
    one: dict[str, tuple[str, ...]],
    same: dict[str, str],
    two: dict[str, tuple[str, ...]],
    other: dict[str, str],
) -> None:
    is_another = meaning_of_paths(one, same).is_another_than(meaning_of_paths(two, other))

    assert is_another == ((one, same) != (two, other))


def test_the_order_of_map_means_nothing() -> None:
    assert JsonFields(map_of(MAPS)).meaning == JsonFields(map_of(MAPS[::-1])).meaning
    assert JsonFields(map_of(MAPS)).meaning != JsonFields({}).meaning


def test_a_cell_that_says_nothing_by_another_null_is_another_meaning(send: Send, togai: FakeTogai) -> None:
    Path("a.csv").write_text(f"schema_name,account_id,timestamp,dimensions.plan\ns,a,{AT},NULL\n")
    assert send("a.csv").exit_code == 0

    refused = send("a.csv", "--null", "NULL")

    assert refused.exit_code == 2
    assert "has been sent with another mapping" in " ".join(refused.stderr.split())
    assert send("a.csv", "--null", r"\N").exit_code == 0
    assert send("a.csv", "--null", "NULL", "--job", "new").exit_code == 0
    dimensions = [
        entry.event["dimensions"] for each in togai.ledger.ids if (entry := togai.ledger.get(each)).event
    ]
    assert sorted(map(str, dimensions)) == ["{'plan': 'NULL'}", "{}"]


@pytest.mark.parametrize("cell", [r"\N", r'"\N"', ""])
def test_a_null_of_mysql_or_of_postgres_says_nothing(send: Send, togai: FakeTogai, cell: str) -> None:
    Path("a.csv").write_text(
        f"schema_name,account_id,timestamp,attributes.n,dimensions.plan\ns,a,{AT},1,{cell}\n"
    )

    assert send("a.csv").exit_code == 0
    [only] = togai.ledger.ids
    assert togai.ledger.get(only).event["dimensions"] == {}
