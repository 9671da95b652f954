"""What can be wrong with the disk, or with a file of the spool."""

from __future__ import annotations


class SpoolError(Exception):
    """The disk, or the file, does not do what it should. Never leaves the library."""


class SpoolFull(SpoolError):  # noqa: N818  a state of the world, like those below
    """There is no room on the disk, or somebody else has locked the file; it is as it was."""


class NotOurs(SpoolError):  # noqa: N818
    """The file is left alone: of a newer version, or no spool at all."""


class Damaged(SpoolError):  # noqa: N818
    """The file cannot be read as it should."""


class HoldsNothing(Damaged):
    """There is not even a table in it."""
