"""Drainers in virtual time, without threads, on a relay in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from fake_relay import BASE_URL, FakeLink, FakeRelay
from virtual import WALL, Clock, Server, VirtualBell

from togai_shipper._engine.bell import Bell
from togai_shipper._engine.runtime import Runtime
from togai_shipper._event import encode, fresh_id
from togai_shipper.relay.drainer import IN_MEMORY, Drainer, load
from togai_shipper.relay.names import new_name


@attrs.define
class Drained:
    """One drainer, its link and the Togai that it shares with others."""

    clock: Clock
    server: Server
    link: FakeLink
    drainer: Drainer

    def run(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, in steps of so many seconds while nothing is to be sent; all that is due is done."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            before = self.clock.now
            self.drainer.stream.work_here()
            self.drainer.pipeline.flush(min(0.1, until - before))
            if self.clock.now == before:
                self.clock.now += step

    @property
    def stats(self) -> Any:
        return self.drainer.pipeline.health.stats()

    @property
    def sent(self) -> list[str]:
        return [event_id for sent in self.server.sent for event_id in sent.ids]


class FastBell(Bell):
    """Whoever waits for it waits a tenth of the time."""

    def wait(self, rings: int, timeout: float | None) -> None:
        super().wait(rings, None if timeout is None else timeout / 10)


def fast(wall: Callable[[], float]) -> Runtime:
    """A world of real threads in which time runs ten times as fast."""
    return Runtime(clock=lambda: time.monotonic() * 10, wall=wall, bell=FastBell)


def event(event_id: str = "") -> bytes:
    return encode("api_call", "acme", {"n": 1}, {}, "2026-01-01T00:00:00.000Z", event_id or fresh_id())


def events(*ids: str) -> list[bytes]:
    return [event(event_id) for event_id in ids]


class World:
    """A relay, and drainers on it; all of them have the same clock."""

    def __init__(self, replies: Iterable[Any] = ()) -> None:
        self.relay = FakeRelay()
        self.clock = Clock()
        self.server = Server(self.clock, replies)
        self.cut: set[int] = set()

    def drainer(self, **options: Any) -> Drained:
        link = self.relay.link(lambda: id(link) in self.cut)
        self.clock.now += 0.001  # no two of them have the same name
        made: Any = link
        new_key = options.pop("new_key", False)
        runtime = Runtime(
            clock=self.clock,
            wall=options.pop("wall", lambda: WALL + self.clock.now),
            random=lambda: 0.5,
            bell=lambda: VirtualBell(self.clock),
            start_thread=options.pop("thread", None),
        )
        in_memory = options.pop("in_memory", IN_MEMORY)
        options = {"api_key": "secret", "base_url": BASE_URL, **options}
        connect: Any = lambda _: self.server  # noqa: E731  it sends, and closes
        drainer = Drainer(
            attrs.evolve(load({}, **options), max_queue_size=in_memory),
            made,
            "togai",
            new_name(self.clock),
            new_key=new_key,
            runtime=runtime,
            connect=connect,
        )
        return Drained(self.clock, self.server, link, drainer)

    def now_ms(self, ago: float = 0.0) -> int:
        return int((WALL + self.clock.now - ago) * 1000)

    def add(self, *ids: str, ago: float = 0.0, **options: Any) -> str:
        return self.relay.add(events(*ids), at=self.now_ms(ago), **options)
