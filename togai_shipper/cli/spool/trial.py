"""A directory tried out as a spool, before events are put into it."""

from __future__ import annotations

from togai_shipper._config import Config
from togai_shipper._engine.runtime import Runtime
from togai_shipper.spool.disk import Disk
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.folder import Folder


def why_unusable(directory: str, config: Config) -> str | None:
    """Use a directory as a shipper does, and undo it; return why it cannot be a spool, if it cannot."""
    disk = Disk(Folder(directory), config.base_url, config.max_spool_bytes, Runtime())
    try:
        disk.open()
    except SpoolError as error:
        return str(error)
    disk.close()
    return None
