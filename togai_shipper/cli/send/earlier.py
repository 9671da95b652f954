"""What a job's earlier runs mean for the next one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from .file_identity import FileAtHand, FileIdentity
from .meaning import LineMeaning

#: Seconds for which Togai knows an id, and a day more. After that its line is billed again anyway.
KNOWN = 46 * 86_400.0


@attrs.frozen(kw_only=True)
class Claim:
    """An input of an earlier run: the ids of its lines are taken.

    Attributes:
        id: its number in the record.
        run: the number of the run.
        series: a number that a file keeps, whatever becomes of it.
        began: when the run began, in seconds since 1970.
        file: the file; ``None`` for a pipe.
        meaning: what its lines mean; ``None`` if it had none.
        restarts: whether the run was told that the ids stay, whatever was said before.

    """

    id: int
    run: int
    series: int
    began: float
    file: FileIdentity | None
    meaning: LineMeaning | None
    restarts: bool = False


class EarlierRuns:
    """The claims of one job, in their order."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims = claims
        self._meanings = _meanings_of(claims)
        self._by_path: dict[bytes, list[Claim]] = {}
        self._by_number: dict[tuple[str, str], list[Claim]] = {}
        for claim in claims:
            if (file := claim.file) is not None:
                self._by_path.setdefault(file.path, []).append(claim)
                self._by_number.setdefault((file.device, file.inode), []).append(claim)

    def had_other_meanings(self, meaning: LineMeaning | None) -> bool:
        """Whether the job was sent before, and its lines have never meant this."""
        known = self._meanings
        return bool(known) and meaning is not None and all(meaning.is_another_than(each) for each in known)

    def series_of(self, file: FileAtHand | None) -> list[int]:
        """Return the series that a file continues; several if it was moved to where another one was."""
        if file is None:
            return []
        now = file.identity
        likely = [*self._by_number.get((now.device, now.inode), ()), *self._by_path.get(now.path, ())]
        return list(dict.fromkeys(c.series for c in likely if c.file and file.is_the_one(c.file)))


def _meanings_of(claims: Iterable[Claim]) -> list[LineMeaning]:
    """Return what lines of a job mean: those of several files may mean several things."""
    found: list[LineMeaning] = []
    restarted = None
    for claim in claims:
        if claim.restarts and claim.run != restarted:
            restarted = claim.run
            found.clear()
        if claim.meaning is not None and claim.meaning not in found:
            found.append(claim.meaning)
    return found
