"""Reads what our side says: journals of spools and relays, their exports, and files of counts or ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path

from togai_shipper._journal import Counted, Journal, JournalError, Listed, read_export, read_journals
from togai_shipper.cli.formats import moment
from togai_shipper.cli.relay_journal import journal_of_relay
from togai_shipper.relay.url import is_url, shown

from .facts import Ours, Source, Told
from .period import SETTLED


class NoSource(ValueError):  # noqa: N818  it is what it is
    """Our side cannot be read; the text says which part of it, and why."""


def journals_in(places: Iterable[str], base_url: str, relay_name: str) -> list[Journal]:
    """Read the journals of directories, relays and exports; what is in several counts once, as it was last.

    Raises ``NoSource``: also for a journal of events that went elsewhere than to ``base_url``.
    """
    found: dict[str, Journal] = {}
    for place in places:
        journals = _read(place, relay_name)
        if not journals:
            raise NoSource(f"{place}: has no journal")
        for journal in journals:
            if journal.base_url not in ("", base_url):
                where = shown(place) if is_url(place) else place
                raise NoSource(f"{where}: its events went to {journal.base_url}, and {base_url} is asked")
            earlier = found.get(journal.id)
            if (
                earlier is None or earlier.until <= journal.until
            ):  # pragma: no branch  an export holds the later
                found[journal.id] = journal
    return list(found.values())


def _read(place: str, relay_name: str) -> list[Journal]:
    try:
        if is_url(place):
            return [journal_of_relay(place, relay_name)]
        return read_journals(place) if Path(place).is_dir() else read_export(place)
    except JournalError as error:
        raise NoSource(str(error)) from error


def source_of(journal: Journal, days: Collection[date], now: datetime) -> Source:
    """Return what a journal says, and what is in doubt of it on these days."""
    recent = (now - SETTLED).date()
    told = [
        *(_counted(journal, each, recent) for each in journal.counts),
        *map(_listed, journal.listed or ()),
    ]
    who = f"{journal.host} {journal.process}".strip() or journal.id
    since, until = (moment(int(each.timestamp() * 1000)) for each in (journal.since, journal.until))
    return Source(
        journal.id,
        tuple(told),
        f"{journal.kind} of {who}, {since} to {until}",
        tuple(f"{who}: {why}" for why in _doubts(journal, days)),
    )


def _doubts(journal: Journal, days: Collection[date]) -> Iterator[str]:
    if not journal.is_complete:
        yield journal.why_not or "its journal is not complete"
    yield from journal.in_doubt(days)
    unreadable = sum(each.count for each in journal.counts if not each.schema or each.event_day == date.min)
    if unreadable:
        yield f"of {unreadable:,} events it does not know the schema or the day"


def _counted(journal: Journal, each: Counted, recent: date) -> Told:
    is_recent = each.delivered_day is not None and each.delivered_day >= recent
    if each.fate == "delivered":
        is_certain = journal.kind == "spool" and not each.is_chosen
        certain, loose = (each.count, 0) if is_certain else (0, each.count)
        ours = Ours(certain, loose, is_recent=is_recent)
    else:
        ours = Ours(
            waiting=each.count * (each.fate == "waiting"),
            dead=each.count * (each.fate == "dead"),
            purged=each.count * (each.fate == "purged"),
            dropped=each.count * (each.fate == "dropped"),
        )
    return Told(each.event_day, each.delivered_day or each.event_day, each.schema, ours, each.account)


def _listed(each: Listed) -> Told:
    """Return ids of events that are counted already."""
    return Told(each.event_day, each.delivered_day, each.schema, Ours(), ids=each.ids)
