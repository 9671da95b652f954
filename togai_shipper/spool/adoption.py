"""Adoption: looking for files whose process is gone, one after the other, and moving what is in them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from togai_shipper._plural import counted

from .age import Clocks
from .claims import Claim
from .errors import Damaged, Forged, HoldsNothing, Refused, SpoolError
from .file import SpoolFile
from .folder import Folder, Left
from .handful import Handful
from .orphan import PIECE, Haul, Orphan
from .requests import asked_of
from .stranded import Stranded

ADOPT_EVERY = 60.0  # seconds between looks for such files, and up to half as much again, at random
LOOK_MOST = 300  # files looked at in one go: our own events are written before the next ones
MOVE_MOST = 25  # files moved in one go, if they are small: each takes four descriptors of the application's
# Seconds for which it is known of which files something is asked: to find out is to read the whole directory.
# A command waits for five, and says where a file has gone meanwhile.
ASKED_KNOWN = 1.0
MOVE_FOR = 0.02  # seconds after which no more of them are opened, for the same reason


class Adoption:
    """Looks for such files every minute or so, and moves what is in them, one piece a call."""

    def __init__(
        self,
        folder: Folder,
        base_url: str,
        clock: Callable[[], float],
        random: Callable[[], float],
        tell: Callable[[str, str], object],
    ) -> None:
        self._folder = folder
        self._base_url = base_url
        self._clock = clock
        self._random = random
        self._tell = tell  # told, by kind, what an operator has to know
        self._found: Iterator[Claim | Left] | None = None
        self._orphans: deque[Orphan] = (
            deque()
        )  # to be moved: the first ones at once, if small, or the first in pieces
        self._is_gathered = False  # they are as many as are moved at once
        self._is_needed = False  # one of this look had to stay, since it says what of another was moved
        self._looks_again = False  # and another has had its turn since: perhaps that one
        self._is_again = False  # this look is that other one: there is one at once, not one after the other
        self._asked: Collection[str] = ()
        self._ask_at = float("-inf")  # monotonic seconds at which it is found out anew
        self._handful = Handful(clock, folder.sync, self._left_as_it_is)
        self.next_at = float("-inf")  # monotonic seconds
        # Events that are not ours to send. Never changed, but replaced as a whole: it is read under the
        # shipper's lock, and written under the file's.
        self.stranded = Stranded()
        self._seen = Stranded()  # likewise, by the look that is under way
        # Likewise: path -> events that stay since the clocks do not tell their age.
        self.kept: Mapping[str, int] = {}
        self._forged: Mapping[str, str] = {}  # likewise: a file that was set aside, and why nothing was read

    @property
    def count(self) -> int:
        """How many events in such files are not sent from here, for now."""
        return self.stranded.count + sum(self.kept.values())

    def complaint(self) -> str | None:
        """Why they are not."""
        if stranded := self.stranded:
            waiting = counted(stranded.count, "event on disk is", "events on disk are")
            return f"{waiting} not ours to send; in {min(stranded.files)}"
        if forged := self._forged:
            return forged[min(forged)]
        if kept := self.kept:
            waiting = counted(sum(kept.values()), "event on disk", "events on disk")
            return (
                f"{waiting} may have been sent before, and the clocks do not tell how long ago: kept, not"
                f" sent, until ours and Togai's agree; in {min(kept)}"
            )
        return None

    def find(self, now_ms: int) -> bool:
        """Whether there is something to be moved. Raises ``SpoolError`` where the directory is none.

        A call looks at some of the files. Where it says no, and ``next_at`` has come, there are others, and
        what was found is moved with them: a few more calls are cheaper than moving few at once. But what the
        first call of a look finds is moved at once: who runs for a moment only would else take nothing over.
        """
        if self._is_gathered:
            return True
        if self._clock() < self.next_at:
            return False
        is_first = self._found is None
        if self._found is None:
            self._found = self._begun()
        until = self._clock() + MOVE_FOR
        left: list[Left] = []
        try:
            for _ in range(LOOK_MOST):
                found = next(self._found, None)
                if found is None:
                    self._is_gathered = bool(self._orphans)
                    if not self._orphans:
                        self._is_again = self._looks_again and not self._is_again
                        self.pause(0.0 if self._is_again else None)
                    break
                if isinstance(found, Left):
                    left.append(found)
                elif self._took(found, now_ms) and (self._is_gathered or self._clock() >= until):
                    self._is_gathered |= is_first
                    break
        finally:
            self._leave(left, is_over=self._found is None)
        return self._is_gathered

    def _took(self, found: Claim, now_ms: int) -> bool:
        """Whether it is ours to be moved."""
        orphan = self._opened(found, now_ms)
        if orphan is None:
            return False
        self._orphans.append(orphan)
        rows = sum(map(_rows_of, self._orphans))
        self._is_gathered = rows >= PIECE or len(self._orphans) == MOVE_MOST
        return True

    def _begun(self) -> Iterator[Claim | Left]:
        """Begin a look at all files."""
        self._folder.prepare()
        self._is_needed = self._looks_again = False
        self._seen, self.kept = Stranded(), {}
        self._forged = {path: why for path, why in self._forged.items() if os.path.exists(path)}  # noqa: PTH110  Path's raises where it cannot be told
        return self._folder.orphans()

    def note_refused(self, refused: Refused) -> None:
        """Note what lies in a directory that cannot be a spool."""
        self.stranded = Stranded().more(refused.lying.items())

    @property
    def has_begun(self) -> bool:
        """Whether it has begun its first look."""
        return self._found is not None or self.next_at > float("-inf")

    def look_now(self) -> None:
        """Look at once, not only in a minute: what could not be read may be readable again."""
        self.next_at = self._clock()

    def judge_anew(self) -> None:
        """Look at once at what was kept, too: the clocks may tell now."""
        self.kept = {}
        self.pause(0.0)

    def pause(self, seconds: float | None = None) -> None:
        """Leave what is under way, and look again in so many seconds, or up to half as many more."""
        for orphan in self._orphans:
            orphan.leave()
        self._orphans.clear()
        self._is_gathered = False
        self._found = None
        seconds = ADOPT_EVERY if seconds is None else seconds
        self.next_at = self._clock() + seconds * (1.0 + self._random() / 2)

    def is_of(self, boot: str) -> bool:
        """Whether the clock of what is moved next is that of ``boot``."""
        return bool(self._orphans) and self._orphans[0].file.clock.boot == boot

    def move(self, ours: SpoolFile, now: Clocks, note: Callable[[str, Haul], object]) -> None:
        """Move the next of what was found; ``note`` is told what each path brought.

        It is told before the file is removed: who sees that no file is left, and closes, would else leave
        what came from the last one. Raises ``SpoolError`` where ``ours`` cannot be written.
        """
        boot = self._orphans[0].file.clock.boot
        few = list(
            takewhile(lambda each: not each.is_special and each.file.clock.boot == boot, self._orphans)
        )
        if few and (moved := self._handful.move(few, self._asked_in(ours.path.parent), ours, now, note)):
            self._orphans = deque(orphan for orphan in self._orphans if orphan not in moved)
            self._looks_again |= self._is_needed
            self._is_gathered = bool(self._orphans)
            return
        self._move_piece(self._orphans[0], ours, now, note)

    def _asked_in(self, directory: Path) -> Collection[str]:
        now = self._clock()
        if now >= self._ask_at:
            self._asked, self._ask_at = asked_of(directory), now + ASKED_KNOWN
        return self._asked

    def _move_piece(
        self, orphan: Orphan, ours: SpoolFile, now: Clocks, note: Callable[[str, Haul], object]
    ) -> None:
        path = orphan.claim.path
        haul = orphan.move(ours, now)
        note(str(path), haul)
        if haul.damaged:
            self._tell(
                f"damaged {path}",
                f"{path}: {counted(haul.damaged, 'event is', 'events are')} damaged on disk, and not sent",
            )
        if haul.over:
            if waiting := orphan.waiting:
                self.kept = {**self.kept, str(path): waiting}
                if now.server is not None:
                    self._tell(
                        f"kept {path}",
                        f"{path}: {counted(waiting, 'event')} may have been sent before, and the clocks do"
                        " not agree how long ago; kept, not sent, until they agree or somebody replays"
                        " (togai-shipper spool replay --past-dedupe-window)",
                    )
            self._orphans.popleft()
            self._is_gathered = bool(self._orphans)
            aside = self._end(orphan, now)
            self._looks_again |= self._is_needed and not orphan.is_needed
            self._is_needed |= orphan.is_needed
            if aside:
                self._tell(
                    f"aside {path}", f"{path}: what can be read of it is adopted; it is set aside as {aside}"
                )

    def _end(self, orphan: Orphan, now: Clocks) -> str:
        try:
            return orphan.end(now.wall)
        except SpoolError as error:  # no failure of our own file
            self._left_as_it_is(orphan, error)
            return ""

    def _left_as_it_is(self, orphan: Orphan, error: SpoolError) -> None:
        self._tell(f"left {orphan.claim.path}", f"{error}; it is left as it is")

    def _leave(self, left: Sequence[Left], *, is_over: bool) -> None:
        """Tell of files that are not ours to take; each has one event at least, as far as we may know."""
        self._count_stranded(((str(each.path), 1) for each in left), is_over=is_over)
        if left:
            more = f"; so it is with {counted(len(left) - 1, 'more file')}" if len(left) > 1 else ""
            self._tell(
                f"foreign to {self._folder.given}",
                f"{left[0].why}; what is in it is not sent from here{more}",
            )

    def _count_stranded(self, found: Iterable[tuple[str, int]], *, is_over: bool = False) -> None:
        """Count them; until the look is over, what the last one has seen is not taken for gone."""
        self._seen = self._seen.more(found)
        if is_over or self._seen.count >= self.stranded.count:
            self.stranded = self._seen

    def _opened(self, claim: Claim, now_ms: int) -> Orphan | None:
        """What was claimed, if it is ours to send; else it is left, or set aside, and told."""
        path = claim.path
        try:
            return self._ours(self._open(claim))
        except HoldsNothing as error:
            if claim.was_being_made:
                with suppress(SpoolError):
                    claim.unlink()  # its process had accepted nothing
            else:
                self._set_aside(claim, error, now_ms)
        except Damaged as error:
            self._set_aside(claim, error, now_ms)
        except SpoolError as error:
            claim.release()
            self._count_stranded([(str(path), 0)])
            self._tell(f"left {path}", f"{error}; it is left alone")
        return None

    def _open(self, claim: Claim) -> Orphan:
        try:
            return Orphan(claim, SpoolFile.open(claim.path, self._clock))
        except HoldsNothing:
            raise
        except Damaged:
            return Orphan(claim, SpoolFile.salvage(claim.path, self._clock), damaged=True)

    def _ours(self, orphan: Orphan) -> Orphan | None:
        """It, if its events are for where we ship to; else it is let go."""
        path = orphan.claim.path
        try:
            whose = orphan.file.meta().get("base_url", "nobody")
            if whose == self._base_url:
                return orphan
            self._count_stranded([(str(path), orphan.file.pending()[0])])
        except SpoolError:
            orphan.file.close()
            raise
        orphan.leave()
        self._tell(f"left {path}", f"{path}: its events are for {whose}; they are not sent from here")
        return None

    def _set_aside(self, claim: Claim, error: Damaged, now_ms: int) -> None:
        try:
            aside = str(claim.set_aside(now_ms))
            what = f"set aside as {aside}"
            if isinstance(error, Forged):
                what += "; look where it came from, and remove it"
                self._forged = {**self._forged, aside: f"{error}; {what}"}
        except SpoolError as failure:
            what = f"left as it is: {failure}"
        self._tell(f"aside {claim.path}", f"{error}; {what}")


def _rows_of(orphan: Orphan) -> int:
    try:
        return orphan.rows()
    except SpoolError:  # damaged, say: it is moved in pieces
        return PIECE + 1
