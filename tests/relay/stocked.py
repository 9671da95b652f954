"""A relay with events and dead letters in it, and the commands that look at it."""

from __future__ import annotations

import os
from typing import Any

import attrs
from click.testing import CliRunner
from servers import RedisServer

from togai_shipper import Event
from togai_shipper.cli.app import cli
from togai_shipper.cli.formats import now_ms
from togai_shipper.relay import letters
from togai_shipper.relay.entries import fields_of
from togai_shipper.relay.link import Link
from togai_shipper.spool.rows import DeadLetter

BASE = "https://api.togai.com"
DAY = 86_400_000  # milliseconds


def command(*arguments: object, env: dict[str, str] | None = None, obj: Any = None) -> Any:
    return CliRunner().invoke(cli, [*map(str, arguments)], env=env, obj=obj)


def event(name: str) -> bytes:
    return Event("api_call", "acme", {"count": 1}, {"region": "eu"}, id=name).encode()


def letter(name: str, reason: str = "rejected", days: float = 0, **facts: Any) -> DeadLetter:
    then = now_ms() - int(days * DAY)
    return attrs.evolve(DeadLetter(name, then, event(name), reason, 400, "no such schema", 3, then), **facts)


class Relay:
    """The relay ``togai`` of one server."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.url = server.url
        self.redis = server.client()
        self.link = Link(server.url, "togai")

    def hand_over(self, *names: str, days: float = 0) -> None:
        fields = fields_of([event(name) for name in names], os.urandom(16), now_ms() - int(days * DAY))
        self.link.add(fields, BASE, 10**9)

    def bury(self, *dead: DeadLetter) -> None:
        for each in dead:
            self.redis.hset("{togai}:dead", each.id, letters.encode(each))

    def lead(self, owner: str = "host/1/2") -> None:
        self.link.lease("take", owner, "", fingerprint="deadbeef", base_url=BASE)
        self.link.tell_key("try", owner, "deadbeef")
        self.link.tell_key("taken", owner, "deadbeef")

    def spool(self, what: str, *options: object) -> Any:
        return command("spool", what, *options, self.url)
