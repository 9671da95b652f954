"""What the commands work with: the directory of a spool, or a relay. DIR says which, by its scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import click

from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.options import relay_name_option
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.terminal import print_json, print_lines
from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.url import is_url, shown

from .causes import grouped
from .change_request import ChangeRequest, ChangeResult, ChangeState, WaitClock
from .directory import directory_argument, open_folder, why_not_written
from .events import EventReader, Holder, StoredEvent
from .files import read_files
from .verification import Findings, verify
from .view import files_json, show_files

_Command = TypeVar("_Command", bound=Callable[..., Any])
Change: TypeAlias = Literal["replay", "purge", "send"]


class Source(Protocol):
    """Where events are kept: ``place``, which consists of so many of a ``part``."""

    part: str

    @property
    def place(self) -> str:
        """Where it is, for people."""

    @property
    def problems(self) -> list[str]:
        """What could not be read until now."""

    def show(self, *, as_json: bool, most: int) -> None:
        """Print what is there; of files, as a table, ``most`` at most."""

    def dead(self) -> Iterator[StoredEvent]:
        """Read every dead letter."""

    def pending(self) -> Iterator[StoredEvent]:
        """Read every pending event."""

    def of_unsure_age(self) -> Iterator[StoredEvent]:
        """Read every pending event that nobody sends, since the clocks do not tell how old it is."""

    def findings(self) -> Iterator[Findings]:
        """Check all that is there."""

    def advice(self) -> Sequence[str]:
        """Say what becomes of damage that was found."""

    def change(
        self, what: Change, numbers: Mapping[Holder, Sequence[int]], clock: WaitClock, *, is_risky: bool
    ) -> list[ChangeResult]:
        """Replay or delete dead letters, or have pending events sent."""

    def sent_by(self, results: Sequence[ChangeResult]) -> Iterator[str]:
        """Say who sends what was replayed, where nobody does by himself."""


def source_arguments(command: _Command) -> _Command:
    """Add the argument DIR, which may be a relay's URL, and the relay's name."""
    return directory_argument(relay_name_option()(command))


@contextmanager
def opened(directory: str, name: str) -> Iterator[Source]:
    """Give what the argument names. Whatever a relay does not do is one line of text, and the end."""
    if not is_url(directory):
        yield SpoolSource(directory)
        return
    from .relay_source import RelaySource  # noqa: PLC0415  redis-py is an extra

    clock = click.get_current_context().find_object(WaitClock) or WaitClock()
    try:
        with RelaySource.opened(directory, name, clock) as source:
            yield source
    except RelayError as error:
        raise click.ClickException(f"{shown(directory)}: {error}") from error


class SpoolSource:
    """The directory of a spool."""

    part = "file"

    def __init__(self, directory: str) -> None:
        self.place = directory
        self._folder = open_folder(directory)
        self._reader = EventReader(self._folder)
        self.problems = self._reader.problems
        self.dead = self._reader.dead
        self.pending = self._reader.pending
        self.of_unsure_age = self._reader.of_unsure_age

    def show(self, *, as_json: bool, most: int) -> None:
        """Print a row for each file, ``most`` of them at most."""
        files = read_files(self._folder)
        if as_json:
            print_json(files_json(self.place, files, now_ms(), why_not_written(self._folder)), indent=2)
            return
        letters = self._reader.letters_in(facts.path for facts in files if facts.dead)
        show_files(Screen(), self.place, files, grouped(letters), now_ms(), most)
        why = why_not_written(self._folder)
        print_lines(["", *why] if why else [])
        print_lines(
            f"{path} is the spool of user {path.name}: look into it as that user, or as root."
            for path in self._folder.others()
        )

    def findings(self) -> Iterator[Findings]:
        """Check every file."""
        for left in self._folder.foreign():
            yield Findings(left.path, problems=(left.why,))
        for path in (*self._folder.paths(), *self._folder.set_aside()):
            yield verify(self._folder, path)

    def advice(self) -> Sequence[str]:
        """Say what becomes of a damaged file."""
        return (
            "Damaged events are never sent: the",
            "application saves what can be read of such a file, and keeps the file under another name.",
        )

    def change(
        self, what: Change, numbers: Mapping[Holder, Sequence[int]], clock: WaitClock, *, is_risky: bool
    ) -> list[ChangeResult]:
        """Change one file after the other, or ask their owners to."""
        request = ChangeRequest(open_folder(self.place), what, clock, is_risky)
        return [request.run(Path(str(path)), its) for path, its in numbers.items()]

    def sent_by(self, results: Sequence[ChangeResult]) -> Iterator[str]:
        """Say who sends what is in files without an owner."""
        count = sum(each.count for each in results if each.state == ChangeState.DONE and each.by is None)
        if count:
            yield (
                f"{count:,} of them in files without an owner: the next process that starts sends them,"
                " or this:"
            )
            yield f"  togai-shipper drain {self.place}"
