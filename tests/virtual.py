"""A pipeline in virtual time, without threads: what would wait moves the clock, what would send is scripted.

No flusher can be started, so ``flush`` and ``close`` do a flusher's work on the test's own thread, in the
order in which it would be done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.bell import Bell
from togai_shipper._engine.buffer import Wait
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode, fresh_id
from togai_shipper._pipeline import Pipeline
from togai_shipper._secret import Secret

OK = Reply(202, b'{"success": true}')
WALL = 1_790_000_000.0  # epoch seconds at which the clock was 0
TOO_LONG = 10_000  # waits in a row, none of which the bell ended: the test would never end


class Clock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class VirtualBell(Bell):
    """Waiting takes no time but the clock's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._waits = 0

    def wait(self, rings: int, timeout: float | None) -> None:
        self._waits += 1
        assert timeout is not None, "would wait for ever"
        assert self._waits < TOO_LONG, "would never end"
        if self.rings == rings:
            self._clock.now += timeout


@attrs.frozen
class Sent:
    """A request as the server saw it."""

    at: float
    path: str
    ids: tuple[str, ...]
    time_left: float
    key: str
    size: int


class Server:
    """Togai as a function: a scripted reply for each request, then 202."""

    def __init__(self, clock: Clock, replies: Iterable[Any] = (), latency: float = 0.01) -> None:
        self._clock = clock
        self.replies = list(replies)
        self.answer: Callable[[Sent], Reply | BaseException] = lambda sent: OK
        self.latency = latency
        self.look_up_answer: Callable[[], Reply] = lambda: Reply(200, b"{}")  # which says no time
        self.looked_up: list[float] = []  # when
        self.asked_for: list[str] = []  # the events that were looked up by their ids
        self.sent: list[Sent] = []
        self.metered: dict[str, int] = {}
        self.seen: dict[str, Any] = {}

    def send(
        self,
        batch: Batch,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Reply:
        if not may_begin():
            return Reply(None, sent=False)
        path, body = batch.path, batch.body()
        content = json.loads(body)
        events = content["events"] if path == "/ingestBatch" else [content["event"]]
        ids = tuple(event["id"] for event in events)
        for event_id, event in zip(ids, events, strict=True):
            assert self.seen.setdefault(event_id, event) == event, "an event never changes"
        sent = Sent(self._clock(), path, ids, time_left, key.reveal(), len(body))
        self.sent.append(sent)
        self._clock.now += self.latency
        reply = self.replies.pop(0) if self.replies else self.answer(sent)
        if callable(reply):
            reply = reply(sent)
        if isinstance(reply, BaseException):
            raise reply
        if reply.status == 202:
            self.take(ids)
        return reply

    def look_up(
        self,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
        event_id: str | None = None,
    ) -> Reply:
        if not may_begin():
            return Reply(None, sent=False)
        self.looked_up.append(self._clock())
        if event_id is not None:
            self.asked_for.append(event_id)
        self._clock.now += min(self.latency, time_left)
        return self.look_up_answer()

    def take(self, ids: Iterable[str]) -> None:
        """Meter each id once."""
        for event_id in ids:
            self.metered.setdefault(event_id, 1)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def paths(self) -> list[tuple[str, int]]:
        return [(sent.path, len(sent.ids)) for sent in self.sent]


@attrs.define
class World:
    """A pipeline, its clock and its server."""

    clock: Clock
    server: Server
    pipeline: Pipeline

    def put(self, count: int = 1, size: int = 0) -> list[str]:
        ids = [fresh_id() for _ in range(count)]
        for event_id in ids:
            assert self.put_one(event_id, size) is None
        return ids

    def take(self) -> Batch:
        """The batch that a flusher is given next, once it is due."""
        while isinstance(work := self.pipeline.line.take(), Wait):
            assert work.seconds is not None, "would wait for ever"
            self.clock.now += work.seconds
        assert work is not None, "there is nothing to be sent"
        return work

    def until_probe(self) -> None:
        """Let time pass until the parked line may be probed."""
        with self.pipeline.lock:
            self.clock.now += self.pipeline.gate.parking.probe_wait(self.clock.now) or 0.0

    def put_one(self, event_id: str, size: int = 0) -> str | None:
        filler = {f"d{n}": "x" * 200 for n in range(size // 200)}
        return self.pipeline.put(
            encode("api_call", "acme", {"n": 1}, filler, "2026-01-01T00:00:00.000Z", event_id)
        )


def world(replies: Iterable[Any] = (), **options: Any) -> World:
    """A world in which nothing has happened; ``random`` is 0.5 each time.

    ``link``: makes of the clock what opens a link to a relay.
    """
    clock = Clock()
    server = Server(clock, replies)
    runtime = Runtime(
        clock=clock,
        wall=options.pop("wall", lambda: WALL + clock.now),
        random=options.pop("random", lambda: 0.5),
        bell=lambda: VirtualBell(clock),
        start_thread=options.pop("thread", None),
        boot=options.pop("boot", lambda: "the same boot"),
    )
    link = options.pop("link", lambda _: None)(clock)
    options = {"api_key": "secret", "base_url": "http://127.0.0.1:1", **options}
    connect: Any = lambda _: server  # noqa: E731  it sends, and closes
    return World(clock, server, Pipeline(Config.load({}, **options), runtime, connect, link))
