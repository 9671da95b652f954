"""All requests: each is noted, its key and quota are checked, and the endpoint that it is for answers.

Everything here runs in the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import contract, origin, replies, wire
from .fault_desk import FaultDesk
from .fault_replies import Reply
from .ingestion import WRAPPERS, Ingestion
from .journal import Journal, NotedRequest
from .ledger import BillingLedger
from .lookup_faults import meet
from .lookups import Lookups
from .page import Page
from .quota import Quotas
from .script import Script

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from .credentials import Credentials
    from .lookups import Endpoint
    from .switches import Switches

_PARTIAL, _FORBIDDEN = 207, 403
_WITH_BODIES = frozenset(("/metrics", "/events/correction"))  # besides those that bring events
_ANOTHER_TIME = frozenset((401, 403, 408, 425, 429))  # the same request may pass later

_Responder: TypeAlias = Callable[
    [NotedRequest, Any], Awaitable[Reply]
]  # takes the noted request, and what its body holds


def _is_final(status: int) -> bool:
    """Whether what such a reply refuses is refused for good: the same request would be refused again."""
    return status == _PARTIAL or (400 <= status < 500 and status not in _ANOTHER_TIME)  # noqa: PLR2004  client errors


class App:
    """The application behind the sandbox's port; ``asgi`` is what the server serves."""

    def __init__(self, switches: Switches, credentials: Credentials) -> None:
        self.ledger = BillingLedger(switches)
        self.journal = Journal(switches)
        self.script = Script()
        self._switches = switches
        self._credentials = credentials
        self._quotas = Quotas(switches)
        self._ingestion = Ingestion(switches, self.ledger, self.journal, self.script)
        page = Page(self.ledger, self.journal, FaultDesk(self.script, credentials), switches)
        self._starlette = Starlette(
            routes=[
                Route("/ingest", self._ingest, methods=["POST"]),
                Route("/ingestBatch", self._ingest, methods=["POST"]),
                *(
                    Route(each.path, self._lookup(each), methods=[each.method])
                    for each in Lookups(self.ledger, switches).endpoints
                ),
                Route("/authenticate", self._authenticate, methods=["POST"]),
                *page.routes,
            ],
            exception_handlers={404: self._nowhere, 405: self._nowhere},
        )
        self._starlette.router.redirect_slashes = False

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, but for one that a web page of somebody else has made."""
        why = origin.objection(scope["method"], scope["path"], Headers(scope=scope))
        answer = self._starlette if why is None else replies.error(403, why)

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("date", self._date())
            await send(message)

        await answer(scope, receive, send_dated)

    # --- what all endpoints do ---

    async def _respond(self, request: Request, answer: _Responder) -> Reply:
        """Note the request, let ``answer`` reply to it, and note the reply."""
        at = self.journal.now()
        try:
            body = await request.body()
        except ClientDisconnect:
            return wire.Unanswered()
        path = request.scope["path"]
        payload = contract.parse(body) if path in WRAPPERS or (body and path in _WITH_BODIES) else None
        events = contract.events_in(payload, WRAPPERS.get(path))
        noted = self.journal.open(
            at=at,
            method=request.method,
            path=path,
            headers=request.headers,
            events=events,
            ids=tuple(event["id"] for event in events if isinstance(event.get("id"), str)),
            size=len(body),
            query=request.url.query,
        )
        if path in WRAPPERS and request.method == "POST":
            ids, number = noted.received.ids, noted.received.number
            self.journal.join(noted, self.ledger.receive(ids, number))
        try:
            reply = await answer(noted, payload)
        except Exception as failure:  # the sandbox's own, or of a test's callback; stop() raises it
            self.journal.fail(failure)
            reply = replies.error(500, "the sandbox, or a callback given to it, failed")
        if isinstance(reply, Response):
            self._add_headers(reply)
        has_left = request.state.transport.is_closing()
        reason = reply.reason if isinstance(reply, replies.Refusal) else ""
        self.journal.close(noted, None if has_left else reply.status_code, reason)
        if reply.status_code is not None and _is_final(reply.status_code):
            self.ledger.refuse(noted.refused)
        return reply

    def _date(self) -> str:
        return formatdate(self._switches.clock(), usegmt=True)

    def _add_headers(self, reply: Response) -> None:
        reply.headers.setdefault("date", self._date())  # first: none of the others may be one
        for name, value in self._switches.headers.items():
            reply.headers.setdefault(name, value)

    def _is_authorized(self, request: Request) -> bool:
        return self._credentials.admits(request.headers.getlist("authorization"))

    def _over_quota(self, request: Request, endpoint: str | None) -> Response | None:
        source = request.client.host if request.client is not None else ""
        is_authorized = self._is_authorized(request)
        if self._quotas.is_locked_out(source) or not (is_authorized or self._quotas.admit_stranger(source)):
            status = self._switches.unauthenticated_reply
            return replies.error(status, "too many requests without a valid credential")
        if is_authorized and not self._quotas.admit(endpoint):
            return replies.error(429, "too many requests")
        return None

    # --- the endpoints ---

    async def _ingest(self, request: Request) -> Reply:
        async def answer(noted: NotedRequest, payload: Any) -> Reply:
            refusal = self._over_quota(request, noted.received.path)
            return refusal or await self._ingestion.answer(
                noted, payload, request.state.signals, is_authorized=self._is_authorized(request)
            )

        return await self._respond(request, answer)

    async def _elsewhere(self, request: Request, answer: _Responder) -> Reply:
        async def admitted(noted: NotedRequest, payload: Any) -> Reply:
            refusal = self._over_quota(request, None)
            return refusal or await answer(noted, payload)

        return await self._respond(request, admitted)

    def _lookup(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Reply]]:
        """Return what serves a look-up: it may meet a fault, needs the key, and the right."""

        async def serve(request: Request) -> Reply:
            async def answer(noted: NotedRequest, payload: Any) -> Reply:
                fault = self.script.next_lookup(noted.received)
                self.journal.meet(noted, fault)
                reply = partial(self._looked_up, endpoint, request, payload)
                return await meet(fault, reply, request.state.signals)

            return await self._elsewhere(request, answer)

        return serve

    async def _looked_up(self, endpoint: Endpoint, request: Request, payload: Any) -> Reply:
        if not self._is_authorized(request):
            return replies.unauthorized()
        if not self._switches.may_look_up:
            return replies.error(_FORBIDDEN, f"Credential does not have access to {endpoint.right}.")
        return await endpoint.answer(request, payload)

    async def _authenticate(self, request: Request) -> Reply:
        async def answer(_noted: NotedRequest, _payload: Any) -> Reply:
            if not self._is_authorized(request):
                return replies.unauthorized()
            token = self._credentials.trade(request.headers.getlist("authorization"))
            return replies.json_reply(200, {"token": token})

        return await self._elsewhere(request, answer)

    async def _nowhere(self, request: Request, error: Any) -> Any:  # an HTTPException, and a Reply
        async def answer(_exchange: NotedRequest, _payload: Any) -> Reply:
            allowed = (error.headers or {}).get("Allow")  # with a 405
            why = "no such endpoint" if allowed is None else f"only {allowed} is served here"
            reply = replies.error(error.status_code, f"{error.detail}: {why}")
            if allowed is not None:
                reply.headers["allow"] = allowed
            return reply

        return await self._respond(request, answer)
