"""Journals as JSON lines: what ``spool journal export`` writes, and who proves a day reads.

The first line says what the file is. Each journal has one line of its own, then one for each count, and the
last line of it says how many those were: a file that was cut off is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, get_args

from .errors import JournalError
from .facts import Counted, Fate, Journal, Kind, Listed

FORMAT = 1
_FATES, _KINDS = get_args(Fate), get_args(Kind)


def written(journals: Iterable[Journal]) -> Iterator[str]:
    """Yield the lines of an export."""
    yield _line({"togai_journal": FORMAT})
    for journal in journals:
        yield _line(
            {
                "journal": journal.id,
                "host": journal.host,
                "process": journal.process,
                "since": journal.since.isoformat(),
                "until": journal.until.isoformat(),
                "kind": journal.kind,
                "base_url": journal.base_url,
                "keeps_ids": journal.listed is not None,
                "ids_since": journal.listed_since and journal.listed_since.isoformat(),
                "is_complete": journal.is_complete,
                "why_not": journal.why_not,
                "doubts": {day.isoformat(): why for day, why in journal.doubts.items()},
            }
        )
        for count in journal.counts:
            yield _line(
                {**_shared(count), "account": count.account, "fate": count.fate, "count": count.count}
            )
        for listed in journal.listed or ():
            yield _line({**_shared(listed), "ids": listed.ids})
        yield _line({"end": journal.id, "lines": len(journal.counts) + len(journal.listed or ())})
    yield _line({"end": "export"})


def _shared(each: Counted | Listed) -> dict[str, Any]:
    return {
        "event_day": each.event_day.isoformat(),
        "delivered_day": each.delivered_day and each.delivered_day.isoformat(),
        "schema": each.schema,
        "is_chosen": each.is_chosen,
    }


def _line(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, separators=(",", ":"))


def read_export(path: str | Path) -> list[Journal]:
    """Return the journals of an export; of two with one id, the later.

    Raises:
        JournalError: it cannot be read, is of a newer version, is no export, or was cut off or changed.

    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise JournalError(f"{path}: cannot be read: {error}") from error
    number = 0
    found: dict[str, Journal] = {}
    try:
        _check_format(path, json.loads(lines[0])["togai_journal"])
        reader = _Reader()
        for number, line in enumerate(lines[1:], 1):  # noqa: B007  told below
            if (journal := reader.take(json.loads(line))) is not None:
                earlier = found.get(journal.id)
                if earlier is None or earlier.until <= journal.until:
                    found[journal.id] = journal
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise JournalError(
            f"{path}: line {number + 1} is not what `spool journal export` writes; nothing of it is counted"
        ) from error
    if not reader.is_whole:
        raise JournalError(f"{path}: was cut off: its last line is missing; nothing of it is counted")
    return list(found.values())


def _check_format(path: str | Path, found: Any) -> None:
    if type(found) is int and found > FORMAT:
        raise JournalError(
            f"{path}: its format is {found}, of a newer version of togai-shipper; this one reads {FORMAT}"
        )
    if type(found) is not int or found != FORMAT:
        raise ValueError(found)


class _Reader:
    """Puts the lines of an export together."""

    def __init__(self) -> None:
        self._head: Mapping[str, Any] | None = None
        self._counts: list[Counted] = []
        self._listed: list[Listed] = []
        self.is_whole = False

    def take(self, line: Mapping[str, Any]) -> Journal | None:
        """Take a line; return the journal that it ends. Raises ``ValueError`` and the like for another."""
        if self.is_whole:
            raise ValueError(line)
        if "journal" in line and self._head is None:
            self._head = line
        elif "count" in line and self._head is not None:
            self._counts.append(_counted(line))
        elif "ids" in line and self._head is not None:
            self._listed.append(_listed(line))
        elif self._head is not None and line["end"] == self._head["journal"]:
            return self._ended(self._head, line["lines"])
        elif self._head is None and line["end"] == "export":
            self.is_whole = True
        else:
            raise ValueError(line)
        return None

    def _ended(self, head: Mapping[str, Any], lines: int) -> Journal:
        counts, listed = tuple(self._counts), tuple(self._listed)
        if len(counts) + len(listed) != lines:
            raise ValueError(lines)
        self._head, self._counts, self._listed = None, [], []
        return Journal(
            _text(head["journal"]),
            _text(head["host"]),
            _text(head["process"]),
            _moment(head["since"]),
            _moment(head["until"]),
            _KINDS[_KINDS.index(head["kind"])],
            counts,
            listed if head["keeps_ids"] is True else None,
            head["ids_since"] and date.fromisoformat(head["ids_since"]),
            head["is_complete"] is True,
            head["why_not"] and _text(head["why_not"]),
            {date.fromisoformat(day): _text(why) for day, why in head["doubts"].items()},
            _text(head["base_url"]),
        )


def _counted(line: Mapping[str, Any]) -> Counted:
    account, count = line["account"], line["count"]
    if type(count) is not int or count < 0:
        raise ValueError(count)
    return Counted(
        date.fromisoformat(line["event_day"]),
        line["delivered_day"] and date.fromisoformat(line["delivered_day"]),
        _text(line["schema"]),
        line["is_chosen"] is True,
        None if account is None else _text(account),
        _FATES[_FATES.index(line["fate"])],
        count,
    )


def _listed(line: Mapping[str, Any]) -> Listed:
    return Listed(
        date.fromisoformat(line["event_day"]),
        date.fromisoformat(line["delivered_day"]),
        _text(line["schema"]),
        line["is_chosen"] is True,
        tuple(map(_text, line["ids"])),
    )


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(value)
    return value


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None:
        raise ValueError(value)
    return moment
