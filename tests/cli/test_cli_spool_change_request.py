"""Replay and purge: here where nobody has the file, else by the process that has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from spools import event

from togai_shipper.cli.spool.change_request import (
    PATIENCE,
    PORTION,
    ChangeRequest,
    ChangeResult,
    ChangeState,
    WaitClock,
)
from togai_shipper.spool.claims import Claim
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.requests import What, read_requests
from togai_shipper.spool.rows import DeadLetter

AskFor = Callable[[What], ChangeRequest]


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
def ask_for(folder: Folder, time: Time) -> AskFor:
    return lambda what: ChangeRequest(folder, what, WaitClock(lambda: time.now, time.pause))


def made(folder: Folder, letters: int = 3) -> Claim:
    """A file with dead letters, and its owner's claim."""
    claim = folder.new()
    file = SpoolFile.create(claim.path, {})
    file.bury([DeadLetter(str(n), 1, event(str(n)), "rejected", 400, "no", 1, 1) for n in range(letters)])
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
    for request in read_requests(path):
        if request.what == "replay":
            file.replay(request.numbers, 1)
        else:
            file.purge(request.numbers, 0)
        request.path.unlink()
    file.close()


def names(folder: Folder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


def test_what_nobody_has_is_replayed_here_and_let_go(folder: Folder, ask_for: AskFor) -> None:
    claim = made(folder)
    claim.release()

    assert ask_for("replay").run(claim.path, [1, 2, 99]) == ChangeResult(claim.path, ChangeState.DONE, 2)
    assert counts(claim.path) == (2, 1)
    assert folder.owner(claim.path) is None


def test_what_nobody_has_is_purged_here(folder: Folder, ask_for: AskFor) -> None:
    claim = made(folder)
    claim.release()

    assert ask_for("purge").run(claim.path, [1, 2, 99]) == ChangeResult(claim.path, ChangeState.DONE, 2)
    assert counts(claim.path) == (0, 1)


@pytest.mark.parametrize(("what", "after"), [("replay", (2, 1)), ("purge", (0, 1))])
def test_what_a_process_has_is_done_by_that_process(
    folder: Folder, ask_for: AskFor, time: Time, what: What, after: tuple[int, int]
) -> None:
    claim = made(folder)
    time.meanwhile = lambda: heed(claim.path)

    assert ask_for(what).run(claim.path, [1, 2]) == ChangeResult(claim.path, ChangeState.DONE, 2, os.getpid())
    assert counts(claim.path) == after
    claim.release()


def test_many_letters_are_asked_for_in_portions(folder: Folder, ask_for: AskFor, time: Time) -> None:
    claim = made(folder, PORTION + 1)
    sizes: list[int] = []

    def look() -> None:
        sizes.extend(len(request.numbers) for request in read_requests(claim.path))
        heed(claim.path)

    time.meanwhile = look

    assert ask_for("replay").run(claim.path, range(1, PORTION + 2)).state == ChangeState.DONE
    assert sorted(sizes) == [1, PORTION]
    assert counts(claim.path) == (PORTION + 1, 0)
    claim.release()


def test_a_process_that_is_busy_will_do_it_later(folder: Folder, ask_for: AskFor, time: Time) -> None:
    claim = made(folder)

    assert ask_for("replay").run(claim.path, [1]) == ChangeResult(
        claim.path, ChangeState.ASKED, 1, os.getpid()
    )
    assert PATIENCE <= time.now < PATIENCE + 1
    assert [request.numbers for request in read_requests(claim.path)] == [(1,)]
    claim.release()


def test_where_the_process_ends_without_it_it_is_done_here(
    folder: Folder, ask_for: AskFor, time: Time
) -> None:
    claim = made(folder)
    ends = iter([claim.release])
    time.meanwhile = lambda: [end() for end in ends]

    assert ask_for("replay").run(claim.path, [1]) == ChangeResult(claim.path, ChangeState.DONE, 1)
    assert counts(claim.path) == (1, 2)
    assert read_requests(claim.path) == []


def test_a_file_that_is_taken_over_meanwhile_is_not_called_done(
    folder: Folder, ask_for: AskFor, time: Time
) -> None:
    claim = made(folder)
    time.meanwhile = claim.unlink

    assert ask_for("replay").run(claim.path, [1]) == ChangeResult(claim.path, ChangeState.GONE, 1)
    assert names(folder) == set()


def test_a_file_that_is_gone_leaves_no_lock_of_ours(folder: Folder, ask_for: AskFor) -> None:
    claim = made(folder)
    claim.unlink()

    assert ask_for("purge").run(claim.path, [1]) == ChangeResult(claim.path, ChangeState.GONE, 1)
    assert names(folder) == set()


def test_a_file_that_cannot_be_changed_says_why_and_is_let_go(folder: Folder, ask_for: AskFor) -> None:
    claim = made(folder)
    claim.release()
    claim.path.write_bytes(b"garbage" * 1000)

    result = ask_for("purge").run(claim.path, [1])

    assert result == ChangeResult(claim.path, ChangeState.FAILED, 1, why="file is not a database")
    assert folder.owner(claim.path) is None
