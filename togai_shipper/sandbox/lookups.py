"""The endpoints that read what the ledger has, or correct it: from a request to the reply.

Each has its own status for a query that is wrong, since Togai documents one for each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from . import contract, replies
from .contract import Breach
from .correction import Corrections
from .event_lists import EventLists
from .metrics import Metrics, NotServed
from .organisation import Organisation
from .paging import BadQuery

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .ledger import BillingLedger
    from .switches import Switches

#: Takes a request, and what its body says; ``None`` if it has none.
Answer: TypeAlias = Callable[["Request", Any], Awaitable["Response"]]

_OK, _BAD, _UNREADABLE, _NOT_SERVED = 200, 400, 422, 501


@attrs.frozen
class Endpoint:
    """One of them.

    Attributes:
        path: where it is.
        method: of its requests.
        answer: makes the reply.
        right: what a key must be allowed to do there.

    """

    path: str
    method: str
    answer: Answer
    right: str


class Lookups:
    """Answers look-ups and corrections."""

    def __init__(self, ledger: BillingLedger, switches: Switches) -> None:
        self._switches = switches
        self._events = EventLists(ledger, switches)
        self._metrics = Metrics(ledger, switches)
        self._organisation = Organisation(switches)
        self._corrections = Corrections(ledger, switches)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them; the first that fits a path answers."""
        return (
            Endpoint("/events", "GET", self._list, "list events"),
            Endpoint("/events/correction", "POST", self._correct, "correct events"),
            Endpoint("/events/{event_id:path}", "GET", self._single, "get events"),
            Endpoint("/metrics", "POST", self._count, "get metrics"),
            Endpoint("/event_schema", "GET", self._schemas, "list event schemas"),
            Endpoint("/accounts", "GET", self._accounts, "list accounts"),
        )

    # --- events ---

    async def _list(self, request: Request, _payload: Any) -> Response:
        try:
            page = await self._events.page(request.query_params)
        except BadQuery as error:
            return replies.error(_UNREADABLE, str(error))
        is_beyond_the_end = "nextToken" in request.query_params
        return self._found(page, is_found=bool(page.get("events")) or is_beyond_the_end)

    async def _single(self, request: Request, _payload: Any) -> Response:
        event_id = request.path_params["event_id"]
        if not 1 <= len(event_id) <= contract.MAX_LOOKUP_ID:
            return replies.error(_BAD, f"event_id: must be 1 to {contract.MAX_LOOKUP_ID} long")
        found = self._events.single(event_id)
        return self._found(found, is_found=bool(found["events"]))

    async def _correct(self, request: Request, payload: Any) -> Response:
        try:
            done = await self._corrections.answer(request.query_params, payload)
        except (BadQuery, Breach) as error:
            return replies.error(_BAD, str(error))
        return self._found(done, is_found=bool(done["data"]))

    def _found(self, body: dict[str, Any], *, is_found: bool) -> Response:
        if is_found or self._switches.unknown_event == _OK:
            return replies.json_reply(_OK, body)
        return replies.error(self._switches.unknown_event, "no event is found")

    # --- counts, schemas and accounts ---

    async def _count(self, request: Request, payload: Any) -> Response:
        if not contract.is_plain_json(request.headers):
            return replies.error(*contract.NOT_JSON)
        try:
            return replies.json_reply(_OK, self._metrics.answer(payload))
        except Breach as breach:
            return replies.error(_BAD, str(breach))
        except NotServed as error:
            return replies.error(_NOT_SERVED, str(error))

    async def _schemas(self, request: Request, _payload: Any) -> Response:
        return self._listed(self._organisation.event_schemas, request)

    async def _accounts(self, request: Request, _payload: Any) -> Response:
        return self._listed(self._organisation.accounts, request)

    def _listed(self, page: Callable[[Any], dict[str, Any]], request: Request) -> Response:
        try:
            return replies.json_reply(_OK, page(request.query_params))
        except BadQuery as error:
            return replies.error(_BAD, str(error))
