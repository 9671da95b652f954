"""What is at a spool's path, and where links lead to it: whoever may make a link may point it anywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_PARTS = 10_000  # of one path and its links: the system follows 40, of 4096 characters
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def why_led_elsewhere(path: Path) -> str | None:
    """Say why the links on the way to a directory are not followed; ``None`` where they are.

    Ours are, and root's; another user's only to a directory of his own, which he might have named as well.
    Those above the directory matter to root alone: who deploys an application may well link to its newest
    release. Raises ``OSError``.
    """
    trusted = {0, os.geteuid(), path.stat().st_uid}
    is_root = os.geteuid() == 0
    for link in _links(path if is_root else Path(os.path.realpath(path.parent), path.name)):
        if (owner := link.lstat().st_uid) not in trusted:
            return (
                f"{link} is a link of user {owner} to a directory of user {path.stat().st_uid}; name"
                " the directory itself, if it is the right one, or remove the link"
            )
    return None


def why_no_directory(path: Path) -> str | None:
    """Say what is at a path, and what to do; ``None`` where it is a directory, or nothing at all.

    Raises ``OSError``.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        return None
    what = KINDS.get(kind, "something")
    return (
        f"{path}: is {what} of user {status.st_uid}, where a directory of ours has to be; remove it, or"
        " choose another directory"
    )


def _links(path: Path) -> Iterator[Path]:
    """Each link on the way to what is at a path, as the system goes it."""
    place, coming = Path(path.anchor or Path.cwd()), list(reversed(path.parts))
    for _ in range(MOST_PARTS):  # pragma: no branch  its end is for links made a circle meanwhile
        if not coming:
            return
        part = coming.pop()
        here = place.parent if part == ".." else place / part
        if here.is_symlink():
            yield here
            coming += reversed(here.readlink().parts)  # from the root, if it begins with that
        else:
            place = here
