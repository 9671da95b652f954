"""What is in a spool's directory: its files, whose they are, and every event in them. Only reads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path

import attrs
import click

from togai_shipper._process.limits import why_no_spool
from togai_shipper.spool.errors import Damaged, NotOurs, SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import MOUNTS, SUFFIXES, Folder, filesystem_of, is_networked
from togai_shipper.spool.rows import DeadLetter

OK = "ok"
LEFT = "left alone"  # of a newer version, or no spool at all
DAMAGED = "damaged"
UNREADABLE = "unreadable"
ASIDE = "set aside"  # an earlier process has found it damaged


directory_argument = click.argument("directory", metavar="DIR", envvar="TOGAI_SPOOL")


def open_folder(directory: str, mounts: str = MOUNTS) -> Folder:
    """The directory, if it is there and can be a spool; nothing is made. Raises ``ClickException``."""
    if (why := why_no_spool()) is not None:
        raise click.ClickException(why)
    path = Path(directory)
    try:
        os.listdir(path)  # noqa: PTH208  asks for exactly what is needed
    except OSError as error:
        raise click.ClickException(f"{path}: {_why(error)}") from error
    kind = filesystem_of(path, mounts)
    if is_networked(kind):
        raise click.ClickException(
            f"{path}: is on a network file system ({kind}), where locks cannot be trusted; "
            "copy it to a local disk first"
        )
    return Folder(directory)


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "is not there"
        case NotADirectoryError():
            return "is a file, not a directory"
    return f"cannot be read: {error.strerror}"


# --- files ------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class FileFacts:
    """One file of a spool.

    Attributes:
        path: where it is.
        state: ``OK``, or what is wrong with it.
        why: what is wrong, in a sentence.
        owner: the process that has it: its pid, 0 where it cannot be seen from here, ``None``: nobody.
        pending: events in it that are to be sent.
        oldest_ms: when the oldest of them was accepted.
        disk_bytes: what it takes on disk.
        dead: dead letters in it, by reason.
        base_url: where its events go.

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


def take_stock(folder: Folder) -> list[FileFacts]:
    """Every file, those of living processes too, the oldest first; behind them those set aside."""
    found = [_facts(folder, path) for path in folder.paths()]
    return [
        *(facts for facts in found if facts.state == OK or facts.path.exists()),  # else it went meanwhile
        *(
            FileFacts(
                path=path,
                state=ASIDE,
                why="an earlier process found it damaged, and saved what could be read",
                disk_bytes=_disk_bytes(path),
            )
            for path in folder.set_aside()
        ),
    ]


def _facts(folder: Folder, path: Path) -> FileFacts:
    facts = FileFacts(path=path, disk_bytes=_disk_bytes(path))
    try:
        facts = attrs.evolve(facts, owner=folder.owner(path))
        with closing(SpoolFile.peek(path)) as file:
            pending, _ = file.pending()
            return attrs.evolve(
                facts,
                pending=pending,
                oldest_ms=file.oldest_ms(),
                dead=file.dead_reasons(),
                base_url=file.meta().get("base_url", ""),
            )
    except SpoolError as error:
        return attrs.evolve(facts, state=_state(error), why=_without_path(error, path))


def _state(error: SpoolError) -> str:
    match error:
        case NotOurs():
            return LEFT
        case Damaged():
            return DAMAGED
    return UNREADABLE


def _without_path(error: SpoolError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _disk_bytes(path: Path) -> int:
    total = 0
    for suffix in SUFFIXES:
        with suppress(FileNotFoundError):
            total += Path(f"{path}{suffix}").stat().st_size
    return total


# --- events -----------------------------------------------------------------------------------------------


@attrs.frozen(slots=False)
class Entry:
    """One event on disk, and where it is.

    Attributes:
        path: its file.
        number: what names it there.
        body: the event, encoded; of a damaged one what is left of it.
        accepted_ms: when it was accepted.
        letter: why it is dead; ``None`` while it is pending.

    """

    path: Path
    number: int
    body: bytes
    accepted_ms: int
    letter: DeadLetter | None = None

    @property
    def since_ms(self) -> int:
        """When it came to be what it is: dead, or pending."""
        return self.letter.dead_ms if self.letter else self.accepted_ms

    @cached_property
    def wire(self) -> dict[str, object]:
        """The event; empty where that is damaged."""
        with suppress(ValueError, RecursionError):
            wire = json.loads(self.body)
            if isinstance(wire, dict):
                return wire
        return {}

    @property
    def id(self) -> str:
        """The event's id."""
        return self.letter.id if self.letter else str(self.wire.get("id", ""))

    @property
    def schema_name(self) -> str:
        """Its schema's name; empty where that is damaged."""
        return str(self.wire.get("schemaName", ""))

    @property
    def account_id(self) -> str:
        """Its account's id; empty where that is damaged."""
        return str(self.wire.get("accountId", ""))


class Reading:
    """Goes through every event, in constant memory. What cannot be read is a problem; the rest is read."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.problems: list[str] = []
        self.files = 0  # gone through to their end

    def dead(self) -> Iterator[Entry]:
        """Every dead letter."""
        for path in self._folder.paths():
            yield from self._each(path, self._letters)

    def pending(self) -> Iterator[Entry]:
        """Every event that is to be sent."""
        for path in self._folder.paths():
            yield from self._each(path, self._rows)

    def _each(self, path: Path, read: Callable[[SpoolFile], Iterator[Entry]]) -> Iterator[Entry]:
        try:
            with closing(SpoolFile.peek(path)) as file:
                yield from read(file)
            self.files += 1
        except SpoolError as error:
            gone = f"{path}: is gone meanwhile; another process may have taken over what was in it"
            self.problems.append(str(error) if path.exists() else gone)

    def _letters(self, file: SpoolFile) -> Iterator[Entry]:
        for number, letter in file.dead():
            yield Entry(file.path, number, letter.body, letter.accepted_ms, letter)

    def _rows(self, file: SpoolFile) -> Iterator[Entry]:
        damaged = 0
        for rows, wrong in file.scan():
            damaged += len(wrong)
            for row in rows:
                yield Entry(file.path, row.seq, row.body, row.accepted_ms)
        if damaged:
            self.problems.append(f"{file.path}: passed over {damaged:,} damaged among the pending")
