"""The lists of what the organisation has: ``GET /event_schema`` and ``GET /accounts``, in pages.

They list the schemas and accounts that are given to the sandbox. Where none are given, every one exists, and
the list is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from .catalog import account_objects, schema_objects
from .paging import BadQuery, Tokens, page_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .switches import Switches

MAX_PAGE = 100  # objects
USUAL_PAGE = 20  # objects

_SCHEMA_STATUSES = ("ACTIVE", "INACTIVE")
_ACCOUNT_FILTERS = {"account_id": "id", "customer_id": "customerId", "status": "status"}


@attrs.frozen
class _Page:
    """Where a page begins, how many objects it holds, and which: those with these values in these fields."""

    size: int
    start: int = 0
    fields: tuple[tuple[str, str], ...] = ()


class Organisation:
    """Lists schemas and accounts as Togai does."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._tokens: Tokens[tuple[str, _Page]] = Tokens()

    def event_schemas(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the body of ``GET /event_schema``. Raises ``BadQuery``."""
        if query.get("status", _SCHEMA_STATUSES[0]) not in _SCHEMA_STATUSES:
            raise BadQuery("status: must be ACTIVE or INACTIVE")
        return self._page("event_schema", schema_objects(self._switches.schemas), query, {"status": "status"})

    def accounts(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the body of ``GET /accounts``. Raises ``BadQuery``."""
        return self._page("accounts", account_objects(self._switches.accounts), query, _ACCOUNT_FILTERS)

    def _page(
        self,
        kind: str,
        objects: Sequence[Mapping[str, Any]],
        query: Mapping[str, str],
        filters: Mapping[str, str],
    ) -> dict[str, Any]:
        page = self._asked(kind, query, filters)
        wanted = [each for each in objects if all(each.get(name) == value for name, value in page.fields)]
        end = page.start + page.size
        shown = wanted[page.start : end]
        body: dict[str, Any] = {"data": shown, "context": {"pageSize": page.size}}
        if end < len(wanted) or (self._switches.trailing_page and shown):
            body["nextToken"] = self._tokens.issue((kind, attrs.evolve(page, start=end)))
        elif self._switches.null_token:
            body["nextToken"] = None
        return body

    def _asked(self, kind: str, query: Mapping[str, str], filters: Mapping[str, str]) -> _Page:
        if "nextToken" not in query:
            fields = tuple((field, query[name]) for name, field in filters.items() if name in query)
            return _Page(page_size(query, USUAL_PAGE, MAX_PAGE), 0, fields)
        of, page = self._tokens.start(query["nextToken"])
        if of != kind:
            raise BadQuery("nextToken: is of another list")
        return page
