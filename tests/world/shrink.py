"""A plan that fails, with as little in it as still fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from .plan import Entry
from .world import Result, live

MOST_TRIES = 400


def shrunk(result: Result) -> Result:
    """The smallest plan found that fails in the same way."""
    best, tries = result, 0
    is_smaller = True
    while is_smaller and tries < MOST_TRIES:
        is_smaller = False
        for entries in _fewer(best.plan.entries):
            tries += 1
            tried = live(attrs.evolve(best.plan, entries=tuple(entries)))
            if tried.failure is not None and kind(tried.failure) == kind(result.failure or ""):
                best, is_smaller = tried, True
                break
            if tries >= MOST_TRIES:
                break
    return _plain(best)


def kind(failure: str) -> str:
    """A failure without what differs from one to the next: its words, and no names or numbers."""
    words = failure.partition("\n")[0].split()
    return " ".join(word for word in words if word.strip("(),.:").isalpha())[:60]


def _fewer(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Leave out a half, a quarter, and so on to single ones."""
    size = max(1, len(entries) // 2)
    while True:
        for start in range(0, len(entries), size):
            yield [*entries[:start], *entries[start + size :]]
        if size == 1:
            return
        size //= 2


def _plain(result: Result) -> Result:
    """Without threads that overtake each other, and with quiet callbacks, if it fails so, too."""
    for change in ({"preempting": 0.0}, {"callbacks": "quiet"}):
        tried = live(attrs.evolve(result.plan, **change))
        if tried.failure is not None and kind(tried.failure) == kind(result.failure or ""):
            result = tried
    return result
