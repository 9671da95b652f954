"""What a client can look up in the ledger: pages of records, and the records of one id.

A page's token stands for the place where the next page begins, and for the filters: a client need not repeat
them.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import attrs

from .settlement import IN_PROGRESS, STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ledger import BillingLedger, Record
    from .switches import Switches

MAX_PAGE = 50  # records; the default as well

_DESCRIPTIONS = {True: "Ingestion completed successfully", False: "Ingestion failed"}
_GROUPS = {
    "PROCESSED": frozenset(status for status in STATUSES if status.startswith("INGESTION_COMPLETED")),
    "IN_PROGRESS": frozenset((IN_PROGRESS,)),
}
_GROUPS["UNPROCESSED"] = STATUSES - _GROUPS["PROCESSED"] - _GROUPS["IN_PROGRESS"]


class BadQuery(ValueError):  # noqa: N818  it is a query
    """A query parameter is wrong; the text says which."""


@attrs.frozen
class _PageStart:
    """Where a page begins, and which records are on it."""

    start: int = 0
    statuses: frozenset[str] = STATUSES
    account_id: str | None = None
    schema_name: str | None = None


class Lookup:
    """Reads the ledger for ``GET /events``."""

    def __init__(self, ledger: BillingLedger, switches: Switches) -> None:
        self._ledger = ledger
        self._switches = switches
        self._places: dict[str, _PageStart] = {}  # token -> where its page begins

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the body of ``GET /events``, oldest record first. Raises ``BadQuery``."""
        size, place = _page_size(query), self._place(query)
        records = self._ledger.records
        found: list[Record] = []
        index = place.start
        while index < len(records) and len(found) < size:
            if self._is_wanted(records[index], place):
                found.append(records[index])
            index += 1
        has_more = any(self._is_wanted(record, place) for record in records[index:])
        body: dict[str, Any] = {"events": [self._shown(record) for record in found]}
        if has_more or (self._switches.trailing_page and found):
            body["nextToken"] = token = secrets.token_urlsafe(24)
            self._places[token] = attrs.evolve(place, start=index)
        return body

    def single(self, event_id: str) -> dict[str, Any]:
        """Return the body of ``GET /events/{id}``: every record of the id, oldest first."""
        records = [record for record in self._ledger.records if record.event.get("id") == event_id]
        return {"events": [{**self._shown(record), "eventPipelineInfo": {}} for record in records]}

    def _place(self, query: Mapping[str, str]) -> _PageStart:
        if "nextToken" in query:
            try:
                return self._places[query["nextToken"]]
            except KeyError:
                raise BadQuery("nextToken: is not known") from None
        status = query.get("status")
        if status is None:
            statuses = STATUSES
        elif status in STATUSES:
            statuses = frozenset((status,))
        elif status in _GROUPS:
            statuses = _GROUPS[status]
        else:
            raise BadQuery("status: is not known")
        return _PageStart(0, statuses, query.get("account_id"), query.get("schema_name"))

    def _is_wanted(self, record: Record, place: _PageStart) -> bool:
        return (
            self._ledger.status(record) in place.statuses
            and place.account_id in (None, record.event["accountId"])
            and place.schema_name in (None, record.event["schemaName"])
        )

    def _shown(self, record: Record) -> dict[str, Any]:
        status = self._ledger.status(record)
        created = datetime.fromtimestamp(record.created, timezone.utc).replace(tzinfo=None)
        shown: dict[str, Any] = {"status": status}
        if status != IN_PROGRESS:
            shown["statusDescription"] = _DESCRIPTIONS[status in _GROUPS["PROCESSED"]]
        return {
            "referenceId": record.reference,
            "eventPayload": record.event,
            "ingestionStatus": shown,
            "createdAt": created.isoformat(timespec="milliseconds") + "Z",
        }


def _page_size(query: Mapping[str, str]) -> int:
    text = query.get("pageSize", str(MAX_PAGE))
    if not (
        text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) and 1 <= int(text) <= MAX_PAGE
    ):
        raise BadQuery(f"pageSize: must be 1 to {MAX_PAGE}")
    return int(text)
