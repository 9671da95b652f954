"""How much is in a file at one moment: for who looks into very many of them.

One statement reads it, so that all of it is of one moment. The file is opened as carefully as by
``SpoolFile``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import attrs

from . import schema
from .connection import Connection, as_text
from .errors import SpoolError
from .file import SELF_REPORT, mode_of_reading
from .opening import may_write


@attrs.frozen
class Snapshot:
    """What is in one file.

    Attributes:
        pending: how many events are pending.
        oldest_ms: when the oldest of them was accepted; ``None`` where there is none that says so.
        dead: how many dead letters there are, by reason, those with most first.
        base_url: where the events are sent.
        version: of this library, when the file was made.
        report: how its process stands, as that has said it.

    """

    pending: int
    oldest_ms: int | None
    dead: Mapping[str, int] = attrs.field(hash=False)
    base_url: str = ""
    version: str = ""
    report: str = ""


def snapshot(
    path: Path,
    *,
    is_left: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
    may_write: Callable[[Path], bool] = may_write,
) -> Snapshot:
    """Look into a file, while its process may be writing. Raises as ``SpoolFile.peek`` does.

    ``is_left``: nobody has it just now. Where that does not help, or somebody comes, it is no matter.
    ``may_write``: as of ``SpoolFile.peek``.
    """
    if is_left:
        with suppress(SpoolError):
            return _seen(Connection(path, "left", monotonic))
    return _seen(Connection(path, mode_of_reading(path, may_write), monotonic))


def _seen(opened: Connection) -> Snapshot:
    with closing(opened) as connection:
        connection.distrust()
        connection.refuse_long_values()
        with connection.as_it_is_now():
            schema.check(connection)
            connection.check_beside()
            (_, pending, oldest), *rest = connection.rows(
                schema.SNAPSHOT, ("base_url", "version", SELF_REPORT)
            )
    dead = [(-count, as_text(reason)) for kind, reason, count in rest if as_text(kind) == "dead"]
    meta = {as_text(key): as_text(value) for key, value, _ in rest}
    return Snapshot(
        pending,
        oldest if isinstance(oldest, int) else None,
        {reason: -count for count, reason in sorted(dead)},
        meta.get("base_url", ""),
        meta.get("version", ""),
        meta.get(SELF_REPORT, ""),
    )
