"""``spool.dead_letters``: what is kept of events that were not delivered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from spool_files import DAY, NOW, body, events, letter

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import PAGE, SpoolFile
from togai_shipper.spool.rows import CORRUPT, PAST_WINDOW, Row, is_past_window


def test_a_dead_letter_takes_its_row_s_place(file: SpoolFile) -> None:
    file.append(events("a", "b"))

    file.bury([letter("a")], [1])

    assert [row.seq for row in file.read(0, 9)[0]] == [2]
    assert list(file.dead()) == [(1, letter("a"))]
    assert (file.dead_count(), file.dead_reasons()) == (1, {"rejected": 1})


def test_a_letter_buried_twice_is_one_and_another_event_of_its_id_is_two(file: SpoolFile) -> None:
    file.bury([letter("a")])
    file.bury([letter("a")])
    assert file.dead_count() == 1

    file.bury([letter("a", body=body("a", 200))])

    assert file.dead_count() == 2


def test_a_letter_that_cannot_be_kept_leaves_its_row_where_it_is(file: SpoolFile) -> None:
    file.append(events("a"))

    with pytest.raises(SpoolError, match="NOT NULL"):
        file.bury([letter("b"), letter("a", message=None)], [1])

    assert file.pending()[0] == 1
    assert file.dead_count() == 0


def test_the_number_of_a_purged_letter_names_no_other(file: SpoolFile) -> None:
    file.bury([letter("a"), letter("b")])

    file.purge([2], 0)
    file.bury([letter("c")])

    assert [(number, dead.id) for number, dead in file.dead()] == [(1, "a"), (3, "c")]


def test_a_replayed_letter_is_pending_and_keeps_its_window(file: SpoolFile) -> None:
    file.append(events("x"))
    young, old = letter("a", accepted_ms=NOW - 39 * DAY), letter("b", accepted_ms=NOW - 41 * DAY)
    file.bury([young, old, letter("c")])

    rows = file.replay([1, 2, 99], NOW)

    assert rows == [
        Row(2, young.accepted_ms, known=True, body=young.body),
        Row(3, NOW, known=True, body=old.body),
    ]
    assert file.read(1, 9) == (rows, [])
    assert [dead.id for _, dead in file.dead()] == ["c"]
    assert file.append(events("y")) == 4


def test_more_letters_than_a_page_are_replayed_and_listed(file: SpoolFile) -> None:
    file.bury([letter(str(n)) for n in range(PAGE + 2)])
    numbers = [number for number, _ in file.dead()]

    rows = file.replay(numbers, NOW)

    assert [row.seq for row in rows] == list(range(1, PAGE + 3))
    assert (file.dead_count(), file.pending()[0]) == (0, PAGE + 2)


def test_a_replay_that_fails_changes_nothing(file: SpoolFile, change: Callable[..., None]) -> None:
    file.bury([letter("a")])
    change("INSERT INTO event VALUES (1, 1, 0, x'00', 0)")  # where the replayed one would go

    with pytest.raises(SpoolError, match="UNIQUE"):
        file.replay([1], NOW)

    assert (file.dead_count(), file.pending()[0]) == (1, 1)


def test_a_damaged_letter_is_told_as_corrupt_and_never_replayed(
    file: SpoolFile, change: Callable[..., None]
) -> None:
    file.bury([letter("a"), letter("b"), letter("c", reason=CORRUPT)])
    change("UPDATE dead SET body = replace(body, 'acme', 'acne') WHERE number = 1")

    assert file.replay([1, 3], NOW) == []

    (_, damaged), (_, whole), (_, corrupt) = file.dead()
    assert damaged.reason == CORRUPT
    assert damaged.message == "damaged on disk; it was rejected: no such schema"
    assert (whole, corrupt.reason) == (letter("b"), CORRUPT)
    assert list(file.damaged_dead()) == [1]


@pytest.mark.parametrize("column", ["id", "accepted_ms", "body", "reason", "message", "attempts", "dead_ms"])
@pytest.mark.parametrize("value", [b"\xff", "x", 1.5, 10**15])
def test_a_letter_s_column_of_a_wrong_type_breaks_nothing(
    file: SpoolFile, change: Callable[..., None], column: str, value: object
) -> None:
    file.bury([letter("a"), letter("b"), letter("c")])
    change(f"UPDATE dead SET {column} = ?, status = x'00' WHERE number = 2", value)  # noqa: S608  ours

    letters = [dead for _, dead in file.dead()]

    assert (letters[0], letters[2]) == (letter("a"), letter("c"))
    assert isinstance(letters[1].body, bytes)
    assert letters[1].status is None


def test_whose_window_is_past() -> None:
    assert not is_past_window(letter(accepted_ms=NOW - 40 * DAY), NOW)
    assert is_past_window(letter(accepted_ms=NOW - 40 * DAY - 1), NOW)
    assert is_past_window(letter(reason=PAST_WINDOW), NOW)
