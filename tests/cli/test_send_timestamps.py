"""Which times of exports are read, and what is said of the others."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sending import CSV_HEADER, Send, line, write

from togai_shipper import InvalidEvent
from togai_shipper._event import timestamp_text
from togai_shipper.cli.send.bad_line import BadLine
from togai_shipper.cli.send.columns import Columns
from togai_shipper.cli.send.json_fields import JsonFields
from togai_shipper.cli.send.timestamps import RECIPE, complaint, read_timestamp
from togai_shipper.testing import FakeTogai

ROOT = Path(__file__).parents[2]
ENDS = {  # how a zone is written -> its offset from UTC, in minutes
    **dict.fromkeys(["Z", "z", " Z", " UTC", "UTC", " utc", " GMT", "Z[UTC]"], 0),
    **dict.fromkeys(["+00:00", "+0000", "+00", " +00:00", " +0000", " +00", "-00:00", " -00"], 0),
    "+05:30": 330,
    " +0530": 330,
    " +05:30": 330,
    "-08": -480,
    " -08": -480,
    " -0800": -480,
}


def read(given: Any) -> str:
    """As ``send`` and ``track()`` do, one after the other."""
    text = read_timestamp(given)
    try:
        return timestamp_text(text)
    except InvalidEvent as invalid:
        raise BadLine(complaint(invalid, text)) from None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31 23:59:59 UTC",  # BigQuery
        "2026-01-31 23:59:59.123456 UTC",
        "2026-01-31 23:59:59.000 +0000",  # Snowflake
        "2026-01-31 15:59:59.000 -0800",
        "2026-01-31 23:59:59.000000000 Z",
        "2026-01-31 23:59:59+00",  # Postgres, Redshift
        "2026-02-01 05:29:59+05:30",
        "2026-01-31 23:59:59.000 UTC",  # Trino, Athena
        "2026-01-31 23:59:59+00:00",  # pandas
        "2026-01-31T23:59:59.000Z",  # Spark
        "2026-01-31T15:59:59.000-08:00",
        "2026-01-31 23:59:59.0000000 +00:00",  # SQL Server
        "2026-01-31T23:59:59Z[UTC]",  # Java
        "2026-01-31t23:59:59z",
    ],
    ids=count(),
)
def test_what_warehouses_write_is_read(text: str) -> None:
    assert read(text)[:19] == "2026-01-31T23:59:59"


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),  # noqa: DTZ001  the zone is written behind it
    st.sampled_from("T t"),
    st.integers(0, 9),
    st.sampled_from([*ENDS]),
)
def test_a_text_that_names_its_zone_is_read_as_datetime_says(
    naive: datetime, between: str, digits: int, end: str
) -> None:
    fraction = f".{naive.microsecond:06d}000"[: digits + 1] if digits else ""
    text = f"{naive:%Y-%m-%d}".zfill(10) + between + f"{naive:%H:%M:%S}{fraction}{end}"
    milliseconds = int(f"{fraction[1:4]:0<3}") * 1000
    zone = timezone(timedelta(minutes=ENDS[end]))

    moment = datetime.fromisoformat(read(text).replace("Z", "+00:00"))

    assert moment == naive.replace(microsecond=milliseconds, tzinfo=zone)


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-31 23:59:59",
        "2026-01-31T23:59:59.123",
        "2026-01-31",
        "2026-01-31 +00",
        "2026-01-31 UTC",
        "2026-01-31 23:59:59 EST",
        "2026-01-31 23:59:59 PST",
        "2026-01-31 23:59:59 Europe/Berlin",
        "2026-01-31T23:59:59+01:00[Europe/Berlin]",
        "2026-01-31T23:59:59+01:00[UTC]",
        "2026-01-31 23:59:59 UTC+1",
        "2026-01-31 23:59:59 GMT-0800",
        "2026-01-31 23:59:59 +05:75",
        "2026-01-31 23:59:59 0000",
        "2026-01-31 23:59:59 +00 UTC",
        "2026-02-30 00:00:00 UTC",
        "2026-01-31 24:00:00 UTC",
        "31/01/2026 23:59:59 UTC",
        "01/02/2026 23:59:59 +0000",
        "1769903999",
        "1769903999 UTC",
        "1769903999Z",
        "2026-02-30T00:00:00Z",
        "infinity",
        "\\N",
        1769903999,
        1769903999123,
        Decimal("1769903999.5"),
        True,
    ],
    ids=count(),
)
def test_what_would_have_to_be_guessed_is_refused_with_what_stood_there(given: Any) -> None:
    with pytest.raises(BadLine, match=re.escape(str(given))) as bad:
        read(given)

    assert str(bad.value).startswith("timestamp: must be ")
    assert RECIPE in str(bad.value)


@given(st.text() | st.integers() | st.decimals(allow_nan=False) | st.lists(st.integers()) | st.none())
def test_anything_else_is_refused_in_a_message_that_is_short_and_printable(given: Any) -> None:
    with pytest.raises(BadLine) as bad:
        read(given)

    assert len(str(bad.value)) < 250
    assert str(bad.value).isprintable()


@given(st.text(min_size=1))
def test_the_text_that_is_refused_is_shown_escaped(text: str) -> None:
    with pytest.raises(BadLine) as bad:
        read(text)

    escaped = text if text.isprintable() else repr(text)[1:-1]
    assert f"'{escaped[:60]}" in str(bad.value)


def test_a_text_of_a_megabyte_is_shown_by_its_beginning() -> None:
    for text in ("1" * 1_000_000, "2026-01-31 23:59:59" + " UTC" * 250_000, "\x1b" * 1_000_000):
        with pytest.raises(BadLine) as bad:
            read(text)

        assert len(str(bad.value)) < 250


def test_a_file_whose_times_are_all_numbers_is_told_once(send: Send, togai: FakeTogai) -> None:
    write("u.csv", CSV_HEADER.strip(), *(f"s,a,{1769903999 + second},1" for second in range(50)))

    result = send("u.csv")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) < 5
    assert "'1769903999'" in result.stderr
    assert RECIPE in result.stderr
    assert not togai.requests


def test_both_formats_read_them() -> None:
    text = "2026-01-31 15:59:59.25 -0800"
    names = ["schema_name", "account_id", "timestamp"]

    assert JsonFields({}).fields(line(timestamp=text).encode())["timestamp"] == "2026-01-31T23:59:59.250Z"
    assert Columns(names, {}).fields(["s", "a", text])["timestamp"] == "2026-01-31T23:59:59.250Z"


def test_each_event_is_billed_at_the_time_that_its_line_names(send: Send, togai: FakeTogai) -> None:
    stamps = ("2026-01-31 23:59:59 UTC", "2026-01-31 15:59:59.000 -0800", "2026-02-01 05:29:59+05:30")
    write("u.csv", CSV_HEADER.strip(), *(f"s,a,{stamp},1" for stamp in stamps))

    assert send("u.csv").exit_code == 0
    entries = map(togai.ledger.get, togai.ledger.ids)
    assert {entry.event["timestamp"] for entry in entries if entry.event} == {"2026-01-31T23:59:59.000Z"}


def test_a_time_that_is_refused_is_told_without_what_a_terminal_obeys(send: Send, togai: FakeTogai) -> None:
    write("u.csv", CSV_HEADER.strip(), "s,a,1769903999,1", "s,a,\x1b[2J\u202e31 Jan,1")
    write("u.ndjson", line(timestamp=1769903999))

    result = send("--json", "u.csv", "u.ndjson")

    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr
    reasons = [bad["reason"] for bad in json.loads(result.stdout)["bad_lines"]]
    assert "'1769903999'" in reasons[0]
    assert "'\\x1b[2J\\u202e31 Jan'" in reasons[1]
    assert "here is 1769903999" in reasons[2]
    assert togai.ledger.metered == 0


def test_the_recipe_that_a_refusal_names_is_there() -> None:
    page, _, anchor = RECIPE.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)

    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
