"""A relay in memory, which does as the scripts do, and links to it: for tests in virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from togai_shipper.relay.answers import Done, Removed, Server
from togai_shipper.relay.entries import fields_of, size_of
from togai_shipper.relay.errors import Foreign, RelayError, Unreachable

BASE_URL = "http://127.0.0.1:1"
T0 = 1_790_000_000_000
DOWN = Unreachable("no relay: down")


class FakeRelay:
    """What Redis holds, for one relay."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._epochs = itertools.count(1)
        self.begin(run=1)

    def begin(self, run: int) -> None:
        """As Redis is that has come back empty."""
        self.stream: dict[str, dict[bytes, bytes]] = {}
        self.facts: dict[str, str] = {}
        self.dead: dict[str, bytes] = {}
        self.lease = ""
        self.server = Server(f"run {run}", f"replication {run}")
        self.trouble: RelayError | None = None  # what every question comes to
        self.raising: list[Any] = []  # what the next looks at the stream come to, or call

    def add(
        self, events: Sequence[bytes], *, at: int = T0, mark: bytes | None = None, entry_id: str = ""
    ) -> str:
        """Append an entry, as a producer does."""
        number = next(self._numbers)
        fields = fields_of(events, mark or b"%016d" % number, at)
        return self.add_fields(fields, entry_id or f"1-{number:06}", len(events))

    def add_fields(self, fields: dict[bytes, bytes], entry_id: str = "", count: int = 0) -> str:
        entry_id = entry_id or f"1-{next(self._numbers):06}"
        self.stream[entry_id] = fields
        self.stream = dict(sorted(self.stream.items()))
        self.begin_facts()
        self.count(events=count, bytes=size_of(fields) if count else 0)
        self.count(**{"in": count})
        return entry_id

    def begin_facts(self) -> None:
        if not self.facts:
            names = ("bytes", "events", "in", "out", "lost", "dead")
            self.facts = {
                "v": "1",
                "epoch": f"epoch {next(self._epochs)}",
                "base_url": BASE_URL,
                **dict.fromkeys(names, "0"),
            }

    def count(self, **changes: int) -> None:
        for name, change in changes.items():
            self.facts[name] = str(int(self.facts[name]) + change)

    def link(self, is_cut: Callable[[], bool] = lambda: False) -> FakeLink:
        return FakeLink(self, is_cut)


class FakeLink:
    """One drainer's way to it."""

    def __init__(self, relay: FakeRelay, is_cut: Callable[[], bool]) -> None:
        self._relay = relay
        self._is_cut = is_cut
        self.lose_answers = 0  # how many questions are done, and their answers lost
        self.reads: list[str] = []
        self.settled: list[Removed] = []

    def _ask(self) -> FakeRelay:
        if self._is_cut():
            raise DOWN
        if self._relay.trouble is not None:
            raise self._relay.trouble
        return self._relay

    def _lose(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise DOWN

    def lease(
        self,
        act: str,
        owner: str,
        seen: str = "",
        *,
        fingerprint: str = "",
        new_key: bool = False,
        base_url: str = "",
    ) -> tuple[str, str]:
        answer = self._lease(self._ask(), act, owner, seen, fingerprint, is_new_key=new_key)
        self._lose()
        return answer

    def _lease(
        self, relay: FakeRelay, act: str, owner: str, seen: str, fingerprint: str, *, is_new_key: bool
    ) -> tuple[str, str]:
        now = relay.lease
        holder, _, beat = now.rpartition(":")
        if act == "release" and holder == owner:
            relay.lease = "released"
            return "released", now
        if act == "renew":
            if holder != owner:
                return "lost", now
            relay.lease = f"{owner}:{int(beat) + 1}"
            return "held", relay.lease
        if act != "take" or now != seen:
            return "seen", now
        if relay.facts.get("key", fingerprint) != fingerprint and not is_new_key:
            raise Foreign("another key has drained this relay")
        relay.begin_facts()
        relay.facts["key"] = fingerprint
        relay.lease = f"{owner}:1"
        return "held", relay.lease

    def settle(self, owner: str, done: Sequence[Done], max_dead: int) -> Removed:
        relay = self._ask()
        if relay.lease.rpartition(":")[0] != owner:
            return Removed(lost_to=relay.lease)
        removed, kept = [], []
        for each in done:
            fields = relay.stream.get(each.id)
            if fields is None or fields.get(b"k") != each.mark:
                continue
            if each.letters and len(relay.dead) + len(each.letters) > max_dead:
                kept.append(each.id)
                continue
            del relay.stream[each.id]
            relay.dead.update(each.letters)
            relay.count(events=-each.count, out=each.count, dead=len(each.letters), bytes=-each.size)
            removed.append(each.id)
        self.settled.append(Removed(removed, kept))
        self._lose()
        return self.settled[-1]

    def read(self, after: str, count: int) -> list[tuple[str, dict[bytes, bytes]]]:
        self.reads.append(after)
        beyond = [each for each in self._ask().stream.items() if each[0] > after]
        return beyond[:count]

    def facts(self) -> Mapping[str, str]:
        return dict(self._ask().facts)

    def length(self) -> int:
        if raising := self._relay.raising:
            what = raising.pop()
            if isinstance(what, BaseException):
                raise what
            what()
        return len(self._ask().stream)

    def server(self) -> Server:
        return self._ask().server

    def close(self) -> None:
        pass
