"""The page that shows what comes, and its routes: what it is made of, its stream, and its buttons.

All of it runs in the event loop's thread. It reads snapshots, a few times a second, however much comes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .fault_desk import BUTTONS, FaultDesk
from .feed import Feed, exported, opened

if TYPE_CHECKING:
    from starlette.requests import Request

    from .journal import Journal
    from .ledger import BillingLedger
    from .switches import Switches

_EVERY = 0.25  # seconds between two updates
_MOST_ROWS = 100  # of the bill
_OWN_HEADER = "x-sandbox-page"  # another page can send it with nobody's leave but ours
_KINDS = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Page:
    """Serves the page."""

    def __init__(self, ledger: BillingLedger, journal: Journal, desk: FaultDesk, switches: Switches) -> None:
        self._ledger = ledger
        self._journal = journal
        self._desk = desk
        self._switches = switches
        self._cleared = 0  # how often

    @property
    def routes(self) -> list[Route]:
        """Where it is served."""
        return [
            Route("/", self._file("page.html"), methods=["GET"]),
            Route("/page/page.css", self._file("page.css"), methods=["GET"]),
            Route("/page/page.js", self._file("page.js"), methods=["GET"]),
            Route("/page/stream", self._stream, methods=["GET"]),
            Route("/page/event", self._event, methods=["GET"]),
            Route("/page/export", self._export, methods=["GET"]),
            Route("/page/faults", self._faults, methods=["POST"]),
            Route("/page/clear", self._clear, methods=["POST"]),
        ]

    def _file(self, name: str) -> Any:  # what Starlette takes as an endpoint
        async def serve(_request: Request) -> Response:
            content = resources.files(__package__).joinpath("static", name).read_bytes()
            return Response(content, headers=_HEADERS, media_type=_KINDS[name])

        return serve

    # --- what it shows ---

    async def _stream(self, request: Request) -> Response:
        updates = self._updates(Feed(request.query_params.get("q", "")))
        return StreamingResponse(updates, headers=_HEADERS, media_type="text/event-stream")

    async def _updates(self, feed: Feed) -> AsyncIterator[str]:
        """Yield what is new, or a comment; the server ends it when the viewer has left, or it stops."""
        told = ""
        while True:
            update = attrs.asdict(feed.update(self._journal.requests, self._wall()))
            state = json.dumps(self._state())
            is_new = update["requests"] or update["events"] or state != told
            yield f'data: {{"update": {json.dumps(update)}, "state": {state}}}\n\n' if is_new else ":\n\n"
            told = state
            await asyncio.sleep(_EVERY)

    def _state(self) -> dict[str, Any]:
        bill = self._ledger.bill
        return {
            "totals": attrs.asdict(self._ledger.totals),
            "requests": self._journal.count,
            "bill": [attrs.asdict(row) for row in bill[:_MOST_ROWS]],
            "bill_left_out": max(0, len(bill) - _MOST_ROWS),
            "faults": self._desk.state,
            "buttons": [{"name": each.name, "label": each.label, "watch": each.watch} for each in BUTTONS],
            "cleared": self._cleared,
        }

    async def _event(self, request: Request) -> Response:
        query = request.query_params
        try:
            number, index = int(query["request"]), int(query["index"])
        except (KeyError, ValueError):
            return _said(400, "request and index: must be numbers")
        found = opened(self._journal.requests, number, index, self._wall())
        if found is None:
            return _said(404, "this event is no longer kept")
        known = self._ledger.get(found["id"])
        counts = {"receipts": known.receipts, "accepted": known.accepted, "metered": known.metered}
        return _json(200, found | counts)

    async def _export(self, request: Request) -> Response:
        lines = exported(self._journal.requests, request.query_params.get("q", ""))
        name = {"content-disposition": 'attachment; filename="sandbox.ndjson"'}
        return StreamingResponse(_gently(lines), headers=_HEADERS | name, media_type="application/x-ndjson")

    def _wall(self) -> float:
        return self._switches.clock() - self._journal.now()

    # --- what it does ---

    async def _faults(self, request: Request) -> Response:
        wish = None
        if _OWN_HEADER not in request.headers:
            return _said(403, f"needs the header {_OWN_HEADER}")
        body = await request.body()
        with suppress(ValueError, RecursionError):
            wish = json.loads(body)
        return _said(200, "done") if self._desk.set(wish) else _said(400, "there is no such fault")

    async def _clear(self, request: Request) -> Response:
        if _OWN_HEADER not in request.headers:
            return _said(403, f"needs the header {_OWN_HEADER}")
        self._ledger.clear()
        self._journal.forget()
        self._cleared += 1
        return _said(200, "done")


async def _gently(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the lines so that other requests have their turn between them."""
    for number, line in enumerate(lines):
        if number % 100 == 0:
            await asyncio.sleep(0)
        yield line


def _said(status: int, text: str) -> Response:
    return _json(status, {"message": text})


def _json(status: int, value: Any) -> Response:
    return Response(json.dumps(value), status, _HEADERS, "application/json")
