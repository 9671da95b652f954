"""What is known to be lost where another Redis has taken over."""

from __future__ import annotations

import pytest
from drained import events

from togai_shipper._outcome import Delivered
from togai_shipper.relay.census import Census
from togai_shipper.relay.entries import Entry, fields_of, read
from togai_shipper.relay.shelf import Shelf

FIRST, SECOND = ("1-1", b"a"), ("1-2", b"b")


def test_what_is_sought_and_not_seen_is_missing() -> None:
    census = Census({FIRST: 2, SECOND: 3})
    census.pass_over([FIRST, ("1-2", b"another entry under its id")])

    assert (census.known, census.missing) == (5, 3)


def test_nobody_else_can_have_removed_it_where_the_lease_was_renewed_after_all_was_read() -> None:
    census = Census({FIRST: 1})
    assert not census.is_over(10.0)

    census.note_all_read(11.0)
    census.note_all_read(12.0)
    assert not census.is_over(11.0)
    assert census.is_over(11.5)


def shelf_with(*names: str) -> tuple[Shelf, Entry]:
    shelf, entry = Shelf(lambda: 0), read("1-1", fields_of(events(*names), b"m" * 16, 1000))
    shelf.take(entry)
    return shelf, entry


@pytest.mark.parametrize(("gone", "kept", "missing"), [(["1-1"], [], 0), ([], ["1-1"], 0), ([], [], 2)])
def test_what_we_are_told_of_as_we_settle_it_is_there(gone: list[str], kept: list[str], missing: int) -> None:
    shelf, entry = shelf_with("a", "b")
    census = shelf.look_for_all()
    shelf.settled(Delivered(entry.events))
    shelf.removed(shelf.next_done(9), gone, kept)

    assert census.missing == missing


def test_what_may_be_settled_already_is_not_missed() -> None:
    shelf, entry = shelf_with("a", "b")
    census = shelf.look_for_all()
    shelf.settled(Delivered(entry.events))
    shelf.note_unsure(shelf.next_done(9))
    assert census.missing == 0

    assert shelf.look_for_all().known == 0
