"""Whether a file's name can be the name of a job, and whether two names are one file."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from .packed_copies import first_copy, is_packed

_DESCRIPTORS = re.compile("/dev/fd|/proc/[^/]+/(?:task/[^/]+/)?fd")
_PACKED = re.compile(r"\.gz(?:ip)?\Z", re.IGNORECASE)
_LINKS = 40  # as many as Linux follows


def unpacked(name: str) -> str:
    """Return the name without ``.gz``, in whatever capitals, or ``.gzip``."""
    return _PACKED.sub("", name)


def job_of(path: Path) -> str:
    """Return the name of a file's job, if none is given: the file's name, without ``.gz``.

    Jobs keep their names: what ends in ``.GZ`` or ``.gzip`` without being packed is not read as if it was,
    and had all of its name in earlier versions.
    """
    return path.name.removesuffix(".gz") if not is_packed(path) else unpacked(path.name)


def why_nameless(path: Path) -> str | None:
    """Say why a path names no file that has the same name in the next run; ``None`` if it names one.

    What is not there, or is a directory, is not our matter: opening it says so.
    """
    if _is_descriptor(path):
        return "is a descriptor of this process"
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is no regular file"


def _is_descriptor(path: Path) -> bool:
    """Whether a path is, or leads by links to, a number that the system gave to an open file."""
    at = os.path.abspath(path)  # noqa: PTH100  pathlib's absolute() leaves ".." in it
    for _ in range(_LINKS):
        folder = os.path.realpath(os.path.dirname(at))  # noqa: PTH120  beside its realpath
        if _DESCRIPTORS.fullmatch(folder):
            return True
        try:
            at = os.path.join(folder, os.readlink(at))  # noqa: PTH115, PTH118  likewise
        except (OSError, ValueError):  # it is no link
            return False
    return False


def first_pair(names: Sequence[str]) -> tuple[str, str, str] | None:
    """Return the first two names that hold the same lines, and how; ``None`` if there are none.

    These are two names of one file (a link, or a pattern that overlaps another), and a file beside its packed
    copy, whose name, or whose content by its checksum, is that of the file.
    """
    by_file: dict[tuple[int, int], int] = {}  # the place of the name that was first
    by_unpacked: dict[str, int] = {}
    for at, name in enumerate(names):
        try:
            status = os.stat(name)  # noqa: PTH116  beside realpath
        except (OSError, ValueError):
            continue
        first = by_file.setdefault((status.st_dev, status.st_ino), at)
        if first != at:
            return names[first], name, "are the same file"
        first = by_unpacked.setdefault(unpacked(os.path.realpath(name)), at)
        if first != at:
            return names[first], name, "are a file and its packed copy"
    if copy := first_copy(names):
        return *copy, "are a file and its packed copy"
    return None
