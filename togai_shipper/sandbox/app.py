"""The endpoints, and what all of them do: note the request, check its key, keep its quota.

Everything here runs in the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import contract, replies, wire
from .fault_replies import Reply
from .ingestion import WRAPPERS, Ingestion
from .journal import Journal, NotedRequest
from .ledger import BillingLedger
from .lookup import BadQuery, Lookup
from .quota import Quotas
from .script import Script

if TYPE_CHECKING:
    from .credentials import Credentials
    from .switches import Switches

_Responder: TypeAlias = Callable[
    [NotedRequest, Any], Awaitable[Reply]
]  # takes the noted request, and what its body holds


class App:
    """The application behind the sandbox's port; ``asgi`` is what the server serves."""

    def __init__(self, switches: Switches, credentials: Credentials) -> None:
        self.ledger = BillingLedger(switches)
        self.journal = Journal(switches)
        self.script = Script()
        self._switches = switches
        self._credentials = credentials
        self._quotas = Quotas(switches)
        self._lookup = Lookup(self.ledger, switches)
        self._ingestion = Ingestion(switches, self.ledger, self.journal, self.script)
        self.asgi = Starlette(
            routes=[
                Route("/ingest", self._ingest, methods=["POST"]),
                Route("/ingestBatch", self._ingest, methods=["POST"]),
                Route("/events", self._events, methods=["GET"]),
                Route("/events/{event_id:path}", self._event, methods=["GET"]),
                Route("/authenticate", self._authenticate, methods=["POST"]),
            ],
            exception_handlers={404: self._nowhere, 405: self._nowhere},
        )
        self.asgi.router.redirect_slashes = False

    # --- what all endpoints do ---

    async def _respond(self, request: Request, answer: _Responder) -> Reply:
        """Note the request, let ``answer`` reply to it, and note the reply."""
        at = self.journal.now()
        try:
            body = await request.body()
        except ClientDisconnect:
            return wire.Unanswered()
        path = request.scope["path"]
        payload = contract.parse(body) if path in WRAPPERS else None
        events = contract.events_in(payload, WRAPPERS.get(path))
        noted = self.journal.open(
            at=at,
            method=request.method,
            path=path,
            headers=request.headers,
            events=events,
            ids=tuple(event["id"] for event in events if isinstance(event.get("id"), str)),
            size=len(body),
        )
        try:
            reply = await answer(noted, payload)
        except Exception as failure:  # the sandbox's own, or of a test's callback; stop() raises it
            self.journal.fail(failure)
            reply = replies.error(500, "the sandbox, or a callback given to it, failed")
        if isinstance(reply, Response):
            self._add_headers(reply)
        has_left = request.state.transport.is_closing()
        self.journal.close(noted, None if has_left else reply.status_code)
        return reply

    def _add_headers(self, reply: Response) -> None:
        reply.headers.setdefault("date", formatdate(self._switches.clock(), usegmt=True))
        for name, value in self._switches.headers.items():
            reply.headers.setdefault(name, value)

    def _is_authorized(self, request: Request) -> bool:
        return self._credentials.admits(request.headers.getlist("authorization"))

    def _over_quota(self, request: Request, endpoint: str | None) -> Response | None:
        if not self._is_authorized(request):
            source = request.client.host if request.client is not None else ""
            if self._quotas.admit_stranger(source):
                return None
            return replies.error(429, "too many requests without a valid credential")
        return None if self._quotas.admit(endpoint) else replies.error(429, "too many requests")

    # --- the endpoints ---

    async def _ingest(self, request: Request) -> Reply:
        async def answer(noted: NotedRequest, payload: Any) -> Reply:
            refusal = self._over_quota(request, noted.received.path)
            return refusal or await self._ingestion.answer(
                noted, payload, request.state.signals, is_authorized=self._is_authorized(request)
            )

        return await self._respond(request, answer)

    async def _elsewhere(self, request: Request, answer: Callable[[], Response]) -> Reply:
        async def admitted(_exchange: NotedRequest, _payload: Any) -> Reply:
            refusal = self._over_quota(request, None)
            if refusal is None and not self._is_authorized(request):
                refusal = replies.unauthorized()
            return refusal or answer()

        return await self._respond(request, admitted)

    async def _events(self, request: Request) -> Reply:
        def answer() -> Response:
            try:
                return replies.json_reply(200, self._lookup.page(request.query_params))
            except BadQuery as error:
                return replies.error(422, str(error))

        return await self._elsewhere(request, answer)

    async def _event(self, request: Request) -> Reply:
        def answer() -> Response:
            event_id = request.path_params["event_id"]
            if not 1 <= len(event_id) <= contract.MAX_LOOKUP_ID:
                return replies.error(400, f"event_id: must be 1 to {contract.MAX_LOOKUP_ID} long")
            found = self._lookup.single(event_id)
            if found["events"] or self._switches.unknown_event == 200:  # noqa: PLR2004  a status
                return replies.json_reply(200, found)
            return replies.error(self._switches.unknown_event, "event is not known")

        return await self._elsewhere(request, answer)

    async def _authenticate(self, request: Request) -> Reply:
        def answer() -> Response:
            token = self._credentials.trade(request.headers.getlist("authorization"))
            return replies.json_reply(200, {"token": token})

        return await self._elsewhere(request, answer)

    async def _nowhere(self, request: Request, error: Any) -> Any:  # an HTTPException, and a Reply
        async def answer(_exchange: NotedRequest, _payload: Any) -> Reply:
            return replies.error(error.status_code, f"{error.detail}: no such endpoint")

        return await self._respond(request, answer)
