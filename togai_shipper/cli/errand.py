"""Replay and purge: done here where nobody has the file, else asked of the process that has it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.requests import What, ask

from .amounts import now_ms

PATIENCE = 5.0  # seconds that the process is given; about one is what it takes
PAUSE = 0.05  # seconds between two looks
PORTION = 1000  # letters in one transaction: the application goes on writing between two

DONE = "done"
ASKED = "asked"  # the process that has the file will do it
GONE = "gone"  # the file, with what was in it, is somewhere else now
FAILED = "failed"


@attrs.frozen
class Result:
    """What came of it for one file.

    Attributes:
        path: the file.
        state: ``DONE``, ``ASKED``, ``GONE`` or ``FAILED``.
        count: dead letters that it is about.
        by: who has done it, or will: a pid, 0 for a process that cannot be seen from here, ``None`` for us.
        why: why it failed.

    """

    path: Path
    state: str
    count: int
    by: int | None = None
    why: str = ""


@attrs.frozen
class Waiting:
    """How time passes while a process is waited for."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep


@attrs.frozen
class Errand:
    """How to get it done."""

    folder: Folder
    waiting: Waiting

    def run(self, path: Path, what: What, numbers: Sequence[int]) -> Result:
        """Do it, or have it done, and wait a few seconds for that."""
        try:
            return self._here(path, what, numbers) or self._there(path, what, numbers)
        except SpoolError as error:
            return Result(path, FAILED, len(numbers), why=str(error).removeprefix(f"{path}: "))

    def _here(self, path: Path, what: What, numbers: Sequence[int]) -> Result | None:
        """As the one that has the file; nothing where a process has it."""
        claim = self.folder.claim(path)
        if claim is None:
            return None
        if not path.exists():
            claim.unlink()  # the lock that we have just made
            return Result(path, GONE, len(numbers))
        try:
            with closing(SpoolFile.open(path)) as file:
                return Result(path, DONE, sum(self._do(file, what, part) for part in _portions(numbers)))
        finally:
            claim.release()

    @staticmethod
    def _do(file: SpoolFile, what: What, numbers: Sequence[int]) -> int:
        if what == "replay":
            return len(file.replay(numbers, now_ms()))
        before = file.dead_count()
        file.purge(numbers)
        return before - file.dead_count()

    def _there(self, path: Path, what: What, numbers: Sequence[int]) -> Result:
        """By the process that has the file."""
        owner = self.folder.owner(path)
        requests = [ask(path, what, part) for part in _portions(numbers)]
        until = self.waiting.clock() + PATIENCE
        while any(request.exists() for request in requests):
            if self.waiting.clock() >= until:
                return self._late(path, what, numbers, requests) or Result(path, ASKED, len(numbers), owner)
            self.waiting.pause(PAUSE)
        if not path.exists():  # with its file go the requests, heeded or not
            return Result(path, GONE, len(numbers))
        return Result(path, DONE, len(numbers), owner)

    def _late(
        self, path: Path, what: What, numbers: Sequence[int], requests: Sequence[Path]
    ) -> Result | None:
        """The process has not done it: if it has ended, do it here. A number that is done is passed over."""
        result = self._here(path, what, numbers)
        if result is not None:
            for request in requests:
                request.unlink(missing_ok=True)
        return result


def _portions(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[start : start + PORTION] for start in range(0, len(numbers), PORTION)]
