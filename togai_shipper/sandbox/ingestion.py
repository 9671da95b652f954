"""One request to ``/ingest`` or ``/ingestBatch``, judged and answered.

First comes what the script has for it. Where that is nothing, it is judged as Togai would: key, size, contract,
poison, known ids, in this order; what survives is taken, and answered 202. Runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import attrs
from starlette.responses import Response

from . import contract, replies, wire
from .contract import Breach
from .faults import Fault, Hold, Ingest, Partial, Slow, picks
from .journal import Exchange, Journal, Received
from .ledger import Ledger
from .script import Script
from .staging import Reply, stage
from .switches import Switches

WRAPPERS = {"/ingest": "event", "/ingestBatch": "events"}

_ACCEPTED, _PARTIAL = 202, 207
_DUPLICATE = "duplicate event id: it was ingested before"


@attrs.define(eq=False)
class Post:
    """A request for ingestion, judged.

    Attributes:
        events: what is in it.
        refusal: why Togai takes none of them.
        breaches: otherwise, which of them are invalid, and why; by index.
        taken: how many of them, from the front, are done with.

    """

    events: list[dict[str, Any]]
    refusal: Response | None = None
    breaches: Mapping[int, str] = attrs.field(factory=dict)
    taken: int = 0


class Ingestion:
    """Both ingestion endpoints."""

    def __init__(self, switches: Switches, ledger: Ledger, journal: Journal, script: Script) -> None:
        self._switches = switches
        self._ledger = ledger
        self._journal = journal
        self._script = script

    async def answer(
        self, exchange: Exchange, payload: Any, signals: wire.Signals, *, is_authorized: bool
    ) -> Reply:
        """The reply, when it is time for it; ``payload`` is what the body says, or the ``Breach`` that it is."""
        received = exchange.received
        fault = self._script.next(received)
        self._journal.meet(exchange, fault)
        self._ledger.receive(received.ids)
        post = (
            self._judge(received, payload) if is_authorized else Post(received.events, replies.unauthorized())
        )
        return await self._suffer(fault, post, signals)

    def _take(self, post: Post, end: int, but: Collection[int] = ()) -> None:
        """Take the first ``end`` events: none twice, none that is invalid, none of a request that is refused."""
        if post.refusal is None:
            self._ledger.take(
                post.events[index]
                for index in range(post.taken, end)
                if index not in post.breaches and index not in but
            )
            post.taken = max(post.taken, end)
            self._journal.note()

    # --- what goes wrong on purpose ---

    async def _suffer(self, fault: Fault | None, post: Post, signals: wire.Signals) -> Reply:
        match fault:
            case None:
                return self._behave(post)
            case Slow():
                self._take_share(post, fault.ingest)
                await _wait(signals.stopping, fault.seconds)
                return await self._resume(fault.then, post, signals)
            case Hold():
                self._take_share(post, fault.ingest)
                await signals.released.wait()
                return await self._resume(fault.then, post, signals)
            case Partial():
                bad = [i for i, event in enumerate(post.events) if picks(fault.bad, i, event)]
                return self._part(post, dict.fromkeys(bad, fault.message), fault)
            case _:
                self._take_share(post, fault.ingest)
                return stage(fault)

    async def _resume(self, fault: Fault | None, post: Post, signals: wire.Signals) -> Reply:
        return wire.Unanswered() if signals.stopping.is_set() else await self._suffer(fault, post, signals)

    def _take_share(self, post: Post, ingest: Ingest | None) -> None:
        size = len(post.events)
        self._take(post, {None: 0, "none": 0, "half": size // 2, "all": size}[ingest])

    def _part(self, post: Post, bad: Mapping[int, str], manner: Partial) -> Response:
        """Take all but the bad ones, and say so."""
        self._take(post, len(post.events), bad)
        return replies.partial(manner, [(post.events[index], why) for index, why in bad.items()])

    # --- what Togai does ---

    def _judge(self, received: Received, payload: Any) -> Post:
        switches, wrapper = self._switches, WRAPPERS[received.path]
        if switches.max_body_bytes is not None and received.size > switches.max_body_bytes:
            why = f"body: must be at most {switches.max_body_bytes} bytes"
            return _refused(received, switches.over_size_status, why)
        if switches.media_status is not None and not _is_plain_json(received.headers):
            why = "content-type: must be application/json, without content-encoding"
            return _refused(received, switches.media_status, why)
        try:
            events = contract.unwrap(payload, wrapper)
        except Breach as breach:
            return _refused(received, 400, str(breach))
        if len(events) > switches.batch_limit:
            why = f"events: must hold at most {switches.batch_limit} events"
            return _refused(received, switches.over_limit_status, why)
        breaches = self._breaches(events, wrapper)
        if breaches and (switches.invalid_batch == "refuse" or wrapper == "event"):
            return _refused(received, 400, next(iter(breaches.values())))
        return Post(events, breaches=breaches)

    def _breaches(self, events: list[Any], wrapper: str) -> dict[int, str]:
        breaches = {}
        for index, event in enumerate(events):
            try:
                contract.check(event, wrapper if wrapper == "event" else f"events[{index}]", self._switches)
            except Breach as breach:
                breaches[index] = str(breach)
        return breaches

    def _behave(self, post: Post) -> Response:
        if post.refusal is not None:
            return post.refusal
        switches, manner = self._switches, Partial(shape=self._switches.partial_shape)
        if post.breaches and switches.invalid_batch == "prefix":
            first, why = next(iter(post.breaches.items()))
            self._take(post, first)
            return replies.error(400, why)
        if post.breaches:
            return self._part(post, post.breaches, manner)
        if (poisoned := self._script.poisoned(post.events)) is not None:
            poison, carriers = poisoned
            if poison.status == _PARTIAL:
                return self._part(post, dict.fromkeys(carriers, poison.message), manner)
            return replies.error(poison.status, poison.message)
        repeats: dict[int, str] = {}
        if switches.duplicate_reply != _ACCEPTED:
            fresh = post.events[post.taken :]
            repeats = {post.taken + index: _DUPLICATE for index in self._ledger.repeats(fresh)}
        if repeats and switches.duplicate_reply != _PARTIAL:
            return replies.error(switches.duplicate_reply, _DUPLICATE)
        self._take(post, len(post.events))
        if repeats:
            return self._part(post, repeats, manner)
        return replies.success()


def _refused(received: Received, status: int, why: str) -> Post:
    return Post(received.events, replies.error(status, why))


def _is_plain_json(headers: Mapping[str, str]) -> bool:
    media, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    encoding = headers.get("content-encoding", "identity")
    return media.strip().lower() == "application/json" and charset in {"", "utf-8"} and encoding == "identity"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
