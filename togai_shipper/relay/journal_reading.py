"""Reads the journal of a relay: what has left it, and what it holds still.

It changes nothing, and the relay may go on. What it holds is read before what has left: what leaves in
between is in both, and none is in neither; so more may be told to wait than does, until it is asked again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta, timezone

from togai_shipper._journal.errors import JournalError
from togai_shipper._journal.facts import Counted, Journal
from togai_shipper._plural import counted
from togai_shipper.spool.journal import KEPT_DAYS
from togai_shipper.spool.tally import Key, Tally

from .answers import figure_of, pairs_of, text_of
from .dead_letters import DeadLetters
from .entries import NotOurs
from .journal import FORMAT
from .letters import read as read_letter
from .link import Link
from .reading import ours

PAGE = 20  # entries in memory at once; one has 16 MB at most
NONE = "keeps no journal: no drainer of this version has delivered anything from it yet"
_UNCOUNTED = "left without being counted: by a drainer that keeps no journal, or may not write to it"
_GONE = "Redis has lost what the relay had counted"
_DAMAGED = "what is counted is damaged: somebody else writes there"
_TOO_FEW = "the counts are gone, or some of them: Redis, or somebody, has deleted them"


def read_relay_journal(link: Link, name: str, wall: Callable[[], float] = time.time) -> Journal:
    """Return the journal of a relay.

    Args:
        link: the way to it.
        name: what it is called.
        wall: what time it is, in seconds since 1970.

    Raises:
        JournalError: it keeps none, or one of a newer version.
        RelayError: it cannot be asked.

    """
    here, unread = _what_is_here(link)
    facts = {part: text_of(found or b"") for part, found in _facts(link, "out", "base_url").items()}
    head = _texts(link.ask("HGETALL", link.keys["journal"]))
    _check(name, head)
    now = datetime.fromtimestamp(wall(), timezone.utc)
    doubts: dict[date, str] = {}
    left: Tally = Tally()
    for day, total in _dated(head, "total"):
        found = _texts(link.ask("HGETALL", f"{link.keys['journal']}:{day}"))
        try:
            tally = _tally(day.isoformat(), found)
        except (ValueError, TypeError):
            doubts[day] = _DAMAGED
            continue
        left.merge(tally)
        if tally.counts.total() < _number(total):
            doubts[day] = _TOO_FEW
    for day, why in _said(head, _number(facts["out"]), now.date()):
        doubts.setdefault(day, why)
    since, until = (_moment(head.get(each, "")) for each in ("since_ms", "until_ms"))
    return Journal(
        head["id"],
        name,
        "",
        max(since, now - timedelta(days=KEPT_DAYS)),
        max(now, until),
        "relay",
        tuple(_counted(key, count) for key, count in sorted([*left.counts.items(), *here.counts.items()])),
        is_complete=not unread,
        why_not=f"{counted(unread, 'entry', 'entries')} of the relay cannot be read" if unread else None,
        doubts=doubts,
        base_url=facts["base_url"],
    )


def _what_is_here(link: Link) -> tuple[Tally, int]:
    """Count what waits and what is dead; and how many entries are none that we can read."""
    tally, unread, after = Tally(), 0, "0"
    while page := link.read(after, PAGE):
        for entry_id, fields in page:
            try:
                tally.add(ours(entry_id, fields).events, "", "waiting")
            except NotOurs:
                unread += 1
        after = page[-1][0]
    dead = {event_id: read_letter(text_of(event_id), text) for event_id, text in DeadLetters(link).each()}
    tally.add([letter.body for letter in dead.values()], "", "dead")
    return tally, unread


def _facts(link: Link, *names: str) -> dict[str, bytes | None]:
    return dict(zip(names, link.ask("HMGET", link.keys["relay"], *names), strict=True))


def _texts(found: Mapping[bytes, bytes]) -> dict[str, str]:
    return {text_of(field): text_of(value) for field, value in pairs_of(found).items()}


def _check(name: str, head: Mapping[str, str]) -> None:
    """Raise ``JournalError`` for what is no journal that can be read."""
    if not head:
        raise JournalError(f"the relay {name} {NONE}")
    if _number(head.get("v", "")) > FORMAT:
        raise JournalError(
            f"the relay {name}: its journal has format {head['v']}, of a newer version of togai-shipper;"
            f" this one reads {FORMAT}"
        )
    if "id" not in head:
        raise JournalError(f"the relay {name}: its journal is damaged: somebody else writes there")


def _tally(left_on: str, found: Mapping[str, str]) -> Tally:
    """Return what is counted of a day. Raises ``ValueError`` or ``TypeError`` for what is none of ours."""
    tally = Tally()
    for field, count in found.items():
        day, schema, chosen, fate = json.loads(field)
        date.fromisoformat(day)
        if fate not in ("delivered", "purged") or figure_of(count) is None:
            raise ValueError(field)
        tally.counts[day, left_on, str(schema), bool(chosen), "", fate] += int(count)
    return tally


def _dated(head: Mapping[str, str], word: str) -> Iterator[tuple[date, str]]:
    """Yield the day and the value of each such field."""
    for name, value in head.items():
        kind, _, day = name.partition(" ")
        if kind == word and (found := _day(day)) is not None:
            yield found, value


def _said(head: Mapping[str, str], out: int, today: date) -> Iterator[tuple[date, str]]:
    """Yield each day that is in doubt, and why."""
    more = out - _number(head.get("out", ""))
    since = {f"uncounted {head.get('day', '')}..{today}": str(more)} if more > 0 else {}
    for name, value in {**since, **head}.items():
        kind, _, days = name.partition(" ")
        first, _, last = days.rpartition("..")
        if (end := _day(last)) is None:
            continue
        why = {
            "uncounted": f"{counted(_number(value), 'event')} {_UNCOUNTED}",
            "gone": _GONE,
            "damaged": _DAMAGED,
            "doubt": value,
        }.get(kind)
        if why is not None:
            longest = end - timedelta(days=KEPT_DAYS)
            begin = max(longest, _day(first) or (longest if ".." in days else end))
            yield from ((begin + timedelta(days=n), why) for n in range((end - begin).days + 1))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _number(text: str) -> int:
    return figure_of(text) or 0


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(_number(text) / 1000, timezone.utc)


def _counted(key: Key, count: int) -> Counted:
    day, left_on, schema, is_chosen, _, fate = key
    return Counted(
        date.fromisoformat(day),
        date.fromisoformat(left_on) if left_on else None,
        schema,
        is_chosen,
        None,
        fate,  # type: ignore[arg-type]  # of the few that are written
        count,
    )
