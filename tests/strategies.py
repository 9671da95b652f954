"""What hypothesis makes up: texts, numbers, events as a caller may give them, and batches of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
from hypothesis import strategies as st

from togai_shipper._engine.batching import Batch
from togai_shipper._event import ChosenId, Event, encode, timestamp_text

DIGITS = 512  # before and behind the point


def texts(low: int, high: int) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can carry; also the characters that JSON escapes."""
    awkward = st.sampled_from('"\\\n\x00\x7f/:,{}[]é€😀 ')
    return st.text(awkward | st.characters(codec="utf-8"), min_size=low, max_size=high)


def decimals() -> st.SearchStrategy[Decimal]:
    """With any digits and any exponent within the bounds."""
    digits = st.integers(-(10**40) + 1, 10**40 - 1)
    return st.builds(lambda whole, exponent: Decimal(f"{whole}E{exponent}"), digits, st.integers(-500, 450))


names = texts(1, 50)
ids = texts(1, 50)
numerals = st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", fullmatch=True)
integers = st.integers() | st.integers(-(10**DIGITS) + 1, 10**DIGITS - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
numbers: st.SearchStrategy[Any] = st.one_of(integers, floats, decimals(), numerals)
attributes = st.dictionaries(names, numbers | st.tuples(numbers, names), max_size=10)
dimensions = st.dictionaries(texts(0, 60), texts(1, 200), max_size=6)
zones = st.builds(timezone, st.integers(-1439, 1439).map(lambda minutes: timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)  # noqa: DTZ001  bounds are naive


@attrs.frozen
class Given:
    """The facts of one event, as a caller gives them."""

    schema_name: str
    account_id: str
    attributes: dict[str, Any]
    dimensions: dict[str, str]
    timestamp: datetime
    id: str

    def encoded(self) -> bytes:
        """By the way that ``track`` takes."""
        facts = (self.schema_name, self.account_id, self.attributes, self.dimensions)
        return encode(*facts, timestamp_text(self.timestamp), self.id)

    def event(self) -> Event:
        """By the way of somebody who builds events."""
        facts = (self.schema_name, self.account_id, self.attributes, self.dimensions)
        return Event(*facts, self.timestamp, self.id)


givens = st.builds(Given, names, texts(1, 512), attributes, dimensions, moments, ids)


@st.composite
def batches(
    draw: st.DrawFn, low: int = 1, high: int = 8, event_id: Callable[[int], str] = "id-{}".format
) -> Batch:
    """Events with different ids, some of them chosen by the caller, and any history."""
    count = draw(st.integers(low, high))
    kinds = st.sampled_from((bytes, ChosenId))
    bodies = [
        encode("api_call", "acme", {}, None, "2026-01-31T23:59:59.999Z", event_id(n)) for n in range(count)
    ]
    single = count == 1 and draw(st.booleans())
    return Batch(
        [draw(kinds)(body) for body in bodies],
        position=draw(st.integers(0, 100)),
        since=draw(st.floats(0.0, 1e6)),
        single=single,
        probe=single and draw(st.booleans()),
        attempts=draw(st.integers(0, 9)),
        maybe_read=draw(st.booleans()),
        server_errors=draw(st.integers(0, 9)),
        not_before=draw(st.sampled_from((0.0, 50.0))),
        divided=draw(st.booleans()),
        fills=draw(st.sampled_from((0, 1024))),
        split=draw(st.integers(0, 3)),
        refusals=draw(st.integers(0, 2)),
        refused_at=draw(st.integers(-1, 3)),
    )
