"""The format of a spool's file: its tables, what tells it from other files, and the statements on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from .connection import Connection
from .errors import Forged, HoldsNothing, NotOurs

FORMAT = 2  # 1 has no journal: it is read, adopted and drained
Entry: TypeAlias = tuple[bytes, bytes, bytes, bytes | None]
APPLICATION_ID = 0x546F6769  # "Togi", where SQLite keeps the kind of a file

_EVENT = """CREATE TABLE event (
    seq INTEGER PRIMARY KEY, accepted_ms INTEGER NOT NULL, known INTEGER NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL
)"""
_DEAD = """CREATE TABLE dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, accepted_ms INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
    reason TEXT NOT NULL, status INTEGER, message TEXT NOT NULL, attempts INTEGER NOT NULL,
    dead_ms INTEGER NOT NULL, UNIQUE (id, dead_ms, crc)
)"""
# What has left the file, counted; ``key`` is JSON. And the ids of it, packed.
_TALLY = """CREATE TABLE tally (
    number INTEGER PRIMARY KEY, day TEXT NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, crc INTEGER NOT NULL
)"""
_LISTED = """CREATE TABLE listed (
    number INTEGER PRIMARY KEY, day TEXT NOT NULL, ids BLOB NOT NULL, crc INTEGER NOT NULL
)"""
_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)"

# What SQLite notes of these, to the letter: type, name, table, and the statement.
_FORMAT_1: set[Entry] = {
    (b"table", b"event", b"event", _EVENT.encode()),
    (b"table", b"dead", b"dead", _DEAD.encode()),
    (b"index", b"sqlite_autoindex_dead_1", b"dead", None),
    (b"table", b"sqlite_sequence", b"sqlite_sequence", b"CREATE TABLE sqlite_sequence(name,seq)"),
    (b"table", b"meta", b"meta", _META.encode()),
    (b"index", b"sqlite_autoindex_meta_1", b"meta", None),
}
_ENTRIES: dict[int, set[Entry]] = {
    1: _FORMAT_1,
    2: _FORMAT_1
    | {
        (b"table", b"tally", b"tally", _TALLY.encode()),
        (b"table", b"listed", b"listed", _LISTED.encode()),
    },
}


def lay_out(connection: Connection, meta: Mapping[str, str]) -> None:
    """Make the tables of a new file, and write ``meta`` in it."""
    with connection.transaction():  # one: a file whose tables are there says whose it is
        for statement in (_EVENT, _DEAD, _META):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        add_journal(connection)
        connection.execute_many("INSERT INTO meta VALUES (?, ?)", meta.items())


def add_journal(connection: Connection) -> None:
    """Make the tables of the journal, within a transaction: the file has the format of this version then."""
    for statement in (_TALLY, _LISTED):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def has_journal(connection: Connection) -> bool:
    """Tell whether the file has the tables of the journal: the older format has none."""
    (version,) = connection.row("PRAGMA user_version")
    return bool(version > 1)


def check(connection: Connection) -> None:
    """Raise ``NotOurs`` or ``Damaged`` where the file is no spool that this version can read."""
    check_tables(connection, APPLICATION_ID, _ENTRIES, "a spool")


def check_tables(
    connection: Connection, application_id: int, formats: Mapping[int, set[Entry]], what: str
) -> None:
    """Raise ``NotOurs`` or ``Damaged`` where the file is not ``what`` it has to be, in a format that we know.

    Nothing of its tables is read until then. A view, a trigger, or an expression in a column or an index
    would run what somebody else has written.
    """
    (kind,), (version,) = connection.row("PRAGMA application_id"), connection.row("PRAGMA user_version")
    path, newest = connection.path, max(formats)
    if kind == application_id and version > newest:
        raise NotOurs(f"{path}: its format is {version}, of a newer version; this one reads {newest}")
    ours = formats.get(version, formats[1])
    entries = connection.rows(_READ_ENTRIES, (len(ours) + 1,))
    if kind != application_id and entries:
        raise NotOurs(f"{path}: is an SQLite file, but no {what.removeprefix('a ')}")
    if kind != application_id:
        raise HoldsNothing(f"{path}: holds nothing; what was in it, or in its -wal, is gone")
    roots = {root for *_, root in entries}  # each has pages of its own
    # One that is missing is damage, which is found when it is used.
    if not ours.issuperset(entry[:-1] for entry in entries) or len(roots) < len(entries) or 1 in roots:
        raise Forged(f"{path}: has other tables than {what}'s, or more than those")


_READ_ENTRIES = "SELECT type, name, tbl_name, sql, rootpage FROM sqlite_master LIMIT ?"


# --- pending events -----------------------------------------------------------------------------------------

# One statement each: every call of SQLite gives up the GIL, and has to win it back from a busy application.
APPEND = """
INSERT INTO event
SELECT :first + key, json_extract(value, '$[2]'), json_extract(value, '$[3]'),
       substr(:bodies, json_extract(value, '$[0]'), json_extract(value, '$[1]')), json_extract(value, '$[4]')
FROM json_each(:rows)
"""
# Mostly all of them fit, and one sum says so. Where they do not, a running sum is taken, which takes five
# times as long.
READ = """
SELECT json_group_array(json_array(seq, accepted_ms, known, crc, length(body))),
       group_concat(CAST(body AS TEXT), '')
FROM (
    SELECT * FROM event WHERE seq > :after ORDER BY seq LIMIT CASE
        WHEN (
            SELECT total(size)
            FROM (SELECT length(body) AS size FROM event WHERE seq > :after ORDER BY seq LIMIT :limit)
        ) <= :most THEN :limit
        ELSE max(1, (
            SELECT count(*)
            FROM (
                SELECT total(length(body)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS through
                FROM event WHERE seq > :after ORDER BY seq LIMIT :limit
            )
            WHERE through <= :most
        ))
    END
)
"""
READ_ONE_BY_ONE = "SELECT seq, accepted_ms, known, body, crc FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
READ_AS_THEY_LIE = "SELECT seq, accepted_ms, known, body, crc FROM event LIMIT ? OFFSET ?"
INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?)"
ASK_FOR = "UPDATE event SET known = ?, crc = ? WHERE seq = ? AND crc = ?"
REMOVE = "DELETE FROM event WHERE seq IN (SELECT value FROM json_each(?))"
REMOVE_ROWS = """
DELETE FROM event
WHERE seq IN (SELECT value FROM json_each(?)) AND crc IN (SELECT value FROM json_each(?))
"""

# --- dead letters -------------------------------------------------------------------------------------------

# A letter that is there already was moved here twice, since the first move was cut short. Nothing else may be
# passed over: with OR IGNORE, a NULL, or another event with this id, would be lost.
BURY = """
INSERT INTO dead (id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, dead_ms, crc) DO NOTHING
"""
READ_DEAD = """
SELECT number, id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms
FROM dead WHERE number > ? ORDER BY number LIMIT ?
"""
READ_THESE_DEAD = """
SELECT number, id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms
FROM dead WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number
"""
COUNT_DEAD = "SELECT count(number) FROM dead"  # count(*) of a table by itself is one step, which has no end
COUNT_DEAD_BY_REASON = "SELECT reason, count(*) FROM dead GROUP BY reason ORDER BY count(*) DESC, reason"
REMOVE_DEAD = "DELETE FROM dead WHERE number IN (SELECT value FROM json_each(?))"

# --- the journal --------------------------------------------------------------------------------------------

TALLY = "INSERT OR REPLACE INTO tally VALUES (?, ?, ?, ?, ?, ?)"
LIST = "INSERT INTO listed (day, ids, crc) VALUES (?, ?, ?)"
READ_TALLY = "SELECT number, day, key, count, at_ms, crc FROM tally ORDER BY number"
READ_LISTED = "SELECT day, ids, crc FROM listed ORDER BY number"
LAST_TALLY = "SELECT max(number) FROM tally"
PRUNE_TALLY = "DELETE FROM tally WHERE day < ?"
# They lie in the order of their days: only what goes is looked at.
PRUNE_LISTED = """
DELETE FROM listed
WHERE number < ifnull((SELECT number FROM listed WHERE day >= ? ORDER BY number LIMIT 1), 1 << 62)
"""
READ_META = "SELECT key, value FROM meta"
NOTE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
NOTE_ONCE = "INSERT OR IGNORE INTO meta VALUES (?, ?)"
READ_ONE_META = "SELECT value FROM meta WHERE key = ?"
FORGET_META = "DELETE FROM meta WHERE key = ?"

# --- how much there is --------------------------------------------------------------------------------------

# In one statement: how many events are pending, and since when; why letters are dead; three of ``meta``.
SNAPSHOT = """
SELECT 'event', count(seq), min(accepted_ms) FROM event
UNION ALL SELECT 'dead', reason, count(*) FROM dead GROUP BY reason
UNION ALL SELECT key, value, NULL FROM meta WHERE key IN (?, ?, ?)
"""

# --- what was moved from file to file -----------------------------------------------------------------------

COUNT_MOVES = "SELECT count(key) FROM meta WHERE key = ? OR key GLOB ?"
COUNT_MOVED = """
SELECT
    (
        SELECT count(*) FROM event
        WHERE seq IN (SELECT value FROM json_each(?)) AND crc IN (SELECT value FROM json_each(?))
    )
    + (SELECT count(*) FROM dead WHERE number IN (SELECT value FROM json_each(?)))
"""
