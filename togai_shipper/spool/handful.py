"""Several small files whose process is gone: what is in them moves into ours at once, and they are removed.

A crash loop leaves thousands of them. Each names ours as its heir; then one commit brings all of them, with a
record of each; their journals are kept in one commit; and they are removed with what is in them. What a crash
leaves of this is moved piece by piece, by those records, as ``orphan`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import chain

from .age import Clocks
from .archive import Archive
from .errors import SpoolError
from .file import SpoolFile
from .orphan import Haul, Orphan, Whole, as_rows


class Handful:
    """Moves such files into ours, which lies in the same directory.

    ``sync`` lets what was removed there survive a power cut; it raises ``SpoolError``.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sync: Callable[[], object],
        left: Callable[[Orphan, SpoolError], object],
    ) -> None:
        self._clock = clock
        self._sync = sync
        self._left = left  # called where a file cannot be removed

    def move(
        self,
        orphans: Sequence[Orphan],
        asked: Collection[str],
        ours: SpoolFile,
        now: Clocks,
        note: Callable[[str, Haul], object],
        *,
        buries: bool = True,
    ) -> Collection[Orphan]:
        """Move those that can be moved so, and return them.

        ``asked``: the names of files of which an operator has asked something. ``note`` is told what each
        path brought, before the file is removed. ``buries``: what is too old to be sent may become dead
        letters. Raises ``SpoolError`` where ours cannot be written.
        """
        whole = {}
        for orphan in orphans:
            path = orphan.claim.path
            is_asked = path.name in asked or path.parent != ours.path.parent
            if (found := orphan.whole(ours, now, is_asked=is_asked, buries=buries)) is not None:
                whole[orphan] = found
        hauls = _taken_over(whole, ours, now) if whole else {}
        for orphan, haul in hauls.items():
            note(str(orphan.claim.path), haul)
        self._remove(whole, ours, now)
        return hauls.keys()

    def _remove(self, whole: Mapping[Orphan, Whole], ours: SpoolFile, now: Clocks) -> None:
        try:
            books = [one.book for one in whole.values() if one.book]
            Archive(ours.path.parent, self._clock).take_all(books, now.wall)
        except SpoolError:  # for now; then they stay, and hold nothing but their journals
            for orphan, one in whole.items():
                with suppress(SpoolError):
                    orphan.file.moves.remove(one.record)
                    ours.moves.confirm(orphan.claim.path.name)
                orphan.leave()
            return
        removed = []
        for orphan in whole:
            try:
                orphan.remove()
                removed.append(orphan.claim.path.name)
            except SpoolError as error:
                self._left(orphan, error)
        with suppress(SpoolError):  # until it is sure that they are gone, their records stay
            if removed:
                self._sync()
            for name in removed:
                ours.moves.confirm(name)


def _taken_over(whole: Mapping[Orphan, Whole], ours: SpoolFile, now: Clocks) -> dict[Orphan, Haul]:
    time = ours.clock.time(now.clock / 1000)
    events = {orphan: one.judged.as_events(time) for orphan, one in whole.items()}
    letters = {
        orphan: [*one.judged.as_letters(now.wall), *(letter for _, letter in one.letters)]
        for orphan, one in whole.items()
    }
    records = {orphan.claim.path.name: one.record for orphan, one in whole.items() if one.record}
    first = 0
    if records:
        first = ours.take_over(records, list(chain(*events.values())), chain(*letters.values()))
    hauls = {}
    for orphan, one in whole.items():
        moved = as_rows(first, events[orphan])
        hauls[orphan] = Haul(moved, one.judged.expired, len(one.letters), 0, over=True)
        first += len(moved)
    return hauls
