"""The errors of the disk, and of a file of the spool. None of them leaves the library."""

from __future__ import annotations

from collections.abc import Mapping


class SpoolError(Exception):
    """The disk, or the file, does not do what it should."""


class SpoolFull(SpoolError):  # noqa: N818  a state of the world, like those below
    """There is no room on the disk, or somebody else has locked the file; nothing in it has changed."""


class OverBound(SpoolFull):
    """More would be on disk than the spool may take: a reader keeps it there, or memory holds too much."""


class NotOurs(SpoolError):  # noqa: N818
    """The file is of a newer version, or no spool at all: it is left alone."""


class Refused(SpoolError):  # noqa: N818
    """The directory cannot be a spool; ``lying`` are the events in each file there, as far as known."""

    def __init__(self, why: str, lying: Mapping[str, int]) -> None:
        super().__init__(why)
        self.lying = lying


class Damaged(SpoolError):  # noqa: N818
    """The file cannot be read as it should."""


class HoldsNothing(Damaged):
    """There is not even a table in the file."""


class Forged(Damaged):
    """The file holds what this library does not make, such as a view: nothing of it is read."""


class Endless(Damaged):
    """A statement on the file takes too long, as on pages that point to themselves: no more of it is read."""
