"""``POST /events/correction``: undo what an event did, and perhaps ingest it, or another, in its place.

Which statuses can be corrected is our reading of Togai's page of statuses, which is hard to read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from . import contract, statuses
from .catalog import account_called, is_same_account
from .contract import Breach, instant
from .event_time import happened
from .paging import BadQuery
from .record_view import event_with_status, moment
from .scanning import first_wanted
from .settlement import cycle_end

if TYPE_CHECKING:
    from .ledger import BillingLedger
    from .records import EventJson, Record
    from .switches import Switches

MOST = 30  # events of one request

_SELECTORS = ("id", "event_id", "event_source_time", "created_at")
_COMBINATIONS: tuple[set[str], ...] = (
    set(),
    {"id"},
    {"event_id"},
    {"event_source_time"},
    {"event_id", "created_at"},
    {"event_id", "event_source_time"},
)
_REFERENCE = re.compile(r"event\.([0-9]{12})")
_NEVER = {statuses.IN_PROGRESS, statuses.DUPLICATE_EVENT, statuses.REVERTED}
_NOT_REDONE = _NEVER | {statuses.UNITS_INVALID, statuses.PAST_GRACE_PERIOD}
_FIXED = {
    "UNDO": _NEVER | {statuses.INSUFFICIENT_CREDITS},
    "REDO": _NOT_REDONE,
    "REDO_EVENT": _NOT_REDONE | {statuses.ACCOUNT_NOT_FOUND},
}


class Corrections:
    """Corrects what the ledger has."""

    def __init__(self, ledger: BillingLedger, switches: Switches) -> None:
        self._ledger = ledger
        self._switches = switches

    async def answer(self, query: Mapping[str, str], payload: Any) -> dict[str, Any]:
        """Correct the events that a query names, and return the body. Raises ``BadQuery`` and ``Breach``.

        Args:
            query: of the request.
            payload: what its body says; ``None`` if it has none.

        """
        action = _action(query)
        replacement = _replacement(payload)
        if action == "REDO_EVENT" and replacement is None:
            raise Breach("event: is required for REDO_EVENT")
        records = await self._named(query)
        return {"data": [self._correct(record, action, replacement) for record in records]}

    # --- which events ---

    async def _named(self, query: Mapping[str, str]) -> list[Record]:
        """Return the events that a query names: the newest first, at most as many as may be corrected."""
        is_meant = partial(self._is_meant, query)
        if "id" in query:
            found = list(filter(is_meant, self._numbered(query["id"])))
        elif "event_id" in query:
            found = list(filter(is_meant, self._ledger.copies(query["event_id"])))
        else:
            found = await first_wanted(self._ledger, is_meant, MOST, "newest")
        return sorted(found, key=lambda each: (-each.happened, each.event.get("id", "")))[:MOST]

    def _numbered(self, reference: str) -> list[Record]:
        match = _REFERENCE.fullmatch(reference)
        record = self._ledger.numbered(int(match[1])) if match is not None else None
        return [] if record is None else [record]

    def _is_meant(self, query: Mapping[str, str], record: Record) -> bool:
        return (
            self._is_of(record.event["accountId"], query["account_id"])
            and query.get("created_at") in (None, moment(record.created))
            and ("event_source_time" not in query or happened(query["event_source_time"]) == record.happened)
        )

    def _is_of(self, name: str, account_id: str) -> bool:
        accounts = self._switches.accounts
        is_found = self._switches.unknown_account_corrects or account_called(accounts, name).is_known
        return is_found and is_same_account(accounts, name, account_id)

    # --- what is done with each ---

    def _correct(self, record: Record, action: str, replacement: EventJson | None) -> dict[str, Any]:
        status = self._ledger.status(record)
        shown = event_with_status(record, status, self._switches)
        if status in _FIXED[action]:
            return {**shown, "status": "FAILED", "reason": f"Event with status {status} cannot be corrected"}
        grace = self._switches.grace_period
        ingested = instant(moment(record.created))
        if grace is not None and self._switches.clock() > cycle_end(ingested) + grace:
            return {**shown, "status": "FAILED", "reason": "Event was ingested in past pricing cycle"}
        self._ledger.revert(record)
        if action == "UNDO":
            return {**shown, "status": "REVERTED", "reason": "Event Reverted"}
        again = record.event if action == "REDO" or replacement is None else replacement
        self._ledger.ingest_again(again)
        return {**shown, "status": "REVERTED_AND_REINGESTED", "reason": "Event Reverted and Reingested"}


def _action(query: Mapping[str, str]) -> str:
    """Return what is to be done, if the query says it, and of which events, as it must."""
    for name in ("action", "account_id"):
        if name not in query:
            raise BadQuery(f"{name}: is required")
    if query["action"] not in _FIXED:
        raise BadQuery(f"action: must be one of {', '.join(_FIXED)}")
    if {name for name in _SELECTORS if name in query} not in _COMBINATIONS:
        raise BadQuery(
            "account_id: may come alone, with one of id, event_id and event_source_time, or with event_id"
            " and one of created_at and event_source_time"
        )
    for name in ("async", "require_confirmation"):
        if query.get(name, "false") != "false":
            raise BadQuery(f"{name}: the sandbox corrects at once, and asks nobody")
    if "event_source_time" in query:
        try:
            instant(query["event_source_time"])
        except Breach:
            raise BadQuery("event_source_time: must be an ISO 8601 date and time") from None
    return query["action"]


def _replacement(payload: Any) -> EventJson | None:
    if isinstance(payload, Breach):
        raise payload
    if payload is None or payload == {}:
        return None
    (event,) = contract.unwrap(payload, "event")
    contract.check(event, "event")
    return event  # type: ignore[no-any-return]  # check has seen that it is a dict
