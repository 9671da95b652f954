"""The journals in a spool's directory: those of living processes, and of those that are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import attrs

from togai_shipper.spool.archive import ASIDE, NAME, Archive
from togai_shipper.spool.book import SOME_DAY, Book
from togai_shipper.spool.errors import Damaged, SpoolError
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.journal import DAMAGED, IDS_KEPT_DAYS, KEPT_DAYS
from togai_shipper.spool.moves import Record
from togai_shipper.spool.rows import checksum
from togai_shipper.spool.tally import Key, Tally

from .errors import JournalError
from .facts import Counted, Journal, Listed

TRIES = 5  # looks at a directory in which files are being moved meanwhile


@attrs.frozen
class _File:
    """What was read of one file: its journal, and what is in it still, by its ``seq`` or number."""

    book: Book
    is_owned: bool
    heir: str
    records: Mapping[str, Record]
    waiting: tuple[tuple[tuple[int, int], bytes], ...]
    dead: tuple[tuple[int, bytes], ...]


def read_journals(directory: str | Path, wall: Callable[[], float] = time.time) -> list[Journal]:
    """Return the journals of the processes that have, or had, a file in a spool's directory.

    It takes nothing, and changes nothing; the processes may go on. What can be read in part, or not at all,
    is a journal that is not complete, and says why.

    Args:
        directory: that of ``spool=``.
        wall: what time it is, in seconds since 1970.

    Raises:
        JournalError: the directory cannot be read.

    """
    if not Path(directory).is_dir():
        raise JournalError(f"{directory}: is no directory")
    folder, now = Folder(str(directory)), datetime.fromtimestamp(wall(), timezone.utc)
    try:
        for _ in range(TRIES):
            found = _read(folder, now)
            if found is not None:
                return found
    except SpoolError as error:  # pragma: no cover  a directory that goes, or is closed to us, meanwhile
        raise JournalError(str(error)) from error
    raise JournalError(f"{directory}: processes are taking over others' files just now; try again")


def _read(folder: Folder, now: datetime) -> list[Journal] | None:
    """Return the journals; ``None`` where files were moved meanwhile, and something may be missing."""
    unread: list[Journal] = []
    paths = folder.paths()
    files = dict(_files(folder, paths, unread, now))
    books = {book.id: book for place in folder.places() for book in _archived(place, unread, now)}
    if set(folder.paths()) != set(paths) or not all(
        _is_as_it_was(path, file) for path, file in files.items()
    ):
        return None
    here: dict[str, Tally] = {}
    owned = set()
    for path, file in files.items():
        books[file.book.id] = file.book
        here[file.book.id] = _what_is_here(path, file, files)
        owned |= {file.book.id} if file.is_owned else set()
    journals = [
        _journal(book, here.get(name, Tally()), now, is_owned=name in owned) for name, book in books.items()
    ]
    unread += [_unread(left.path.stem, left.why, now) for left in folder.foreign()] + [
        _unread(path.stem, f"{path}: was damaged, and is set aside: what it says is not counted", now)
        for place in folder.places()
        for path in sorted(place.glob(f"{NAME}{ASIDE}*"))
    ]
    return journals + unread


def _files(
    folder: Folder, paths: list[Path], unread: list[Journal], now: datetime
) -> Iterator[tuple[Path, _File]]:
    for path in paths:
        try:
            is_owned = folder.owner(path) is not None
            with closing(SpoolFile.peek(path)) as file, file.as_it_is_now():
                book = _book(file)
                waiting = tuple(
                    ((row.seq, checksum(row.accepted_ms, row.known, row.body)), row.body)
                    for rows, _ in file.scan()
                    for row in rows
                )
                dead = tuple((number, letter.body) for number, letter in file.dead())
                yield path, _File(book, is_owned, file.moves.heir(), file.moves.records(), waiting, dead)
        except SpoolError as error:
            if path.exists():  # pragma: no branch  else it has gone meanwhile
                unread.append(_unread(path.stem, str(error), now))


def _book(file: SpoolFile) -> Book:
    """Return what a file's journal says, with its ids as far as these are whole."""
    book = file.journal.book(file.path.stem)
    try:
        return attrs.evolve(book, ids=tuple(file.journal.ids()))
    except Damaged:
        return attrs.evolve(book, doubts={**book.doubts, SOME_DAY: DAMAGED})


def _is_as_it_was(path: Path, file: _File) -> bool:
    """Tell whether nothing was moved from or to a file since it was read."""
    try:
        with closing(SpoolFile.peek(path)) as again:
            return (again.moves.heir(), again.moves.records()) == (file.heir, file.records)
    except SpoolError:
        return False


def _archived(place: Path, unread: list[Journal], now: datetime) -> list[Book]:
    try:
        return list(Archive(place).read(int(now.timestamp() * 1000)))
    except (SpoolError, ValueError, TypeError) as error:
        unread.append(_unread(str(place / NAME), str(error), now))
        return []


def _what_is_here(path: Path, file: _File, files: Mapping[Path, _File]) -> Tally:
    """Count what is in a file still, but for what was moved to its heir, and not yet removed here."""
    heir = files.get(path.with_name(file.heir)) if file.heir else None
    moved = heir.records.get(path.name, Record()) if heir else Record()
    rows, letters = set(map(tuple, moved.rows)), set(moved.letters)
    tally = Tally()
    tally.add([body for place, body in file.waiting if place not in rows], "", "waiting")
    tally.add([body for number, body in file.dead if number not in letters], "", "dead")
    return tally


def _unread(name: str, why: str, now: datetime) -> Journal:
    return Journal(name, "", "", now, now, "spool", is_complete=False, why_not=why)


def _journal(book: Book, here: Tally, now: datetime, *, is_owned: bool) -> Journal:
    doubts = dict(book.doubts)
    listed = None
    if book.keeps_ids:
        try:
            listed = tuple(_listed(key, ids) for key, ids in book.listed())
        except ValueError:
            doubts[SOME_DAY] = "its ids are damaged"
    by_day = {date.fromisoformat(day): why for day, why in doubts.items() if day}
    return Journal(
        book.id,
        book.host,
        book.process,
        max(_moment(book.since_ms), now - timedelta(days=KEPT_DAYS)),
        now if is_owned else _moment(book.until_ms),
        "spool",
        tuple(_counted(key, count) for key, count in sorted([*book.counts.values(), *here.counts.items()])),
        listed,
        (now - timedelta(days=IDS_KEPT_DAYS)).date() if listed is not None else None,
        is_complete=not doubts,
        why_not="; ".join(sorted(set(doubts.values()))) or None,
        doubts=by_day,
        base_url=book.base_url,
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, timezone.utc)


def _listed(key: Key, ids: list[str]) -> Listed:
    day, left_on, schema, is_chosen, _, _ = key
    return Listed(date.fromisoformat(day), date.fromisoformat(left_on), schema, is_chosen, tuple(ids))


def _counted(key: Key, count: int) -> Counted:
    day, left_on, schema, is_chosen, account, fate = key
    return Counted(
        date.fromisoformat(day),
        date.fromisoformat(left_on) if left_on else None,
        schema,
        is_chosen,
        account or None,
        fate,  # type: ignore[arg-type]  # of the few that are written
        count,
    )
