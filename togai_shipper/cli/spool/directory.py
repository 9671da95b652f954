"""The argument DIR: the directory of a spool, or the URL of a relay."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from togai_shipper._process.limits import why_no_spool
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.filesystems import MOUNTS, filesystem_of, is_networked, why_not_there
from togai_shipper.spool.folder import Folder

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
