"""The argument DIR: the directory of a spool, or the URL of a relay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from togai_shipper._process.limits import why_no_spool
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.filesystems import MOUNTS, filesystem_of, is_networked, why_not_there
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.opening import may_write
from togai_shipper.spool.ownership import Refusal

FULL = 65_536  # bytes that are free on a disk that is full

directory_argument = click.argument("directory", metavar="DIR", envvar=["TOGAI_SPOOL", "TOGAI_RELAY"])


def open_folder(directory: str, mounts: str = MOUNTS) -> Folder:
    """Return the directory if it is there and can be a spool; make nothing. Raises ``ClickException``."""
    if (why := why_no_spool()) is not None:
        raise click.ClickException(why)
    path = Path(directory)
    try:
        os.listdir(path)  # noqa: PTH208  only this asks whether it can be listed
    except OSError as error:
        if "@" in directory:  # a URL that is spelled wrong, with a password
            raise click.ClickException(
                f"no directory, and no relay's URL ({len(directory)} characters): it begins with redis://,"
                " rediss:// or unix://"
            ) from error
        raise click.ClickException(f"{path}: {_why(error, path)}") from error
    kind = filesystem_of(path, mounts)
    if is_networked(kind):
        raise click.ClickException(f"{why_not_there(path, kind)}, and copy it there first")
    folder = Folder(directory)
    try:
        folder.check_readable()
    except SpoolError as error:
        raise click.ClickException(str(error)) from error
    return folder


def why_not_written(
    folder: Folder,
    may_write: Callable[[Path], bool] = may_write,
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
) -> list[str]:
    """Say that nothing can be written there, from here, and what is not seen then; nothing where it can."""
    path, why = folder.given, _why_not(folder, may_write)
    doctor = f"  togai-shipper doctor --spool {path}"
    if why:
        text = (
            f"{path} {why}. A process for which that is so, too, has no file in it: its events are in memory"
            " alone, and it cannot say here how it stands. See its log, and:"
        )
        return [text, doctor]
    if free(path) < FULL:
        text = (
            f"{path}: no room is left on its disk. New events are in memory alone, and what a process says of"
            " itself here may be old, since it cannot write it. Make room; then:"
        )
        return [text, doctor]
    return []


def _why_not(folder: Folder, may_write: Callable[[Path], bool]) -> str:
    if not may_write(folder.given):
        is_read_only = bool(os.statvfs(folder.given).f_flag & os.ST_RDONLY)
        why = "its file system is read-only" if is_read_only else "this user may not"
        return f"cannot be written to: {why}"
    use = folder.use()
    if isinstance(use, Refusal) and not folder.paths():
        return f"cannot be a spool for this user: {use.why}"
    return ""


def _why(error: OSError, path: Path) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case NotADirectoryError():
            return "is a file, not a directory"
        case PermissionError() if (owner := _owner_of(path)) is not None:
            return f"cannot be read: it belongs to user {owner}; run as user {owner}"
    return f"cannot be read: {error.strerror}"


def _owner_of(path: Path) -> int | None:
    with suppress(OSError):  # one above it is closed to us
        return path.stat().st_uid
    return None
