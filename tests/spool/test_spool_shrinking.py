"""``spool.shrinking``: a file that was large."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from spool_files import META, NOW, body
from spooled import files
from virtual import Clock

from togai_shipper._engine.runtime import FOREVER
from togai_shipper.spool import schema
from togai_shipper.spool.connection import Connection
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.shrinking import KEPT, LOOK_AFTER, STEP, STEP_EVERY, STEP_SHARE, Shrinking

PAGE = 4096
LARGE = 60_000  # bytes of an event
COUNT = (KEPT + 2 * STEP) * PAGE // LARGE


@pytest.fixture
def emptied(file: SpoolFile) -> SpoolFile:
    """A file that was large, and has one event still."""
    fill(file)
    return file


def fill(file: SpoolFile) -> None:
    file.append([(NOW, False, body(str(number), LARGE)) for number in range(COUNT)])
    file.remove(range(1, COUNT))


def test_what_is_free_is_given_back_in_steps_until_a_little_is_left(emptied: SpoolFile) -> None:
    clock = Clock()
    shrinking = Shrinking(clock)
    shrinking.note_removed()
    free = [emptied.free_pages()]
    clock.now += LOOK_AFTER
    while shrinking.due_at < FOREVER:
        shrinking.go_on(emptied)
        free.append(emptied.free_pages())
        clock.now += STEP_EVERY

    assert free[0] > KEPT + STEP
    assert all(before - STEP <= after for before, after in pairwise(free))
    assert free[-1] <= KEPT
    assert emptied.path.stat().st_size <= (KEPT + 100) * PAGE
    assert len(emptied.read(0, 10)[0]) == 1
    assert emptied.complaints() == []


def test_on_a_slow_disk_it_takes_a_small_part_of_the_time(emptied: SpoolFile) -> None:
    clock = Clock()
    shrinking = Shrinking(clock)
    shrinking.note_removed()
    clock.now += LOOK_AFTER
    shrink = emptied.shrink

    def slowly(pages: int) -> None:
        clock.now += 0.2
        shrink(pages)

    emptied.shrink = slowly  # type: ignore[method-assign]
    shrinking.go_on(emptied)

    assert shrinking.due_at - clock.now == pytest.approx(STEP_SHARE * 0.2)


def test_it_waits_until_a_while_after_rows_were_removed(emptied: SpoolFile) -> None:
    clock = Clock()
    shrinking = Shrinking(clock)
    free = emptied.free_pages()
    shrinking.go_on(emptied)
    shrinking.note_removed()
    due_at = shrinking.due_at
    shrinking.go_on(emptied)
    clock.now += LOOK_AFTER / 2
    shrinking.note_removed()

    assert emptied.free_pages() == free
    assert shrinking.due_at == due_at


def test_without_a_file_there_is_nothing_to_give_back() -> None:
    clock = Clock()
    shrinking = Shrinking(clock)
    shrinking.note_removed()
    clock.now += LOOK_AFTER
    shrinking.go_on(None)

    assert shrinking.due_at == FOREVER


def test_a_file_with_little_that_is_free_is_left_as_it_is(file: SpoolFile) -> None:
    clock = Clock()
    shrinking = Shrinking(clock)
    file.append([(NOW, False, body("a", LARGE))])
    file.remove([1])
    free = file.free_pages()
    shrinking.note_removed()
    clock.now += LOOK_AFTER
    shrinking.go_on(file)

    assert (shrinking.due_at, file.free_pages()) == (FOREVER, free)


def test_a_file_that_an_older_version_has_made_keeps_what_is_free(tmp_path: Path) -> None:
    connection = Connection.create(tmp_path / "older.db")
    connection.make_durable()
    schema.lay_out(connection, META)
    file = SpoolFile(connection, is_new=True)
    fill(file)

    assert file.free_pages() == 0
    file.close()


def test_a_spool_that_was_full_takes_no_more_than_it_holds(worlds: Any, folder: Path) -> None:
    w = worlds()
    for number in range(COUNT):
        assert w.pipeline.put(body(str(number), LARGE)) is None
    assert w.pipeline.flush(600)
    (path,) = files(folder)
    largest = path.stat().st_size

    for _ in range(20):
        w.clock.now += LOOK_AFTER
        w.pipeline.store.step(0.0)

    assert w.pipeline.store.waiting == 0
    assert path.stat().st_size < min(largest, (KEPT + 100) * PAGE)
