"""``spool.stranded``, and the look for files among which others have put any number of theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from togai_shipper.spool.adoption import LOOK_MOST, Adoption
from togai_shipper.spool.age import Clocks
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.stranded import MOST, Stranded


def test_files_beyond_the_bound_are_counted() -> None:
    first = Stranded().more((f"{number:06}", 2) for number in range(MOST))
    found = first.more([("another", 3), ("000007", 5)]).more([("one more", 1)])

    assert (found.count, len(found.files), found.beyond) == (2 * MOST + 3 + 3 + 1, MOST, 4)
    assert first.count == 2 * MOST
    assert found
    assert not Stranded()


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def place(folder: Path) -> Path:
    """A spool in which two and a half goes' worth of directories are named like files of ours."""
    Folder(str(folder)).prepare()
    for number in range(LOOK_MOST * 5 // 2):
        (folder / f"host-1-{number:08x}.db").mkdir()
    return folder


def test_a_look_at_very_many_files_is_done_in_several_goes(place: Path) -> None:
    told: list[str] = []
    watch = Watch()
    adoption = Adoption(Folder(str(place)), "there", watch, lambda: 0.0, lambda kind, text: told.append(text))

    seen = []
    while adoption.next_at <= watch.now:
        assert not adoption.find(0)
        seen.append(adoption.count)

    assert seen == [LOOK_MOST, 2 * LOOK_MOST, LOOK_MOST * 5 // 2]
    assert len(told) == 3
    assert told[0].endswith(
        "00000000.db: is no regular file; what is in it is not sent from here; so it is with 299 more files"
    )


def test_what_was_seen_is_not_taken_for_gone_until_the_next_look_is_over(place: Path) -> None:
    watch = Watch()
    adoption = Adoption(Folder(str(place)), "there", watch, lambda: 0.0, lambda kind, text: None)
    while adoption.next_at <= watch.now:
        adoption.find(0)
    (place / "host-1-00000000.db").rmdir()

    watch.now = adoption.next_at
    seen = []
    while adoption.next_at <= watch.now:
        adoption.find(0)
        seen.append(adoption.count)

    assert seen == [LOOK_MOST * 5 // 2] * 2 + [LOOK_MOST * 5 // 2 - 1]


def test_a_file_of_ours_among_very_many_is_found(place: Path, tmp_path: Path) -> None:
    watch = Watch()
    SpoolFile.create(place / "host-0-00000000.db", {"base_url": "there"}).close()
    os.utime(place / "host-0-00000000.db", (0, 0))
    adoption = Adoption(Folder(str(place)), "there", watch, lambda: 0.0, lambda kind, text: None)

    found = [adoption.find(0) for _ in range(3)]

    assert found == [False, False, True]
    moved: list[str] = []
    ours = SpoolFile.create(tmp_path / "ours.db", {})
    adoption.move(ours, Clocks("", 0, 0, None), lambda path, _: moved.append(path))
    (path,) = moved
    assert path == str(place / "host-0-00000000.db")
    adoption.pause()
