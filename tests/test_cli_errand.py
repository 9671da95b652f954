"""Replay and purge: here where nobody has the file, else by the process that has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from togai_shipper.cli import errand
from togai_shipper.cli.errand import ASKED, DONE, FAILED, GONE, PATIENCE, PORTION, Errand, Result, Waiting
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Claim, Folder
from togai_shipper.spool.requests import asked
from togai_shipper.spool.rows import DeadLetter


@attrs.define
class Time:
    """Passes while somebody waits; meanwhile the others do what they do."""

    meanwhile: Callable[[], object] = lambda: None
    now: float = 0.0

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path))


@pytest.fixture
def job(folder: Folder, time: Time) -> Errand:
    return Errand(folder, Waiting(lambda: time.now, time.pause))


def made(folder: Folder, letters: int = 3) -> Claim:
    """A file with dead letters, and its owner's claim."""
    claim = folder.new()
    file = SpoolFile.create(claim.path, {})
    file.bury(
        [DeadLetter(str(n), 1, b'{"id":"%d"}' % n, "rejected", 400, "no", 1, 1) for n in range(letters)]
    )
    file.close()
    return claim


def counts(path: Path) -> tuple[int, int]:
    """How many events are pending, and how many are dead."""
    file = SpoolFile.peek(path)
    found = file.pending()[0], file.dead_count()
    file.close()
    return found


def heed(path: Path) -> None:
    """Do what is asked, as the process that has the file does."""
    file = SpoolFile.open(path)
    for request in asked(path):
        if request.what == "replay":
            file.replay(request.numbers, 1)
        else:
            file.purge(request.numbers)
        request.path.unlink()
    file.close()


def names(folder: Folder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


def test_what_nobody_has_is_replayed_here_and_let_go(folder: Folder, job: Errand) -> None:
    claim = made(folder)
    claim.release()

    assert job.run(claim.path, "replay", [1, 2, 99]) == Result(claim.path, DONE, 2)
    assert counts(claim.path) == (2, 1)
    assert folder.owner(claim.path) is None


def test_what_nobody_has_is_purged_here(folder: Folder, job: Errand) -> None:
    claim = made(folder)
    claim.release()

    assert job.run(claim.path, "purge", [1, 2, 99]) == Result(claim.path, DONE, 2)
    assert counts(claim.path) == (0, 1)


@pytest.mark.parametrize(("what", "after"), [("replay", (2, 1)), ("purge", (0, 1))])
def test_what_a_process_has_is_done_by_that_process(
    folder: Folder, job: Errand, time: Time, what: errand.What, after: tuple[int, int]
) -> None:
    claim = made(folder)
    time.meanwhile = lambda: heed(claim.path)

    assert job.run(claim.path, what, [1, 2]) == Result(claim.path, DONE, 2, os.getpid())
    assert counts(claim.path) == after
    claim.release()


def test_many_letters_are_asked_for_in_portions(folder: Folder, job: Errand, time: Time) -> None:
    claim = made(folder, PORTION + 1)
    sizes: list[int] = []

    def look() -> None:
        sizes.extend(len(request.numbers) for request in asked(claim.path))
        heed(claim.path)

    time.meanwhile = look

    assert job.run(claim.path, "replay", range(1, PORTION + 2)).state == DONE
    assert sorted(sizes) == [1, PORTION]
    assert counts(claim.path) == (PORTION + 1, 0)
    claim.release()


def test_a_process_that_is_busy_will_do_it_later(folder: Folder, job: Errand, time: Time) -> None:
    claim = made(folder)

    assert job.run(claim.path, "replay", [1]) == Result(claim.path, ASKED, 1, os.getpid())
    assert PATIENCE <= time.now < PATIENCE + 1
    assert [request.numbers for request in asked(claim.path)] == [(1,)]
    claim.release()


def test_where_the_process_ends_without_it_it_is_done_here(folder: Folder, job: Errand, time: Time) -> None:
    claim = made(folder)
    ends = iter([claim.release])
    time.meanwhile = lambda: [end() for end in ends]

    assert job.run(claim.path, "replay", [1]) == Result(claim.path, DONE, 1)
    assert counts(claim.path) == (1, 2)
    assert asked(claim.path) == []


def test_a_file_that_is_taken_over_meanwhile_is_not_called_done(
    folder: Folder, job: Errand, time: Time
) -> None:
    claim = made(folder)
    time.meanwhile = claim.unlink

    assert job.run(claim.path, "replay", [1]) == Result(claim.path, GONE, 1)
    assert names(folder) == set()


def test_a_file_that_is_gone_leaves_no_lock_of_ours(folder: Folder, job: Errand) -> None:
    claim = made(folder)
    claim.unlink()

    assert job.run(claim.path, "purge", [1]) == Result(claim.path, GONE, 1)
    assert names(folder) == set()


def test_a_file_that_cannot_be_changed_says_why_and_is_let_go(folder: Folder, job: Errand) -> None:
    claim = made(folder)
    claim.release()
    claim.path.write_bytes(b"garbage" * 1000)

    result = job.run(claim.path, "purge", [1])

    assert result == Result(claim.path, FAILED, 1, why="file is not a database")
    assert folder.owner(claim.path) is None
