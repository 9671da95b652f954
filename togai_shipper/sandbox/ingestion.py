"""One request to ``/ingest`` or ``/ingestBatch``: its events are judged and accepted, and a reply is made.

If the script has a fault for the request, the fault says what happens. Else the request is judged as Togai
would: by its key, size, contract, poison and known ids, in this order; what passes is accepted, and the reply
is a 202. All of it runs in the event loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from . import contract, replies, wire
from .contract import Breach
from .event_outcome import refused
from .fault_replies import Reply, reply_of
from .faults import Fault, Hold, Ingest, Partial, Slow, picks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.responses import Response

    from .journal import Journal, NotedRequest
    from .ledger import BillingLedger
    from .script import Script
    from .switches import Switches

WRAPPERS = {"/ingest": "event", "/ingestBatch": "events"}

_ACCEPTED, _PARTIAL, _INVALID, _TOO_LARGE = 202, 207, 400, 422
_DUPLICATE = "duplicate event id: it was ingested before"


@attrs.define(eq=False)
class JudgedRequest:
    """A request for ingestion, and what Togai would make of it.

    Attributes:
        noted: where it is noted what becomes of each event.
        events: the events in it.
        refusal: the reply, if Togai would accept none of them.
        accepted: how many of them, from the front, have been accepted or left out already.

    """

    noted: NotedRequest
    events: list[dict[str, Any]]
    refusal: Response | None = None
    accepted: int = 0


class Ingestion:
    """Both ingestion endpoints."""

    def __init__(self, switches: Switches, ledger: BillingLedger, journal: Journal, script: Script) -> None:
        self._switches = switches
        self._ledger = ledger
        self._journal = journal
        self._script = script

    async def answer(
        self, noted: NotedRequest, payload: Any, signals: wire.Signals, *, is_authorized: bool
    ) -> Reply:
        """Return the reply when it is time for it; ``payload`` is what the body says, or its ``Breach``."""
        received = noted.received
        fault = self._script.next(received)
        self._journal.meet(noted, fault)
        judged = (
            self._judge(noted, payload)
            if is_authorized
            else JudgedRequest(noted, received.events, replies.unauthorized())
        )
        return await self._meet(fault, judged, signals)

    def _accept(self, judged: JudgedRequest, end: int, but: Collection[int] = ()) -> None:
        """Accept the first ``end`` events, except ``but``: none twice, and none of a refused request."""
        if judged.refusal is None:
            left = [index for index in range(judged.accepted, end) if index not in but]
            outcomes = self._ledger.accept(judged.events[index] for index in left)
            judged.accepted = max(judged.accepted, end)
            self._journal.settle(judged.noted, zip(left, outcomes, strict=True))

    # --- what goes wrong on purpose ---

    async def _meet(self, fault: Fault | None, judged: JudgedRequest, signals: wire.Signals) -> Reply:
        match fault:
            case None:
                return self._reply_as_togai(judged)
            case Slow():
                self._accept_share(judged, fault.ingest)
                await signals.wait(fault.seconds)
                return await self._resume(fault.then, judged, signals)
            case Hold():
                self._accept_share(judged, fault.ingest)
                await signals.released.wait()
                return await self._resume(fault.then, judged, signals)
            case Partial():
                bad = [i for i, event in enumerate(judged.events) if picks(fault.bad, i, event)]
                return self._accept_part(judged, dict.fromkeys(bad, fault.message), fault)
            case _:
                self._accept_share(judged, fault.ingest)
                return reply_of(fault)

    async def _resume(self, fault: Fault | None, judged: JudgedRequest, signals: wire.Signals) -> Reply:
        return wire.Unanswered() if signals.stopping.is_set() else await self._meet(fault, judged, signals)

    def _accept_share(self, judged: JudgedRequest, ingest: Ingest | None) -> None:
        size = len(judged.events)
        self._accept(judged, {None: 0, "none": 0, "half": size // 2, "all": size}[ingest])

    def _accept_part(
        self,
        judged: JudgedRequest,
        bad: Mapping[int, str],
        fault: Partial,
        repeats: Mapping[int, str] | None = None,
    ) -> Response:
        """Accept all but the bad ones, and name these; name repeats as well, though they are accepted."""
        first = judged.accepted  # those before it are accepted by now, though they be bad
        self._journal.settle(
            judged.noted, ((index, refused(why)) for index, why in bad.items() if index >= first)
        )
        self._accept(judged, len(judged.events), bad)
        named = sorted((dict(repeats or {}) | dict(bad)).items())
        return replies.partial(fault, [(judged.events[index], why) for index, why in named])

    # --- what Togai would do ---

    def _judge(self, noted: NotedRequest, payload: Any) -> JudgedRequest:
        received, switches = noted.received, self._switches
        wrapper = WRAPPERS[received.path]
        if switches.max_body_bytes is not None and received.size > switches.max_body_bytes:
            why = f"body: must be at most {switches.max_body_bytes} bytes"
            return _refused(noted, _TOO_LARGE, why)
        if not contract.is_plain_json(received.headers):
            return _refused(noted, *contract.NOT_JSON)
        try:
            events = contract.unwrap(payload, wrapper, switches.batch_limit)
            for index, event in enumerate(events):
                contract.check(event, wrapper if wrapper == "event" else f"events[{index}]")
        except Breach as breach:
            return _refused(noted, _INVALID, str(breach))
        return JudgedRequest(noted, events)

    def _reply_as_togai(self, judged: JudgedRequest) -> Response:
        if judged.refusal is not None:
            return judged.refusal
        switches = self._switches
        bad: dict[int, str] = {}
        for poison in self._script.poisons:
            carriers = [index for index, event in enumerate(judged.events) if poison.is_in(event)]
            if carriers and poison.status != _PARTIAL:
                return replies.error(poison.status, poison.message)
            bad |= dict.fromkeys(carriers, poison.message)
        repeats = self._repeats(judged, bad) if switches.duplicate_reply != _ACCEPTED else {}
        if repeats and switches.duplicate_reply != _PARTIAL:
            return replies.error(switches.duplicate_reply, _DUPLICATE)
        if bad or repeats:
            return self._accept_part(judged, bad, Partial(switches.partial_shape), repeats)
        self._accept(judged, len(judged.events))
        return replies.success()

    def _repeats(self, judged: JudgedRequest, bad: Mapping[int, str]) -> dict[int, str]:
        fresh = [index for index in range(judged.accepted, len(judged.events)) if index not in bad]
        repeated = self._ledger.repeats([judged.events[index] for index in fresh])
        return {fresh[place]: _DUPLICATE for place in repeated}


def _refused(noted: NotedRequest, status: int, why: str) -> JudgedRequest:
    return JudgedRequest(noted, noted.received.events, replies.error(status, why))
