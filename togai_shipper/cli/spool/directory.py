"""The argument DIR: the directory of a spool."""

from __future__ import annotations

import os
from pathlib import Path

import click

from togai_shipper._process.limits import why_no_spool
from togai_shipper.spool.filesystems import MOUNTS, filesystem_of, is_networked, why_not_there
from togai_shipper.spool.folder import Folder

directory_argument = click.argument("directory", metavar="DIR", envvar="TOGAI_SPOOL")


def open_folder(directory: str, mounts: str = MOUNTS) -> Folder:
    """Return the directory if it is there and can be a spool; make nothing. Raises ``ClickException``."""
    if (why := why_no_spool()) is not None:
        raise click.ClickException(why)
    path = Path(directory)
    try:
        os.listdir(path)  # noqa: PTH208  only this asks whether it can be listed
    except OSError as error:
        raise click.ClickException(f"{path}: {_why(error)}") from error
    kind = filesystem_of(path, mounts)
    if is_networked(kind):
        raise click.ClickException(f"{why_not_there(path, kind)}, and copy it there first")
    return Folder(directory)


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case NotADirectoryError():
            return "is a file, not a directory"
    return f"cannot be read: {error.strerror}"
