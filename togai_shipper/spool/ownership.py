"""Whose directory may be a spool: a decision by what the system tells of the directory and of our user. Pure.

Who may write into a spool can have forged usage billed, or usage removed. So it has to be one user's alone.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from typing import Literal, TypeAlias

import attrs

# What ``Folder.new`` calls a file. Another name, such as one that no text can hold, is none of ours.
OURS = re.compile(r"[A-Za-z0-9._]+-[0-9]+-[0-9a-f]{8}\.db")
OURS_OR_ASIDE = re.compile(OURS.pattern + r"(\.corrupt-[0-9]+)?")  # with the end, it was found damaged
LOCK = re.compile(OURS.pattern.removesuffix("db") + "lock")
USERS = re.compile(
    r"0|[1-9][0-9]{0,9}"
)  # what a user's own spool is called in a directory that several share
_A_SPOOLS = re.compile(rf"{OURS.pattern}.*|{LOCK.pattern}|lost\+found", re.DOTALL)

#: How a directory is used: as it is; once others may not enter it; or a directory in it that is ours alone.
Use: TypeAlias = Literal["as it is", "made private", "below"]


@attrs.frozen
class Place:
    """What the system tells of a directory.

    Attributes:
        owner: the uid of its owner.
        mode: its permissions, with the sticky bit.
        is_mount: whether it is the root of a mount.
        is_mixed: whether other things than a spool's lie in it.

    """

    owner: int
    mode: int
    is_mount: bool = False
    is_mixed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether others than its owner may write to it."""
        return bool(self.mode & 0o022)


@attrs.frozen
class Refusal:
    """Why a directory cannot be a spool, and what to do."""

    why: str


def decide(place: Place, uid: int) -> Use | Refusal:
    """Decide how the user ``uid`` uses a directory that is there already."""
    is_ours = place.owner == uid
    if place.mode & stat.S_ISVTX and place.is_open and not (is_ours and uid):  # root owns /tmp
        return Refusal(
            f"several users share it (its mode is {place.mode & 0o7777:o}); choose a directory within it"
        )
    if is_ours:
        return _of_our_own(place)
    if place.owner == 0 or (place.is_mount and not ~place.mode & 0o777):
        return "below"
    if uid == 0 and not place.mode & 0o002:  # as when an operator delivers what an application has left
        return "as it is"
    return Refusal(_not_ours(place, uid))


def _not_ours(place: Place, uid: int) -> str:
    if uid == 0:
        return (
            f"belongs to user {place.owner}, and everybody may write to it; choose another directory, or, if"
            " nobody can have forged what is in it, chmod it to 700"
        )
    return (
        f"belongs to user {place.owner}, and we are user {uid}; choose a directory of its own, or run as user"
        f" {place.owner}"
    )


def _of_our_own(place: Place) -> Use:
    """Change nothing that others may rely on: other containers with this volume, what else lies there."""
    if not place.mode & 0o077:
        return "as it is"
    if place.is_open and (place.is_mixed or place.is_mount):
        return "below"
    return "as it is" if place.is_mixed else "made private"


def is_mixed(names: Iterable[str]) -> bool:
    """Tell whether, by their names, other things than a spool's lie in a directory."""
    return not all(_A_SPOOLS.fullmatch(name) for name in names)


def why_foreign(mode: int, owner: int, trusted: Iterable[int]) -> str | None:
    """Say why a file in a spool is left alone, by its mode and owner; ``None`` where it is not.

    ``trusted``: whose files are taken, that is, ours and those of the directory's owner.
    """
    if not stat.S_ISREG(mode):
        return "is no regular file"
    if owner not in trusted:
        return f"belongs to user {owner}; run as user {owner}, or chown it"
    return None
