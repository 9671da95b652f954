"""Checks of what can be read back from Togai, and of what it leaves open there; nothing is changed by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone

from togai_shipper.cli.events_asked import EventRecord, pages
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.togai_asked import TogaiAsked
from togai_shipper.cli.togai_metrics import ALL, Point, end_of, midnight, points, query, request

from .check import Check

NAME = "look-ups"
DAYS = 7  # that are counted
PAGES = 5  # of events that are looked through
MOST_CANDIDATES = 5  # events by which the day rule is looked for
_RULE = "--day-rule {0}, or TOGAI_DAY_RULE={0}, for togai-shipper reconcile"


def lookups(togai: TogaiAsked, now: datetime) -> Iterator[Check]:
    """Check what the key may look up, and find out what Togai does not document."""
    records: list[EventRecord] = []
    try:
        records += _some_events(togai)
        yield Check("ok", NAME, f"events can be listed{_order(records)}")
    except NotAnswered as error:
        yield Check(
            "warn", NAME, f"events cannot be listed: {error.message}", "verify and reconcile need it."
        )
    try:
        yield from _counts(togai, now)
        yield _day_rule(togai, records, now)
    except (NotAnswered, ValueError) as error:
        advice = "reconcile needs the counts; verify and events do not."
        yield Check("warn", NAME, f"events cannot be counted: {error}", advice)


def _some_events(togai: TogaiAsked) -> Iterator[EventRecord]:
    listed = pages(togai, PAGES + 1)
    for _, page in zip(range(PAGES), listed, strict=False):
        yield from page


def _order(records: Sequence[EventRecord]) -> str:
    """Say in which order they come, where that can be seen."""
    orders = {
        "the newest first": [each.happened for each in records][::-1],
        "the oldest first": [each.happened for each in records],
        "in the order of their receipt": [each.created for each in records],
    }
    found = [name for name, moments in orders.items() if moments == sorted(moments)]
    return f", {found[0]}" if len(found) == 1 else ""


def _counts(togai: TogaiAsked, now: datetime) -> Iterator[Check]:
    start, end = midnight(now.date() - timedelta(days=DAYS)), midnight(now.date())
    is_single = True
    try:
        found = _asked(togai, start, end, "RAW_EVENT_STATUS", ALL)
    except _Refused:
        is_single = False
        found = _asked(togai, start, end, "EVENT_STATUS", ("PROCESSED", "UNPROCESSED", "IN_PROGRESS"))
    if is_single:
        yield Check("ok", NAME, "events are counted by every single status")
    else:
        advice = "reconcile cannot tell by counts whether events are metered: it needs the ids."
        yield Check("warn", NAME, "events are counted by groups of statuses alone", advice)
    begins = sorted({f"{point.begins:%H:%M}" for point in found})
    if not begins:
        yield Check(
            "warn", NAME, f"no event is counted in the last {DAYS} days", "Send some, and look again."
        )
    elif begins == ["00:00"]:
        yield Check("ok", NAME, "Togai's days begin at 00:00 UTC, as ours do")
    else:
        advice = "reconcile asks for each day of UTC by itself; see that it says no more than that."
        yield Check("warn", NAME, f"Togai's days begin at {' and '.join(begins)} UTC", advice)


def _day_rule(togai: TogaiAsked, records: Sequence[EventRecord], now: datetime) -> Check:
    """Find out whether Togai counts an event on the day of its own time, or of its receipt.

    It is counted on one of them: where the account has no event of the schema on the one, it is the other.
    """
    candidates = {
        (each.schema, each.account, happened, received): None
        for each in records
        if (happened := each.day(of_receipt=False)) and (received := each.day(of_receipt=True))
        if happened != received and max(end_of(happened), end_of(received)) < now - timedelta(hours=1)
    }
    for schema, account, happened, received in list(candidates)[:MOST_CANDIDATES]:
        by_event = _count(togai, schema, account, happened)
        by_receipt = _count(togai, schema, account, received)
        if bool(by_event) != bool(by_receipt):
            rule = "event" if by_event else "receipt"
            what = "its own time" if by_event else "its receipt"
            return Check("ok", NAME, f"Togai counts an event on the day of {what}: {_RULE.format(rule)}")
    advice = "Send an event of an account of its own, dated two days back; wait two days, and look again."
    return Check("warn", NAME, "no event shows to which day Togai counts it", advice)


def _count(togai: TogaiAsked, schema: str, account: str, day: date) -> int:
    statuses = ("PROCESSED", "UNPROCESSED", "IN_PROGRESS")
    filters = {"SCHEMA_NAME": (schema,), "ACCOUNT_ID": (account,)}
    found = _asked(togai, midnight(day), end_of(day), "EVENT_STATUS", statuses, **filters)
    return sum(point.events for point in found)


class _Refused(ValueError):  # noqa: N818  it is what it is
    """Togai refuses the question."""


def _asked(
    togai: TogaiAsked,
    start: datetime,
    end: datetime,
    group: str,
    statuses: Sequence[str],
    **filters: Sequence[str],
) -> list[Point]:
    """Return what is counted. Raises ``NotAnswered`` and ``ValueError``."""
    asked = [query("probe", group, statuses, **filters)]
    answer = togai.post("/metrics", request(start, end, asked))
    if answer.is_refusal:
        raise _Refused(f"POST /metrics: {answer.message}")
    return list(points(answer.body, asked))


def moment(seconds: float) -> datetime:
    """Return a moment of the wall clock, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)
