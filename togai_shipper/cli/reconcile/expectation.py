"""Reads what should be at Togai from a CSV file: counts by day and schema, or the very ids.

::

    day,schema,account,count          day,schema,account,id
    2026-11-28,api_call,acme,4017     2026-11-28,api_call,acme,order-7

The column ``account`` may be missing. The day is that of the events' own time, in UTC.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from .facts import Ours, Source, Told

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COUNT = re.compile(r"[0-9]{1,15}")
_MOST_ID = 512


class BadFile(ValueError):  # noqa: N818  it is what it is
    """A file is not what is expected; the text says the file, the line and what is wrong."""


def read_expectation(path: str) -> Source:
    """Read a file of counts, or of ids. Raises ``BadFile``."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            told = tuple(_told(path, csv.DictReader(file, strict=True)))
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{path}: is no CSV: {error}") from error
    if not told:
        raise BadFile(f"{path}: has no row")
    return Source(path, told, f"{path}: {len(told):,} rows")


def _told(path: str, reader: csv.DictReader[str]) -> Iterator[Told]:
    columns = set(reader.fieldnames or ())
    what = columns & {"count", "id"}
    if not {"day", "schema"} <= columns or len(what) != 1 or columns - {"day", "schema", "account", *what}:
        raise BadFile(f"{path}: line 1: must name the columns day, schema, perhaps account, and count or id")
    ids: dict[str, int] = {}
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        if None in row or None in row.values():
            raise BadFile(f"{where}: has not as many values as line 1 has columns")
        try:
            day, schema, account = _day(row["day"]), _schema(row["schema"]), row.get("account") or None
            if "count" in what:
                yield Told(day, None, schema, Ours(certain=_count(row["count"])), account)
                continue
            event_id = _id(row, ids, reader.line_num)
        except ValueError as error:
            raise BadFile(f"{where}: {error}") from error
        yield Told(day, None, schema, Ours(certain=1), account, (event_id,))


def _day(text: str) -> date:
    if not _DAY.fullmatch(text):
        raise ValueError("day: must be a day of UTC such as 2026-11-28, without a time or a zone")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("day: there is no such day") from None


def _schema(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError("schema: must be the name of an event schema, without blanks around it")
    return text


def _count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise ValueError("count: must be a whole number, digits alone")
    return int(text)


def _id(row: Mapping[str, str], ids: dict[str, int], line: int) -> str:
    event_id = row["id"]
    if not event_id or len(event_id) > _MOST_ID:
        raise ValueError(f"id: must have 1 to {_MOST_ID} characters")
    if event_id in ids:
        raise ValueError(f"id: is that of line {ids[event_id]}, too; Togai bills an id once")
    ids[event_id] = line
    return event_id
