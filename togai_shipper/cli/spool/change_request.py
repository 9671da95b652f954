"""Have dead letters replayed or deleted: by the process that owns their file, or here if none does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Literal

import attrs

from togai_shipper.cli.formats import now_ms
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.requests import What, ask

from .events import Holder

PATIENCE = 5.0  # seconds that the owner is given; it needs about one
PAUSE = 0.05  # seconds between two looks at whether the owner has done it
PORTION = 1000  # dead letters in one transaction, so that the application can write between two


class ChangeState(Enum):
    """How far a request got with one file."""

    DONE = "done"
    ASKED = "asked"  # the process that owns the file will do it
    GONE = "gone"  # the file has disappeared, and its events are in another file now
    FAILED = "failed"


@attrs.frozen
class ChangeResult:
    """What a request has done to one file, or to a relay.

    Attributes:
        path: the file, or the relay's key.
        state: how far the request got.
        count: how many dead letters the request is about.
        by: the process that has done it, or will: its pid, 0 if it cannot be seen from here, ``None`` for us.
        why: why it failed.

    """

    path: Holder
    state: ChangeState
    count: int
    by: int | None = None
    why: str = ""


@attrs.frozen
class WaitClock:
    """How time passes while we wait for a process; a test gives its own."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep


@attrs.frozen
class ChangeRequest:
    """A request to replay or to delete dead letters, or to send pending events however old they are.

    Attributes:
        folder: the spool.
        what: ``"replay"``, ``"purge"`` or ``"send"``.
        clock: how time passes while we wait for the owner of a file.
        is_risky: replay, too, what Togai may bill twice.

    """

    folder: Folder
    what: What | Literal["send"]
    clock: WaitClock
    is_risky: bool = False

    def run(self, path: Path, numbers: Sequence[int]) -> ChangeResult:
        """Change these dead letters of one file, or ask its owner to and wait a few seconds for it."""
        try:
            result = self._here(path, numbers)
            if result is None and self.what != "send":
                return self._there(path, numbers, self.what)
            return result or self._soon(path, numbers)
        except SpoolError as error:
            why = str(error).removeprefix(f"{path}: ")
            return ChangeResult(path, ChangeState.FAILED, len(numbers), why=why)

    def _here(self, path: Path, numbers: Sequence[int]) -> ChangeResult | None:
        """Change them as the owner of the file; return ``None`` if another process is its owner."""
        claim = self.folder.claim(path)
        if claim is None:
            return None
        if not path.exists():
            claim.unlink()  # the lock that we have just made
            return ChangeResult(path, ChangeState.GONE, len(numbers))
        try:
            with closing(SpoolFile.open(path)) as file:
                count = sum(self._change(file, portion) for portion in _portions(numbers))
                return ChangeResult(path, ChangeState.DONE, count)
        finally:
            claim.release()

    def _change(self, file: SpoolFile, numbers: Sequence[int]) -> int:
        if self.what == "replay":
            return len(file.replay(numbers, now_ms(), is_left=True))
        if self.what == "send":
            rows = [row for row in map(file.read_one, numbers) if row]
            file.ask_for(rows)
            return len(rows)
        before = file.dead_count()
        file.purge(numbers, now_ms())
        return before - file.dead_count()

    def _soon(self, path: Path, numbers: Sequence[int]) -> ChangeResult:
        """Change them once the process that looks into the file lets go of it."""
        until = self.clock.now() + PATIENCE
        while (result := self._here(path, numbers)) is None and self.clock.now() < until:
            self.clock.pause(PAUSE)
        return result or ChangeResult(
            path, ChangeState.FAILED, len(numbers), why="a process is taking it over"
        )

    def _there(self, path: Path, numbers: Sequence[int], what: What) -> ChangeResult:
        """Ask the owner of the file to change them."""
        owner = self.folder.owner(path)
        requests = [ask(path, what, portion, is_risky=self.is_risky) for portion in _portions(numbers)]
        until = self.clock.now() + PATIENCE
        while any(request.exists() for request in requests):
            if self.clock.now() >= until:
                asked = ChangeResult(path, ChangeState.ASKED, len(numbers), owner)
                return self._late(path, numbers, requests) or asked
            self.clock.pause(PAUSE)
        if not path.exists():  # its requests go with the file, whether the owner has seen them or not
            return ChangeResult(path, ChangeState.GONE, len(numbers))
        return ChangeResult(path, ChangeState.DONE, len(numbers), owner)

    def _late(self, path: Path, numbers: Sequence[int], requests: Sequence[Path]) -> ChangeResult | None:
        """Change them here if the owner has ended without it; what it has changed already stays as it is."""
        result = self._here(path, numbers)
        if result is not None:
            for request in requests:
                request.unlink(missing_ok=True)
        return result


def _portions(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[start : start + PORTION] for start in range(0, len(numbers), PORTION)]
