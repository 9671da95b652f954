"""The record of jobs on disk: what was sent, from which files, and which ids their lines have taken.

One database for each key and URL. A claim is made before anything of it is sent, all of a command in one
transaction: what a killed command has sent is known, and of two commands at once the second sees the first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from togai_shipper._process.limits import why_no_spool
from togai_shipper.cli.private_files import database_file

from .earlier import KNOWN, Claim
from .file_identity import FileIdentity
from .meaning import LineMeaning

_VERSION = 1
_PATIENCE = 60.0  # seconds; claiming the lines of a large file takes a while
_SPARE = 10 * 86_400.0  # seconds that claims are kept beyond their use: forgetting reads all ids
_TABLES = """
CREATE TABLE IF NOT EXISTS run (id INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL, outcome TEXT);
CREATE TABLE IF NOT EXISTS claim (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL, job BLOB NOT NULL, series INTEGER NOT NULL,
  began REAL NOT NULL, name TEXT NOT NULL, restarts INTEGER NOT NULL, void INTEGER NOT NULL DEFAULT 0,
  lines INTEGER,
  path BLOB, device TEXT, inode TEXT, size INTEGER, modified INTEGER, head_size INTEGER, head TEXT,
  fields TEXT, width INTEGER, places TEXT
);
CREATE INDEX IF NOT EXISTS claim_of_job ON claim (job, began);
CREATE TABLE IF NOT EXISTS line (id INTEGER, claim INTEGER, PRIMARY KEY (id, claim)) WITHOUT ROWID;
"""
_FILE = "path, device, inode, size, modified, head_size, head"
_MEANING = "fields, width, places"
_SCRATCH = """
CREATE TEMP TABLE unsorted (id INTEGER NOT NULL, number INTEGER NOT NULL);
CREATE TEMP TABLE fresh (source INTEGER, id INTEGER, number INTEGER, PRIMARY KEY (source, id)) WITHOUT ROWID;
CREATE TEMP TABLE earlier (claim INTEGER PRIMARY KEY, series INTEGER NOT NULL);
CREATE TEMP TABLE ours (source INTEGER, series INTEGER, PRIMARY KEY (source, series)) WITHOUT ROWID;
"""
_IS_OURS = (
    "EXISTS (SELECT 1 FROM line JOIN earlier USING (claim) JOIN ours USING (series)"
    " WHERE line.id = fresh.id AND ours.source = fresh.source)"
)


class NotKept(Exception):  # noqa: N818  it says what is not done
    """The record cannot be kept; the text says why."""


@attrs.frozen
class JobLine:
    """One input of a run, as ``--jobs`` shows it."""

    job: str
    began: float
    name: str
    path: str | None
    size: int | None
    device: str | None
    inode: str | None
    head: str | None
    lines: int | None
    meaning: str | None
    outcome: str | None


class JobRecord:
    """The record of one key and URL. Raises ``NotKept``, as its methods do.

    Args:
        path: its file.
        read_only: whether nothing is to be changed.
        patience: seconds to wait for another command, which holds the record.

    """

    def __init__(self, path: Path, *, read_only: bool = False, patience: float = _PATIENCE) -> None:
        # Without POSIX its file cannot be for one user alone either.
        if (why := why_no_spool()) is not None:  # pragma: no cover  its test is a process of its own
            raise NotKept(why)
        with _not_kept(path):
            if not read_only:
                database_file(path)
            uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
            self._path = path
            self._sqlite = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
        try:
            with _not_kept(path):
                self._prepare()
        except NotKept:
            self.close()
            raise

    def _prepare(self) -> None:
        run = self._sqlite.execute
        run("PRAGMA trusted_schema = OFF")
        run("PRAGMA cache_size = -16000")
        run("PRAGMA temp.cache_size = -4000")
        (version,) = run("PRAGMA user_version").fetchone()
        if version == 0:
            run("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";"):  # another command may have been as fast
                run(statement)
            run(f"PRAGMA user_version = {_VERSION}")
            run("COMMIT")
        elif version != _VERSION:
            raise NotKept(f"{self._path}: is of version {version}, which this program does not know")
        for statement in _SCRATCH.split(";"):
            run(statement)

    def close(self) -> None:
        """Close it; what was not committed is undone."""
        with suppress(sqlite3.Error):
            self._sqlite.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep others from claiming meanwhile; undo all if an error leaves it."""
        with _not_kept(self._path):
            self._sqlite.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._sqlite.execute("ROLLBACK")
            raise
        try:
            with _not_kept(self._path):
                self._sqlite.execute("COMMIT")
        except NotKept:
            with suppress(sqlite3.Error):
                self._sqlite.execute("ROLLBACK")
            raise

    # --- what was there before ---

    def claims(self, job: str, now: float) -> list[Claim]:
        """Return the claims of a job that still count, in their order."""
        with _not_kept(self._path):
            rows = self._sqlite.execute(
                f"SELECT id, run, series, began, restarts, {_FILE}, {_MEANING} FROM claim"  # noqa: S608  ours
                " WHERE job = ? AND began > ? AND NOT void ORDER BY id",
                (_bytes(job), now - KNOWN),
            ).fetchall()
        return [_claim(row) for row in rows]

    def claims_of_file(self, file: FileIdentity, now: float) -> list[tuple[str, Claim]]:
        """Return the claims that count of a path, or of a file's number, and their jobs, newest first."""
        with _not_kept(self._path):
            rows = self._sqlite.execute(
                f"SELECT job, id, run, series, began, restarts, {_FILE}, {_MEANING} FROM claim"  # noqa: S608  ours
                " WHERE (path = ? OR (device = ? AND inode = ?)) AND began > ? AND NOT void ORDER BY id DESC",
                (file.path, file.device, file.inode, now - KNOWN),
            ).fetchall()
        return [(_text(job), _claim(row)) for job, *row in rows]

    def note_fresh(self, source: int, ids: Iterable[tuple[int, int]]) -> None:
        """Note the ids of an input's lines, with the lines' numbers, on disk and only for this command."""
        run = self._sqlite.execute
        with _not_kept(self._path):
            run("BEGIN")
            self._sqlite.executemany("INSERT INTO unsorted (number, id) VALUES (?, ?)", ids)
            # In order, since each would go into another page, and there are more pages than fit in memory.
            run("INSERT OR IGNORE INTO fresh SELECT ?, id, number FROM unsorted ORDER BY id", (source,))
            run("DELETE FROM unsorted")
            run("COMMIT")

    def note_earlier(self, claims: Iterable[Claim], ours: Iterable[tuple[int, int]]) -> None:
        """Note the claims that count, and which series each input of this command continues."""
        with _not_kept(self._path):
            self._sqlite.executemany(
                "INSERT INTO earlier VALUES (?, ?)", [(claim.id, claim.series) for claim in claims]
            )
            self._sqlite.executemany("INSERT INTO ours VALUES (?, ?)", ours)

    def taken(self, source: int) -> Iterator[tuple[int, str]]:
        """Return which lines of an input would take an id of another file's line, and that file's path."""
        with _not_kept(self._path):
            found = self._sqlite.execute(
                "SELECT fresh.number, claim.path FROM fresh JOIN line USING (id)"  # noqa: S608  ours
                " JOIN earlier USING (claim) JOIN claim ON claim.id = line.claim"
                f" WHERE fresh.source = ? AND NOT {_IS_OURS} ORDER BY fresh.number",
                (source,),
            )
            for number, path in found:
                yield number, _text(path)

    def shrink(self) -> None:
        """Give back the memory that claiming took."""
        with _not_kept(self._path):
            self._sqlite.execute("PRAGMA shrink_memory")

    # --- what is added ---

    def add_run(self, now: float) -> int:
        """Add a run, and forget what is of no use any more. Return the run's number."""
        with _not_kept(self._path):
            self._forget(now)
            return int(self._sqlite.execute("INSERT INTO run (began) VALUES (?)", (now,)).lastrowid or 0)

    def _forget(self, now: float) -> None:
        run = self._sqlite.execute
        if run("SELECT 1 FROM claim WHERE began < ?", (now - KNOWN - _SPARE,)).fetchone():
            until = (now - KNOWN,)
            run("DELETE FROM line WHERE claim IN (SELECT id FROM claim WHERE began < ?)", until)
            run("DELETE FROM claim WHERE began < ?", until)
            run("DELETE FROM run WHERE began < ?", until)

    def add_claim(self, claim: Claim, job: str, name: str, source: int) -> None:
        """Add a claim, whose number and series are 0 if it has none yet, with the ids of an input's lines."""
        file = (None,) * 7 if claim.file is None else attrs.astuple(claim.file)
        meaning = (None,) * 3 if claim.meaning is None else attrs.astuple(claim.meaning)
        with _not_kept(self._path):
            number = self._sqlite.execute(
                f"INSERT INTO claim (run, job, series, began, name, restarts, {_FILE}, {_MEANING})"  # noqa: S608
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(claim.run, _bytes(job), claim.series, claim.began, name, claim.restarts),
                    *(*file, *meaning),
                ),
            ).lastrowid
            if not claim.series:
                self._sqlite.execute("UPDATE claim SET series = id WHERE id = ?", (number,))
            self._sqlite.execute(
                f"INSERT INTO line SELECT id, ? FROM fresh WHERE source = ? AND NOT {_IS_OURS}",  # noqa: S608
                (number, source),
            )

    def end_run(self, run: int, now: float, outcome: str, by_input: Sequence[tuple[int, int]]) -> None:
        """Note what came of a run, and how many lines of each input that was begun were read and accepted.

        What was never accepted has not taken an id, so the claim is void: the next run may read it in another
        way.
        """
        with self.transaction(), _not_kept(self._path):
            execute = self._sqlite.execute
            execute("UPDATE run SET ended = ?, outcome = ? WHERE id = ?", (now, outcome, run))
            execute("UPDATE claim SET void = TRUE WHERE run = ?", (run,))
            claims = execute("SELECT id FROM claim WHERE run = ? ORDER BY id", (run,)).fetchall()
            for (claim,), (lines, accepted) in zip(claims, by_input, strict=False):
                execute("UPDATE claim SET lines = ?, void = ? WHERE id = ?", (lines, not accepted, claim))

    def jobs(self) -> list[JobLine]:
        """Return what was sent, the latest last."""
        with _not_kept(self._path):
            rows = self._sqlite.execute(
                "SELECT job, claim.began, name, path, size, device, inode, head, lines, fields, outcome"
                " FROM claim JOIN run ON run.id = claim.run ORDER BY claim.id"
            ).fetchall()
        return [
            JobLine(_text(job), began, name, None if path is None else _text(path), *rest)
            for job, began, name, path, *rest in rows
        ]


@contextmanager
def _not_kept(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotKept(f"{path}: {error.strerror}") from error
    except (sqlite3.Error, OverflowError) as error:
        raise NotKept(f"{path}: {error}") from error


def _claim(row: Sequence[Any]) -> Claim:
    number, run, series, began, restarts, *rest = row
    file, meaning = rest[:7], rest[7:]
    return Claim(
        id=number,
        run=run,
        series=series,
        began=began,
        restarts=bool(restarts),
        file=None if file[0] is None else FileIdentity(*file),
        meaning=None if meaning[0] is None else LineMeaning(*meaning),
    )


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")
