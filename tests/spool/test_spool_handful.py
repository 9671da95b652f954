"""``spool.handful``: small files whose process is gone, moved into ours at once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from spool_files import body, letter
from spooled import DOWN, die, files
from test_spool_adoption import AT, NOW

from togai_shipper._journal import read_journals
from togai_shipper.spool.adoption import MOVE_MOST, Adoption
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.claims import claim
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.moves import Record
from togai_shipper.spool.orphan import FEW_IDS, PIECE
from togai_shipper.spool.requests import ask
from togai_shipper.spool.rows import checksum
from togai_shipper.spool.tally import Tally

META = {"base_url": "there", "host": "host", "pid": "7", "created_ms": str(NOW), "journal_keeps": "ids"}


class Place:
    """A directory, our own file in it, and the search for others'."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.count = 0
        self.ours = SpoolFile.create(self.folder.new().path, META)
        self.adoption = Adoption(
            self.folder, "there", lambda: 0.0, lambda: 0.0, lambda _, text: self.told.append(text)
        )

    def left(self, *names: str, delivered: int = 0, dead: int = 0, accepted_ms: int = NOW) -> Path:
        """One more file whose process is gone, with events, and what has left it."""
        self.count += 1
        path = self.folder.given / f"host-7-{self.count:08x}.db"
        file = SpoolFile.create(path, {**META, "journal": path.stem})
        if names:
            file.append([(accepted_ms, False, body(name)) for name in names])
        for number in range(delivered):
            tally = Tally("ids")
            tally.add([body(f"{path.stem} {number}")], "2026-09-21", "delivered")
            file.settle([], tally, NOW)
        file.bury([letter(f"{path.stem} {number}", accepted_ms=NOW) for number in range(dead)])
        file.close()
        return path

    def go(self) -> int:
        """Move what one go moves; return how many files that were."""
        if not self.adoption.find(NOW):
            return 0
        moved: list[str] = []
        self.adoption.move(self.ours, AT, lambda path, _: moved.append(path))
        return len(moved)

    def go_on(self) -> list[int]:
        """Move all; return how many files each go moved."""
        return list(iter(self.go, 0))

    def pending(self) -> set[str]:
        """The ids of the events in our file."""
        rows, _ = self.ours.read(0, 10_000)
        assert len(rows) == len({row.body for row in rows})  # nothing twice
        return {str(row.body).partition('"id":"')[2].partition('"')[0] for row in rows}

    def journalled(self) -> int:
        """How many events the journals say were delivered, all of them with their ids."""
        counts = [each for journal in read_journals(self.folder.given) for each in journal.counts]
        return sum(each.count for each in counts if each.fate == "delivered")

    def files(self) -> list[str]:
        """What is in the directory, but for what is our file's."""
        names = (path.name for path in self.folder.given.iterdir())
        return sorted(name for name in names if not name.startswith(self.ours.path.stem))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(Folder(str(tmp_path)))
    yield made
    made.adoption.pause()
    made.ours.close()


def test_small_files_are_moved_at_once_with_all_that_is_in_them(place: Place) -> None:
    for number in range(5):
        place.left(f"{number} a", f"{number} b", delivered=number, dead=1)

    assert place.go_on() == [5]
    assert place.pending() == {f"{number} {which}" for number in range(5) for which in "ab"}
    assert place.ours.dead_count() == 5
    assert place.journalled() == 0 + 1 + 2 + 3 + 4
    assert place.files() == [NAME]


def test_a_file_with_nothing_in_it_goes_with_them(place: Place) -> None:
    place.left()
    place.left("a")

    assert place.go_on() == [2]
    assert (place.pending(), place.files()) == ({"a"}, [])


def test_files_of_which_none_has_anything_in_it_go_together(place: Place) -> None:
    place.left()
    place.left()

    assert place.go_on() == [2]
    assert (place.pending(), place.files()) == (set(), [])


def test_so_many_files_are_moved_in_one_go_that_our_own_events_can_be_written_between(place: Place) -> None:
    for number in range(MOVE_MOST + 1):
        place.left(f"{number}")

    assert place.go_on() == [MOVE_MOST, 1]
    assert place.files() == []


def test_files_that_are_found_in_several_goes_are_moved_at_once_but_the_first_without_waiting(
    place: Place,
) -> None:
    """As on a busy machine, where each go has time to open one; a process may end after the first."""
    for number in range(4):
        place.left(f"{number}")
    seconds = count()
    place.adoption = Adoption(place.folder, "there", lambda: float(next(seconds)), lambda: 0.0, print)

    assert place.go() == 1
    while not place.adoption.find(NOW):
        assert len(place.pending()) == 1
    assert place.go() == 3
    assert place.files() == []


def test_a_file_that_says_what_was_moved_of_a_later_one_is_looked_at_again_once_that_one_is_gone(
    place: Place,
) -> None:
    """As a process leaves them that was killed once a piece of one was in the other, and still in its own."""
    heir, source = place.left(), place.left("a", "b")
    with closing(SpoolFile.open(heir)) as there, closing(SpoolFile.open(source)) as file:
        rows, _ = file.read(0, 10)
        record = Record([(row.seq, checksum(row.accepted_ms, row.known, row.body)) for row in rows], [])
        file.moves.name_heir(heir.name)
        there.take_over({source.name: record}, [(row.accepted_ms, True, row.body) for row in rows], [])
    os.utime(heir, (1, 1))  # so it is looked at first

    place.go_on()
    place.go_on()  # at once, not in a minute

    assert (place.pending(), place.files()) == ({"a", "b"}, [])


def test_it_is_looked_at_again_at_once_one_time_where_that_one_stays(place: Place) -> None:
    """And another stays, too: that must not be a look without end."""
    heir, source = place.left(), place.left("a")
    place.left("b", accepted_ms=NOW + 86_400_000 * 2)  # the clocks do not tell how old it is: it stays
    with closing(SpoolFile.open(heir)) as there, closing(SpoolFile.open(source)) as file:
        rows, _ = file.read(0, 10)
        record = Record([(row.seq, checksum(row.accepted_ms, row.known, row.body)) for row in rows], [])
        file.moves.name_heir(heir.name)
        there.take_over({source.name: record}, [(row.accepted_ms, True, row.body) for row in rows], [])
    os.utime(heir, (1, 1))
    claimed = claim(source)
    assert claimed is not None  # its process lives

    looks = [place.go_on() for _ in range(5)]

    assert [bool(look) for look in looks] == [True, True, False, False, False]
    claimed.release()


def test_a_large_file_among_small_ones_is_moved_in_pieces(place: Place) -> None:
    place.left("a")
    place.left(*(f"{number}" for number in range(PIECE + 1)))
    place.left("b")

    assert place.go_on()[0] == 1
    assert len(place.pending()) == PIECE + 3
    assert place.files() == []


def test_what_an_operator_has_asked_of_a_small_file_is_done(place: Place) -> None:
    path = place.left("a", dead=1)
    ask(path, "replay", [1])
    place.left("b")

    place.go_on()

    assert place.pending() == {"a", "b", f"{path.stem} 0"}
    assert (place.ours.dead_count(), place.files()) == (0, [])


def test_a_small_file_with_many_ids_in_its_journal_is_moved_in_pieces(place: Place) -> None:
    place.left("a", delivered=FEW_IDS + 1)
    place.left("b")

    place.go_on()

    assert (place.pending(), place.journalled()) == ({"a", "b"}, FEW_IDS + 1)
    assert place.files() == [NAME]


def test_an_event_of_which_nobody_knows_how_old_it_is_stays_in_its_file(place: Place) -> None:
    path = place.left("a", accepted_ms=0)
    place.left("b")

    place.go_on()

    assert (place.pending(), path.exists()) == ({"b"}, True)
    assert place.adoption.kept == {str(path): 1}


def test_while_journals_cannot_be_kept_files_stay_and_their_events_come_once(place: Place) -> None:
    place.left("a", delivered=1)
    (place.folder.given / NAME).mkdir()

    place.go_on()
    assert place.pending() == {"a"}
    assert place.files() == ["host-7-00000001.db", "host-7-00000001.lock", NAME]

    (place.folder.given / NAME).rmdir()
    place.adoption.judge_anew()
    place.go_on()
    assert (place.pending(), place.journalled(), place.files()) == ({"a"}, 1, [NAME])


def test_a_file_that_comes_back_after_a_power_cut_brings_nothing_twice(place: Place) -> None:
    path = place.left("a", dead=1)
    content = path.read_bytes()

    def powerless() -> None:
        path.write_bytes(content)
        raise SpoolError("the power went")

    place.folder.sync, sync = powerless, place.folder.sync  # type: ignore[method-assign]
    place.adoption = Adoption(place.folder, "there", lambda: 0.0, lambda: 0.0, lambda *_: None)
    place.go()
    file = SpoolFile.open(path)
    file.moves.name_heir(place.ours.path.name)
    file.close()
    place.folder.sync = sync  # type: ignore[method-assign]
    place.left("b")
    place.adoption.judge_anew()
    place.go_on()

    assert (place.pending(), place.ours.dead_count(), place.files()) == ({"a", "b"}, 1, [])


def test_a_file_whose_dead_letters_cannot_be_read_is_moved_in_pieces_and_kept(place: Place) -> None:
    path = place.left("a", dead=1)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'dead'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    place.left("b")

    place.go_on()

    assert place.pending() == {"a", "b"}
    assert [name for name in place.files() if name.endswith(".db")] == []
    assert any(name.startswith(f"{path.name}.corrupt-") for name in place.files())


def crash_loop(worlds: Any, folder: Path, count: int) -> None:
    """Processes that track one event each, and are killed while Togai is down."""
    for number in range(count):
        w = worlds(max_queue_size=100, batch_size=10)
        w.server.answer = lambda _: DOWN
        w.pipeline.put(body(f"{number} of the loop"))
        w.pipeline.sync(1.0)
        for _ in range(3):
            w.pipeline.store.step(0.0)
        die(w)


def test_a_crash_loop_leaves_one_file(worlds: Any, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    crash_loop(worlds, folder, 20)

    assert len(files(folder)) == 1


def test_a_crash_loop_leaves_few_files_though_a_large_one_holds_more_than_may_wait(
    worlds: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    first = worlds(max_queue_size=100, batch_size=10)
    for number in range(100):
        first.pipeline.put(body(str(number), 60_000))
    first.pipeline.sync(1.0)
    die(first)

    crash_loop(worlds, folder, 20)

    assert len(files(folder)) <= 3
    assert sum(SpoolFile.peek(path).pending()[0] for path in files(folder)) == 120


@pytest.mark.parametrize("is_asked", [False, True])  # then it is moved in pieces
def test_what_a_file_brought_is_counted_before_the_file_is_gone(place: Place, *, is_asked: bool) -> None:
    """Who sees that no file is left, and closes, would else leave what came from the last one."""
    path = place.left("a", "b")
    if is_asked:
        ask(path, "purge", [99])
    there: list[bool] = []

    while place.adoption.find(NOW):
        place.adoption.move(place.ours, AT, lambda path, _: there.append(Path(path).exists()))

    assert set(there) == {True}
    assert not path.exists()
