"""Read what is known of each file of a spool: its owner, its state, and how much waits in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.processes import Process
from togai_shipper.spool.errors import Damaged, NotOurs, SpoolError
from togai_shipper.spool.folder import Folder, Lying
from togai_shipper.spool.snapshot import snapshot

OK = "ok"
LEFT = "left alone"  # of a newer version, or not a spool at all
DAMAGED = "damaged"
UNREADABLE = "unreadable"
FOREIGN = "not ours"  # another user's, or something else than a file
ASIDE = "set aside"  # an earlier process found it damaged


@attrs.frozen(kw_only=True)
class FileFacts:
    """What is known of one file of a spool.

    Attributes:
        path: where it is.
        state: ``OK``, or what is wrong with it.
        why: what is wrong, in a sentence.
        owner: the process that owns it: its pid, 0 if it cannot be seen from here, ``None`` for no process.
        pending: how many pending events it has.
        oldest_ms: when the oldest of them was accepted.
        disk_bytes: how much of the disk it takes.
        dead: how many dead letters it has, by reason.
        base_url: where its events are sent.
        report: what its process says of itself; ``None`` where that is of an older version.
        version: the version of that process.

    """

    path: Path
    state: str = OK
    why: str = ""
    owner: int | None = None
    pending: int = 0
    oldest_ms: int | None = None
    disk_bytes: int = 0
    dead: Mapping[str, int] = attrs.field(factory=dict)
    base_url: str = ""
    report: SelfReport | None = None
    version: str = ""

    @property
    def process(self) -> Process:
        """Its process, living or gone."""
        return Process(
            name=process_name(self.owner, self.path),
            is_alive=self.owner is not None,
            report=self.report,
            held=self.pending,
            held_oldest_ms=self.oldest_ms,
            dead=sum(self.dead.values()),
            version=self.version,
            file=self.path.name,
        )


def owner_text(owner: int | None) -> str:
    """Name the owner of a file: ``pid 4711``."""
    if owner is None:
        return "none"
    return f"pid {owner}" if owner else "alive"  # in another container, whose pids cannot be seen


def process_name(owner: int | None, path: Path) -> str:
    """Name a process: by its pid, or, where that cannot be seen, by its file."""
    return owner_text(owner) if owner else path.name


def read_files(folder: Folder, *, is_adopting: bool = False) -> list[FileFacts]:
    """Read every file, also those of living processes, the oldest first; those set aside come last.

    Those that are not ours to take are not opened. ``is_adopting``: this process takes files over meanwhile.
    """
    listing = folder.listing()
    found = [_facts(folder, lying, is_adopting=is_adopting) for lying in listing.ours]
    return [
        # One that cannot be opened, and is no longer there, was removed meanwhile.
        *(facts for facts in found if facts.state == OK or facts.path.exists()),
        *(
            FileFacts(path=left.path, state=FOREIGN, why=left.why.removeprefix(f"{left.path}: "))
            for left in listing.foreign
        ),
        *(
            FileFacts(
                path=lying.path,
                state=ASIDE,
                why="an earlier process found it damaged, and saved what could be read",
                disk_bytes=lying.disk_bytes,
            )
            for lying in listing.aside
        ),
    ]


def _facts(folder: Folder, lying: Lying, *, is_adopting: bool) -> FileFacts:
    path, size, owner = lying.path, lying.disk_bytes, None
    try:
        owner = folder.owner(path)
        # Within a process SQLite has one -shm for all: whoever takes a file over while it is open here as one
        # that nobody has could not write to it, and would take it for damaged.
        seen = snapshot(path, is_left=owner is None and not is_adopting)
    except SpoolError as error:
        why = _without_path(error, path)
        return FileFacts(path=path, state=_state(error), why=why, owner=owner, disk_bytes=size)
    return FileFacts(
        path=path,
        owner=owner,
        pending=seen.pending,
        oldest_ms=seen.oldest_ms,
        disk_bytes=size,
        dead=seen.dead,
        base_url=seen.base_url,
        report=SelfReport.of_text(seen.report),
        version=seen.version,
    )


def _state(error: SpoolError) -> str:
    match error:
        case NotOurs():
            return LEFT
        case Damaged():
            return DAMAGED
    return UNREADABLE


def _without_path(error: SpoolError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
