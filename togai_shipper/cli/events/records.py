"""What Togai has of an event, in lines and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from togai_shipper._engine.findings import remedy_of
from togai_shipper._engine.look_ups import DUPLICATE, FAILED, IN_PROGRESS, METERED, rank
from togai_shipper.cli.events_asked import EventRecord


def best_of(records: Sequence[EventRecord]) -> EventRecord | None:
    """Return the record that says most about the bill."""
    return min(records, key=lambda each: rank(each.status), default=None)


def is_billed(records: Sequence[EventRecord]) -> bool:
    """Whether one of the records of an id is metered."""
    return any(each.status == METERED for each in records)


def event_lines(event_id: str, records: Sequence[EventRecord]) -> Iterator[str]:
    """Yield what Togai has of an id."""
    best = best_of(records)
    if best is None:
        yield f"{event_id}: Togai shows no such event"
        return
    yield f"{event_id}: {'billed' if is_billed(records) else 'not billed'}"
    yield from (f"  {each.status:<45} {each.created}" for each in records)
    yield f"  schema {best.schema}, account {best.account}, of {best.happened}"
    if best.description:
        yield f"  Togai says: {best.description}"
    if has_remedy(best.status):
        yield f"  What helps: {remedy_of(best.status)}"


def record_line(record: EventRecord) -> str:
    """Return a record of a list."""
    what = record.status.removeprefix(f"{FAILED}_")
    return f"{record.id}  {record.schema}  {record.account}  {record.happened}  {what}"


def has_remedy(status: str) -> bool:
    """Whether there is something to be done about an event with this status."""
    return status not in (METERED, IN_PROGRESS)


def record_json(record: EventRecord) -> dict[str, Any]:
    """Return a record as JSON has it."""
    return {
        "id": record.id,
        "status": record.status,
        "description": record.description,
        "schema": record.schema,
        "account": record.account,
        "timestamp": record.happened,
        "created_at": record.created,
        "remedy": remedy_of(record.status) if has_remedy(record.status) else "",
    }


def status_of(reason: str) -> str:
    """Return the status of a reason: ``SCHEMA_NOT_DEFINED``, or with what Togai writes before it."""
    name = reason.strip().upper().replace("-", "_")
    return name if name.startswith("INGESTION") else f"{FAILED}_{name}"


def is_unprocessed(record: EventRecord) -> bool:
    """Whether it is an event that Togai did not process: a duplicate is none, but for its arrival."""
    return record.status.startswith(FAILED) and record.status != DUPLICATE
