"""A process that ends before it has looked for others' files takes some small ones into its own.

Each process that cannot deliver leaves a file. Without this, a crash loop of processes that end at once would
leave as many files as there were processes. Nothing of this is sent from here, or counted: what was others'
lies in our file, for whoever takes that over. A crash in the middle is one in an adoption: see ``handful``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from .age import Clocks
from .errors import SpoolError
from .file import SpoolFile
from .folder import Folder
from .handful import Handful
from .orphan import PIECE, Haul, Orphan
from .requests import asked_of

FEWEST = 8  # small files from which on they are merged; so many may be left at any time
MOST = 25  # of them at once: each takes four descriptors of the application's, for a moment
MERGE_FOR = 0.25  # seconds that this may take, by what one commit took
TRIES = 200  # files that are looked at: those of living processes are among them


class Merging:
    """Merges them, once, if they are many."""

    def __init__(
        self, folder: Folder, base_url: str, clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._base_url = base_url
        self._clock = clock
        self._random = random
        self._handful = Handful(clock, folder.sync, _left)
        self._is_over = False

    def merge(
        self, ours: SpoolFile, now: Clocks, commit_took: float, note: Callable[[str, Haul], object]
    ) -> None:
        """Move what is in small files into ours; ``note`` is told what each path brought.

        ``commit_took``: seconds that a commit takes; each file costs one. Raises ``SpoolError`` where ours
        cannot be written.
        """
        most = min(MOST, int(MERGE_FOR / max(commit_took, MERGE_FOR / MOST)))
        if self._is_over or most < FEWEST:
            return
        self._is_over = True
        found: list[Orphan] = []
        moved: Collection[Orphan] = ()
        try:
            self._gather(found, most)
            if len(found) >= FEWEST:
                asked = asked_of(ours.path.parent)
                moved = self._handful.move(found, asked, ours, now, note, buries=False)
        finally:
            for orphan in found:
                if orphan not in moved:
                    orphan.leave()

    def _gather(self, found: list[Orphan], most: int) -> None:
        """Open those that are for where we ship to; leave the others alone, for who adopts them to tell."""
        rows = 0
        for claim in self._folder.some_left(TRIES, FEWEST, self._random):
            file: SpoolFile | None = None
            with suppress(SpoolError):
                file = SpoolFile.open(claim.path, self._clock)
                orphan = Orphan(claim, file)
                its = orphan.rows()
                if file.meta().get("base_url") == self._base_url and rows + its <= PIECE:
                    rows += its
                    found.append(orphan)
                    if len(found) == most:
                        return
                    continue
            if file is not None:
                file.close()
            claim.release()


def _left(orphan: Orphan, error: SpoolError) -> None:
    """Leave what cannot be removed to whoever adopts it, who tells: our record says what was moved."""
