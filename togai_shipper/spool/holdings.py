"""What a shipper has on disk: which events, and how many of what became of others.

All of it is touched only while holding the shipper's lock.
"""

from __future__ import annotations

from togai_shipper._config import Config
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.store import Inlet

from .shelf import Shelf

LOOK_PAST = 500  # events of others that may come in beside those that are rejected, while the line is parked


class Holdings:
    """The shelf of our own file, the files that had to be left, and the figures of ``stats()``."""

    def __init__(self, config: Config, shutdown: Shutdown, inlet: Inlet) -> None:
        self._config = config
        self._shutdown = shutdown
        self._inlet = inlet
        self.shelf = Shelf()
        self.left: dict[str, int] = {}  # a file of ours that had to be left -> events in it alone
        self._left_since: dict[str, float] = {}  # likewise, about when the oldest of them was accepted
        self.recovered = 0
        self.corrupt_rows = 0
        self.dead_letters = 0

    def begin_shelf(self, *, is_removed: bool = False) -> None:
        """Begin another file's shelf; what of this one's was to be buried is buried there.

        ``is_removed``: the file is gone, and nobody will adopt it.
        """
        self.shelf = self.shelf.replaced(is_removed=is_removed)
        self._inlet.forget_aside()

    def leave_shelf(self) -> tuple[int, float]:
        """Begin another file, since ours is left; return how many events are there alone, and since when."""
        behind, since = self.shelf.behind + self.shelf.aside, self.waiting_since() or 0.0
        self.begin_shelf()
        self.dead_letters = 0
        return behind, since

    def waiting_since(self) -> float | None:
        """About when the oldest event of our file was accepted that is there alone; ``None`` without any."""
        shelf = self.shelf
        times = [shelf.behind_since] if shelf.behind else []
        times += [shelf.aside_since] if shelf.aside else []
        return min(times, default=None)

    def count_left(self, path: str, count: int, since: float) -> None:
        """Count events that are in a file alone that had to be left."""
        self.left[path] = count
        self._left_since[path] = since

    def forget_left(self, path: str) -> int:
        """Return how many events were counted in a file that had to be left; they are no longer."""
        return self.left.pop(path, 0)

    def came_back(self, path: str, count: int) -> int:
        """``count`` events were read of a file; return how many of them were counted there already."""
        back = min(self.left.get(path, 0), count)
        if back:
            self.left[path] -= back
        return back

    @property
    def in_left_files(self) -> int:
        """Events in files that had to be left."""
        return sum(self.left.values())

    def left_since(self) -> float | None:
        """About when the oldest of those was accepted, in monotonic seconds; ``None`` without any."""
        return min((self._left_since[path] for path, count in self.left.items() if count), default=None)

    def count(self, *, recovered: int = 0, corrupt_rows: int = 0, dead_letters: int = 0) -> None:
        """Count what became of events."""
        self.recovered += recovered
        self.corrupt_rows += corrupt_rows
        self.dead_letters += dead_letters

    def recount_dead_letters(self, count: int) -> None:
        """So many dead letters are in our file."""
        self.dead_letters = count

    def may_return(self) -> bool:
        """Whether something that is on disk alone finds room in memory."""
        return bool((self.shelf.behind and self.room()) or self.aside_room())

    def aside_room(self) -> int:
        """How many of those for which the lane had no room may come into the buffer now."""
        return max(0, self._inlet.lane_room(self.room())) if self.shelf.aside else 0

    def room(self) -> int:
        """How many events the buffer may take: half of memory is left to those that come in.

        A quarter is, where what is rejected takes more than its part: else ``track()`` would refuse events.
        """
        if self._shutdown.is_done:
            return 0
        config, inlet = self._config, self._inlet
        half = max(1, config.max_queue_size // 2)
        left = max(half, config.max_queue_size * 3 // 4) - inlet.count
        if inlet.count and inlet.size >= config.max_queue_bytes * 3 // 4:
            return 0
        count, size = inlet.room_taken
        least = LOOK_PAST if inlet.seeks_unlike else 0
        room = 0 if count and size >= config.max_queue_bytes // 2 else half - count
        return max(0, min(left, max(least, room)))
