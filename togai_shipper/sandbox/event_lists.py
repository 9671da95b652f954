"""What a client can look up of events: pages of records, and the records of one id.

A page's token stands for the place where the next page begins, and for the filters: a client need not repeat
them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from .catalog import is_same_account
from .paging import BadQuery, Tokens, page_size
from .record_view import event_with_status, pipeline_info
from .records import ListOrder, place_of
from .scanning import first_wanted
from .statuses import GROUPS, STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ledger import BillingLedger
    from .records import Place, Record
    from .switches import Switches

MAX_PAGE = 50  # records; the default as well


@attrs.frozen
class _Page:
    """After which place of which order a page begins, and which records are on it."""

    order: ListOrder
    after: Place | None = None
    statuses: frozenset[str] = STATUSES
    account_id: str | None = None
    schema_name: str | None = None


class EventLists:
    """Reads the ledger for ``GET /events`` and ``GET /events/{id}``."""

    def __init__(self, ledger: BillingLedger, switches: Switches) -> None:
        self._ledger = ledger
        self._switches = switches
        self._tokens: Tokens[_Page] = Tokens()

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the body of ``GET /events``. Raises ``BadQuery``."""
        size = page_size(query, MAX_PAGE, MAX_PAGE)
        page = self._tokens.start(query["nextToken"]) if "nextToken" in query else self._first(query)
        is_wanted = partial(self._is_wanted, page)
        records = await first_wanted(self._ledger, is_wanted, size + 1, page.order, page.after)
        shown, has_more = records[:size], len(records) > size
        body: dict[str, Any] = {}
        if shown or self._switches.empty_list == "list":
            body["events"] = [self._with_status(record) for record in shown]
        if has_more or (self._switches.trailing_page and shown):
            body["nextToken"] = self._tokens.issue(attrs.evolve(page, after=place_of(shown[-1])))
        elif self._switches.null_token:
            body["nextToken"] = None
        return body

    def single(self, event_id: str) -> dict[str, Any]:
        """Return the body of ``GET /events/{id}``: every record of the id."""
        records = self._ledger.copies(event_id)
        return {
            "events": [
                {**self._with_status(record), "eventPipelineInfo": self._pipeline_info(record)}
                for record in (reversed(records) if self._switches.newest_record_first else records)
                if self._is_visible(record)
            ]
        }

    def _first(self, query: Mapping[str, str]) -> _Page:
        status = query.get("status")
        if status is None:
            statuses = STATUSES
        elif status in STATUSES:
            statuses = frozenset((status,))
        elif status in GROUPS:
            statuses = GROUPS[status]
        else:
            raise BadQuery("status: is not known")
        order = self._switches.list_order
        return _Page(order, None, statuses, query.get("account_id"), query.get("schema_name"))

    def _is_wanted(self, page: _Page, record: Record) -> bool:
        event = record.event
        return (
            page.schema_name in (None, event["schemaName"])
            and self._is_for(event["accountId"], page.account_id)
            and self._ledger.status(record) in page.statuses
            and self._is_visible(record)
        )

    def _is_for(self, name: str, account_id: str | None) -> bool:
        """Whether an event with this account is of the one asked for, whichever of its names each uses."""
        if account_id is None or account_id == name:
            return True
        accounts = self._switches.accounts
        return accounts is not None and is_same_account(accounts, name, account_id)

    def _is_visible(self, record: Record) -> bool:
        return self._switches.clock() >= record.created + self._switches.events_lag

    def _with_status(self, record: Record) -> dict[str, Any]:
        return event_with_status(record, self._ledger.status(record), self._switches)

    def _pipeline_info(self, record: Record) -> dict[str, Any]:
        return pipeline_info(record, self._ledger.status(record), self._switches)
