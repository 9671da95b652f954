"""Events on disk that are not ours to send: their files, by name up to a bound, and beyond it counted.

Whoever may write to the directory can put any number of files there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

MOST = 1000  # files that are known by name


@attrs.frozen
class Stranded:
    """What was found so far. Never changed, but replaced as a whole.

    Attributes:
        files: path -> events in it.
        beyond: events in files that are not among those.

    """

    files: Mapping[str, int] = attrs.field(factory=dict)
    beyond: int = 0

    def more(self, found: Iterable[tuple[str, int]]) -> Stranded:
        """Return it with further files, each a path and its events."""
        files, beyond = dict(self.files), self.beyond
        for path, count in found:
            if len(files) < MOST or path in files:
                files[path] = count
            else:
                beyond += count
        return Stranded(files, beyond)

    @property
    def count(self) -> int:
        """How many events there are."""
        return sum(self.files.values()) + self.beyond

    def __bool__(self) -> bool:
        """Whether there is any file."""
        return bool(self.files)
