"""When to tell of entries that stay in the stream, since they are not ours or cannot be read. Pure.

They are read again and again. Each kind is told once; after that their number is, where it changes.
"""

from __future__ import annotations

TELL_EVERY = 3600.0  # seconds, at least, from one line to the next about their number
KINDS = 20  # that are told: a stranger may invent any number of them


class Strangers:
    """Knows what was told."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._count: int | None = None  # as it was told; ``None``: with the next look at all of them
        self._told_at = 0.0

    def is_new(self, kind: str, now: float) -> bool:
        """Return whether one of this kind is to be told of."""
        if kind in self._kinds or len(self._kinds) >= KINDS:
            return False
        self._kinds.add(kind)
        self._count, self._told_at = None, now
        return True

    def is_news(self, count: int, now: float) -> bool:
        """Return whether it is to be told that there are so many by now."""
        if count == self._count:
            return False
        is_known = self._count is None or not count  # a kind of them was told; or there are none any more
        if not is_known and now - self._told_at < TELL_EVERY:
            return False
        self._count = count
        if not is_known:
            self._told_at = now
        return not is_known
