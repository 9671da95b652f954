"""What the application is still to be told of one settlement: who waits for that knows when it is over."""

from __future__ import annotations

from .bell import Bell


class Telling:
    """The calls of the application's code that one settlement comes to, from before the first is known.

    Any thread may end a call, at any time: all that happens to the set is one step each.
    """

    def __init__(self, progress: Bell) -> None:
        self._progress = progress  # rung when it is over
        self._calls: set[object] = {self}  # itself, until all of the calls are known

    @property
    def is_over(self) -> bool:
        """Whether all calls have returned, or are not made after all."""
        return not self._calls

    def expect(self, call: object) -> None:
        """Wait for this call, too."""
        self._calls.add(call)

    def end(self, call: object) -> None:
        """Wait for this call no longer."""
        self._calls.discard(call)
        if not self._calls:
            self._progress.ring()

    def end_expecting(self) -> None:
        """There are no more calls than those that are known."""
        self.end(self)
