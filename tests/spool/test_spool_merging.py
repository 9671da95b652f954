"""``spool.merging``: processes that end at once leave few files, however many they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from spool_files import body
from spooled import DOWN, files, stats
from virtual import WALL, World

from togai_shipper._outcome import FlushReport
from togai_shipper.spool.age import Clocks, FileClock
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import SMALL, Folder
from togai_shipper.spool.merging import FEWEST, MERGE_FOR, MOST, Merging
from togai_shipper.spool.orphan import PIECE
from togai_shipper.spool.requests import ask

URL = "http://127.0.0.1:1"


def down(worlds: Any, **options: Any) -> World:
    """A process that does not reach Togai."""
    made: World = worlds(**options)
    made.server.answer = lambda sent: DOWN
    return made


def ended(worlds: Any, **options: Any) -> World:
    """A process that tracks two events, and ends at once."""
    made = down(worlds, **options)
    made.put(2)
    assert made.pipeline.close(0.5) == FlushReport(pending=2)
    return made


def left(folder: Path, *events: bytes) -> Path:
    """A file whose process is gone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    claim = Folder(str(folder)).new()
    file = SpoolFile.create(claim.path, {"base_url": URL})
    if events:
        file.append([(int(WALL * 1000), False, each) for each in events])
    file.close()
    claim.made()
    claim.release()
    return claim.path


def delivered(worlds: Any) -> int:
    """How many events a process delivers that takes over all that is there."""
    last = worlds()
    last.put(1)
    last.pipeline.flush(60)
    assert last.pipeline.close(10)
    return len(last.server.metered) - 1


def test_processes_that_end_at_once_leave_few_files_and_lose_nothing(worlds: Any, folder: Path) -> None:
    counts = []
    for _ in range(4 * FEWEST):
        ended(worlds)
        counts.append(len(files(folder)))

    assert max(counts) == FEWEST
    assert delivered(worlds) == 2 * len(counts)
    assert files(folder) == []


def test_what_was_others_counts_as_others(worlds: Any, folder: Path) -> None:
    for _ in range(FEWEST):
        left(folder, body("a"), body("b"))

    now = stats(ended(worlds))

    assert len(files(folder)) == 1
    assert (now.accepted, now.recovered, now.pending, now.spooled) == (2, 0, 2, 2)


def test_a_process_whose_own_events_are_delivered_as_it_ends_leaves_what_it_has_merged(
    worlds: Any, folder: Path
) -> None:
    for number in range(FEWEST):
        left(folder, body(str(number)))
    quick = worlds()
    quick.put(1)

    assert quick.pipeline.close(10) == FlushReport(delivered=1)
    assert len(files(folder)) == 1
    assert delivered(worlds) == FEWEST


def test_what_waits_on_disk_alone_is_read_back_past_what_was_merged(worlds: Any, folder: Path) -> None:
    for number in range(FEWEST):
        left(folder, body(str(number)))
    full = worlds(max_queue_size=4)
    ids = full.put(4)

    assert full.pipeline.close(10) == FlushReport(delivered=4)
    assert full.server.metered.keys() == set(ids)
    assert delivered(worlds) == FEWEST


def test_files_with_nothing_in_them_are_merged_too(worlds: Any, folder: Path) -> None:
    for _ in range(FEWEST):
        left(folder)

    ended(worlds)

    assert len(files(folder)) == 1
    assert delivered(worlds) == 2


def test_few_files_are_left_as_they_are(worlds: Any, folder: Path) -> None:
    before = {left(folder, body(str(number))) for number in range(FEWEST - 1)}

    ended(worlds)

    assert before < set(files(folder))


def test_who_has_looked_for_others_files_does_not_merge_them_again(worlds: Any, folder: Path) -> None:
    first = down(worlds)
    first.put(1)
    first.pipeline.flush(0.0)
    before = {left(folder, body(str(number))) for number in range(FEWEST)}

    first.pipeline.close(0.5)

    assert before < set(files(folder))


# --- what is merged --------------------------------------------------------------------------------------


class Place:
    """A directory, our own file in it, and what merges others into that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        folder = Folder(str(path))
        folder.prepare()
        self.ours = SpoolFile.create(folder.new().path, {"base_url": URL})
        self.act: Callable[[], object] = lambda: None  # what happens once the directory is read
        self.merging = Merging(folder, URL, lambda: 0.0, self._chance)
        self.moved: list[str] = []

    def _chance(self) -> float:
        self.act()
        return 0.5

    def left(self, count: int) -> list[Path]:
        """So many files with an event each."""
        return [left(self.path, body(f"{number}")) for number in range(count)]

    def merge(self, commit_took: float = 0.0) -> int:
        """Merge, and return how many events are in our file then."""
        now = Clocks.read("a boot", 400 * 86_400.0, WALL, None)
        self.merging.merge(self.ours, now, commit_took, lambda path, _: self.moved.append(path))
        return self.ours.pending()[0]

    def others(self) -> set[Path]:
        """The files that are not ours."""
        return set(files(self.path)) - {self.ours.path}


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    made = Place(folder)
    yield made
    made.ours.close()


def test_files_are_merged_with_all_that_is_in_them_once(place: Place) -> None:
    paths = place.left(FEWEST)

    assert place.merge() == FEWEST
    assert (place.others(), sorted(place.moved)) == (set(), sorted(map(str, paths)))
    place.left(FEWEST)
    assert place.merge() == FEWEST


def test_so_many_are_merged_as_the_disk_writes_in_a_moment(place: Place) -> None:
    place.left(MOST + 3)

    assert place.merge(MERGE_FOR / (FEWEST - 1)) == 0
    assert place.merge(MERGE_FOR / (FEWEST + 1)) == FEWEST + 1
    assert len(place.others()) == MOST + 3 - (FEWEST + 1)


def not_to_be_opened(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def another_users(path: Path) -> None:
    path.unlink()
    path.mkdir()


def too_old(path: Path) -> None:
    path.unlink()
    file = SpoolFile.create(path, {"base_url": URL}, FileClock("a boot"))
    file.append([(0, True, body("old"))])
    file.close()


def with_very_many_events(path: Path) -> None:
    file = SpoolFile.open(path)
    file.append([(int(WALL * 1000), True, body("old"))] * PIECE)
    file.close()


def large(path: Path) -> None:
    file = SpoolFile.open(path)
    file.append([(int(WALL * 1000), True, body("old", SMALL))])
    file.close()


def for_elsewhere(path: Path) -> None:
    path.unlink()
    SpoolFile.create(path, {"base_url": "http://127.0.0.1:2"}).close()


def without_what_it_says(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE meta")
    connection.close()


def asked(path: Path) -> None:
    ask(path, "replay", [1])


@pytest.mark.parametrize(
    "change",
    [
        not_to_be_opened,
        another_users,
        too_old,
        with_very_many_events,
        large,
        for_elsewhere,
        without_what_it_says,
        asked,
    ],
)
def test_what_is_special_is_left_to_who_adopts_it(place: Place, change: Callable[[Path], None]) -> None:
    special, *_ = place.left(FEWEST + 1)
    change(special)

    assert place.merge() == FEWEST
    assert place.others() == {special}


@pytest.mark.parametrize("is_begun", [True, False])
def test_what_was_being_made_as_its_process_died_is_removed_if_nothing_is_in_it(
    place: Place, *, is_begun: bool
) -> None:
    place.left(FEWEST)
    claim = Folder(str(place.path)).new()  # it has not said yet that the file is made
    if is_begun:
        SpoolFile.create(claim.path, {"base_url": URL}).close()
    else:
        claim.path.touch(0o600)
    claim.release()

    assert place.merge() == FEWEST
    assert place.others() == set()
    assert not claim.path.with_suffix(".lock").exists()


def test_what_another_process_has_is_left_alone(place: Place) -> None:
    living, *_ = place.left(FEWEST)
    claim = Folder(str(place.path)).claim(living)
    assert claim is not None

    assert place.merge() == 0
    assert len(place.others()) == FEWEST
    claim.release()


def test_what_vanishes_meanwhile_leaves_nothing(place: Place) -> None:
    gone, *_ = place.left(FEWEST + 1)

    def vanish() -> None:
        gone.unlink(missing_ok=True)
        gone.with_suffix(".lock").unlink(missing_ok=True)

    place.act = vanish

    assert place.merge() == FEWEST
    assert not gone.with_suffix(".lock").exists()


def test_files_are_let_go_where_ours_cannot_be_written(place: Place) -> None:
    paths = place.left(FEWEST)
    place.ours.close()

    with pytest.raises(SpoolError):
        place.merge()
    claims = [Folder(str(place.path)).claim(path) for path in paths]
    assert None not in claims
    for claim in claims:
        assert claim is not None
        claim.release()


def test_a_file_that_cannot_be_removed_is_moved_once(place: Place) -> None:
    stays, *_ = place.left(FEWEST)
    place.moved = Blocking(stays)

    assert place.merge() == FEWEST
    place.ours.moves.forget()
    assert place.ours.moves.records().keys() == {stays.name}


class Blocking(list[str]):
    """What was moved; as one file is told, something comes that keeps it from being removed."""

    def __init__(self, stays: Path) -> None:
        super().__init__()
        self._stays = stays

    def append(self, path: str) -> None:
        if path == str(self._stays):
            Path(f"{path}-journal").mkdir()
        super().append(path)
