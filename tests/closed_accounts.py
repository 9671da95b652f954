"""A Togai that has closed some accounts, and a pipeline that may have learnt so. Virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from virtual import OK, Sent, World, world

from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode, fresh_id


@attrs.define
class Accounts:
    """A world whose Togai has closed some accounts."""

    world: World
    closed: set[str] = attrs.field(factory=lambda: {"closed"})
    names: bool = False  # it names those events in a 207, instead of refusing the batch
    accounts: dict[str, str] = attrs.field(factory=dict)  # by id
    refused: set[str] = attrs.field(factory=set)  # ids refused alone
    taken_at: dict[str, float] = attrs.field(factory=dict)

    def put(self, account: str, count: int = 1, schema: str = "call") -> list[str]:
        ids = [fresh_id() for _ in range(count)]
        for event_id in ids:
            event = encode(schema, account, {"n": 1}, {}, "2026-01-01T00:00:00.000Z", event_id)
            self.accounts[event_id] = account
            if self.world.pipeline.put(event) is not None:
                del self.accounts[event_id]
        return [event_id for event_id in ids if event_id in self.accounts]

    def answer(self, sent: Sent) -> Reply:
        bad = [event_id for event_id in sent.ids if self.accounts[event_id] in self.closed]
        if bad and len(sent.ids) == 1:
            self.refused.update(bad)
        if bad and (len(sent.ids) == 1 or not self.names):
            return Reply(400, b'{"message": "the account is closed"}')
        good = [event_id for event_id in sent.ids if event_id not in bad]
        self.world.server.take(good)
        self.taken_at.update(dict.fromkeys(good, self.world.clock.now))
        items = [{"message": "closed", "eventPayload": {"id": event_id}} for event_id in bad]
        return Reply(207, json.dumps({"errors": items}).encode()) if bad else OK

    @property
    def stats(self) -> Any:
        return self.world.pipeline.health.stats()


def closed_account(*, known: bool = True, make: Callable[..., World] = world, **options: Any) -> Accounts:
    """A world in which one account is closed; ``known``: which the shipper has learnt."""
    options = {"batch_size": 10, "rate_limit": 45, "close_timeout": 60, **options}
    w = Accounts(make(**options))
    w.world.server.answer = w.answer
    if known:
        w.put("open", 200)
        w.world.pipeline.flush(60)
        for _ in range(8):
            w.put("open", 19)
            w.put("closed", 1)
            w.world.pipeline.flush(60)
        assert w.world.pipeline.buffer.causes.known
    return w
