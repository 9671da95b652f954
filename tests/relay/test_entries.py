"""``relay.entries``: what a batch is in the stream, and whatever else may lie there."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._event import ChosenId
from togai_shipper.relay.entries import FIELDS, MOST_BYTES, NotOurs, fields_of, read

MARK = b"0123456789abcdef"
bodies = st.binary(max_size=20).map(lambda text: text.replace(b"\n", b" "))
events = st.lists(st.one_of(bodies, bodies.map(ChosenId)), min_size=1, max_size=500)


@given(events, st.integers(0, 10**14))
def test_a_batch_comes_back_as_it_was(batch: list[bytes], accepted_ms: int) -> None:
    entry = read("1-1", fields_of(batch, MARK, accepted_ms))

    assert entry.events == batch
    assert list(map(type, entry.events)) == list(map(type, batch))
    assert (entry.id, entry.mark, entry.accepted_ms) == ("1-1", MARK, accepted_ms)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({b"v": b"2"}, "format 2"),
        ({b"v": b"x"}, "field v is no number"),
        ({b"n": b"9" * 20}, "field n is no number"),
        ({b"n": b"0"}, "it has 0 events"),
        ({b"n": b"501"}, "it has 501 events"),
        ({b"n": b"1"}, "has 1 events, and has 2"),
        ({b"k": b"short"}, "5 bytes, not 16"),
        ({b"t": b"-1"}, "field t is no number"),
        ({b"e": b"none"}, "damaged"),
        ({b"e": zlib.compress(b"a\nb")[:-1]}, "cut"),
        ({b"e": zlib.compress(b"a\nb") + b"more"}, "follows"),
        ({b"e": zlib.compress(b"a\n" * MOST_BYTES)}, "more than 16,777,216 bytes"),
        ({b"more": b""}, "other fields"),
    ],
)
def test_what_is_not_ours_is_told(change: dict[bytes, bytes], why: str) -> None:
    with pytest.raises(NotOurs, match=why):
        read("1-1", {**fields_of([b"a", b"b"], MARK, 1), **change})


@given(
    st.dictionaries(st.sampled_from(sorted(FIELDS)), st.binary(max_size=40) | st.sampled_from([b"1", MARK]))
)
def test_whatever_lies_there_it_is_an_entry_or_not_ours(fields: dict[bytes, bytes]) -> None:
    try:
        entry = read("1-1", {**fields_of([b"a"], MARK, 1), **fields})
    except NotOurs:
        return
    assert len(entry.events) == 1
