"""Ages, sizes and moments, as the command line writes and reads them."""

from __future__ import annotations

import click
import pytest

from togai_shipper.cli.formats import age, moment, plural, seconds_of, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
        (86_400 * 2000, "2,000 d"),
    ],
)
def test_an_age_is_rounded_down_to_its_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_400, "99.4 kB"),
        (123_456, "123 kB"),
        (999_600, "1.0 MB"),
        (1_000_000, "1.0 MB"),
        (2**30, "1.1 GB"),
        (5e15, "5,000.0 TB"),
    ],
)
def test_a_size_has_three_digits(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("1.5 d", 129_600), ("1w", 604_800)]
)
def test_an_age_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "d", "-1d", "2 fortnights", "1e9d", "٣d"])
def test_what_is_no_age_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not an age; write 90s"):
        seconds_of(text)


def test_a_moment_is_written_in_utc() -> None:
    assert moment(1_790_000_000_999) == "2026-09-21T14:13:20Z"
    assert moment(2**62) == "?"


def test_one_is_not_many() -> None:
    assert (plural(1, "event"), plural(1204, "event")) == ("1 event", "1,204 events")
    assert plural(2, "it is", "they are") == "2 they are"
