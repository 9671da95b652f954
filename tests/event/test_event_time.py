"""Which times an event takes, and how it writes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from itertools import count
from typing import Any

import pytest
from event_facts import NOON, Text
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import moments

from togai_shipper import Event, InvalidEvent
from togai_shipper._event import Stamp, timestamp_text


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00z",
        "2026-01-31 12:00:00,0+00:00",
        "2026-01-31T12:00:00.0009999999Z",
        "2026-01-31T14:30:00+02:30",
        "2026-01-31T14:30:00+0230",
        "2026-01-31T14:00:00+02",
        "2026-01-31 12:00:00+00",
        "2026-01-31 12:00:00-0000",
        "2026-01-30T22:00:00-14:00",
        Text("2026-01-31T12:00:00Z"),
        datetime(2026, 1, 31, 12, tzinfo=timezone.utc),
        datetime(2026, 1, 31, 12, 0, 0, 999, tzinfo=timezone.utc),
        datetime(2026, 1, 31, 17, 45, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
    ids=count(),
)
def test_a_time_is_written_in_utc_with_milliseconds(given: Any) -> None:
    assert timestamp_text(given) == NOON
    assert Event("api_call", "acme", timestamp=given).timestamp == NOON


@pytest.mark.parametrize(
    "given",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00 Z",
        "2026-01-31T12:00:00Z\n",
        "20260131T120000Z",
        "2026-01-31T12Z",
        "1769860800",
        "\u0662026-01-31T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-00-10T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00-99:99",
        "2026-01-31T12:00:00+05:75",
        "2026-01-31T12:00:00+5",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        Text("2026-01-31"),
        datetime(2026, 1, 31, 12),  # noqa: DTZ001  that is the point
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1))),
        1769860800,
        1769860800.5,
        datetime(2026, 1, 31, tzinfo=timezone.utc).date(),
        b"2026-01-31T12:00:00Z",
        True,
        object(),
    ],
    ids=count(),
)
def test_a_time_without_zone_or_that_does_not_exist_is_refused_with_its_type(given: Any) -> None:
    for way in (timestamp_text, lambda given: Event("api_call", "acme", timestamp=given)):
        with pytest.raises(InvalidEvent) as error:
            way(given)
        assert error.value.field == "timestamp"
        assert type(given).__name__ in error.value.problem or "(str)" in error.value.problem
        assert "2026-01-31T12:00:00" not in error.value.problem


def test_a_zone_that_does_not_know_its_offset_is_none() -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, dt: datetime | None) -> None:
            return None

    with pytest.raises(InvalidEvent, match=r"^timestamp: must have a zone: billing time is not guessed"):
        timestamp_text(datetime(2026, 1, 31, tzinfo=Nowhere()))


@given(moments)
def test_the_text_of_a_time_is_that_time_to_the_millisecond(moment: datetime) -> None:
    text = timestamp_text(moment)

    back = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)
    assert timestamp_text(text) == text == timestamp_text(moment.isoformat())


@given(
    st.tuples(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)),
    st.tuples(st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
    st.sampled_from("T "),
    st.text("0123456789", max_size=9),
    st.sampled_from(["Z", "+00:00", "-00:00", "+0000", "+00", "+00:01", "-23:59", "+24:00"]),
)
@example((2024, 2, 29), (23, 59, 59), "T", "9999", "Z")
@example((2026, 2, 29), (23, 59, 59), "T", "", "Z")
def test_a_text_is_read_as_datetime_reads_it(
    day: tuple[int, int, int], time: tuple[int, int, int], between: str, fraction: str, zone: str
) -> None:
    clock = "{:02d}:{:02d}:{:02d}".format(*time) + ("." * bool(fraction)) + fraction
    text = "{:04d}-{:02d}-{:02d}".format(*day) + between + clock + zone
    sign, hours, minutes = (zone[0], int(zone[1:3]), int(zone[-2:])) if zone != "Z" else ("+", 0, 0)
    try:
        offset = timezone(timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1))
        moment = datetime(*day, *time, int(f"{fraction:0<6}"[:6]), offset).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        with pytest.raises(InvalidEvent, match=r"^timestamp: "):
            timestamp_text(text)
    else:
        assert timestamp_text(text) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(st.integers(0, 9_000_000_000 * 10**9))
@example(999_999)
@example(10**9 - 1)
def test_the_stamp_of_an_instant_is_its_text(nanoseconds: int) -> None:
    stamp = Stamp()
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=nanoseconds // 1000)

    assert stamp(nanoseconds) == timestamp_text(moment)
    assert stamp(nanoseconds) == timestamp_text(moment), "the second is known by now"


def test_an_event_without_a_time_is_of_now() -> None:
    before = timestamp_text(datetime.now(timezone.utc))

    assert before <= Event("api_call", "acme").timestamp <= timestamp_text(datetime.now(timezone.utc))
