"""A relay in memory, which does as the scripts do, and links to it: for tests in virtual time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from togai_shipper.relay.answers import Done, Removed, Server
from togai_shipper.relay.entries import Entry, fields_of, size_of
from togai_shipper.relay.errors import Forbidden, Foreign, Full, RelayError, Unreachable
from togai_shipper.relay.journal import Counts

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
        self.journal: Counter[str] = Counter()
        self.doubts: list[str] = []
        self.not_counted = ""  # why the journal counts nothing
        self.lease = ""
        self.report = ""  # what who drains has said of itself
        self.takes_no_report = False
        self.may_not_part = False
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

    # --- whose key drains ---

    @property
    def tried(self) -> str:
        return self.facts.get("trying", "").partition(" ")[0]

    def is_barred(self, fingerprint: str) -> bool:
        known = self.facts.get("key") or self.tried
        return bool(known) and fingerprint not in (self.facts.get("key"), self.tried)

    def try_key(self, fingerprint: str, owner: str) -> None:
        self.facts["key"] = self.facts.get("key") or self.tried
        self.facts["trying"] = f"{fingerprint} {owner}"

    def known(self, fingerprint: str) -> str:
        if self.facts.get("key") == fingerprint:
            return "taken"
        return "tried" if self.tried == fingerprint else "none"

    def link(self, is_cut: Callable[[], bool] = lambda: False) -> FakeLink:
        return FakeLink(self, is_cut)


class FakeLink:
    """One drainer's way to it."""

    def __init__(self, relay: FakeRelay, is_cut: Callable[[], bool]) -> None:
        self._relay = relay
        self._is_cut = is_cut
        self.lose_answers = 0  # how many questions are done, and their answers lost
        self.lose_settlements = 0  # likewise, of those that settle
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
        is_barred = relay.is_barred(fingerprint)
        if is_barred and not is_new_key:
            raise Foreign("another key has drained this relay")
        relay.begin_facts()
        if is_barred:
            relay.try_key(fingerprint, owner)
        relay.lease = f"{owner}:1"
        return "held", relay.lease

    def tell_key(self, word: str, owner: str, fingerprint: str, *, new_key: bool = False) -> str:
        answer = self._tell_key(self._ask(), word, owner, fingerprint, is_new_key=new_key)
        self._lose()
        return answer

    def _tell_key(
        self, relay: FakeRelay, word: str, owner: str, fingerprint: str, *, is_new_key: bool
    ) -> str:
        facts, is_tried = relay.facts, relay.tried == fingerprint
        if word == "refused" and facts.get("trying") == f"{fingerprint} {owner}":
            facts["trying"] = ""
        elif word == "taken" and is_tried:
            facts |= {"key": fingerprint, "trying": ""}
        elif word == "try" and facts.get("key") != fingerprint and not is_tried:
            if relay.lease.rpartition(":")[0] != owner:
                return "none"
            if relay.is_barred(fingerprint) and not is_new_key:
                raise Foreign("another key has drained this relay")
            relay.try_key(fingerprint, owner)
        return relay.known(fingerprint)

    def settle(self, owner: str, done: Sequence[Done], max_dead: int, counts: Counts) -> Removed:
        relay = self._ask()
        if relay.lease.rpartition(":")[0] != owner:
            return Removed(lost_to=relay.lease)
        removed, kept = [], []
        relay.doubts += [counts.doubt] if counts.doubt else []
        for each, leaves in zip(done, counts.each, strict=True):
            fields = relay.stream.get(each.id)
            if fields is None or fields.get(b"k") != each.mark:
                continue
            if each.letters and len(relay.dead) + len(each.letters) > max_dead:
                kept.append(each.id)
                continue
            del relay.stream[each.id]
            relay.dead.update(each.letters)
            relay.count(events=-each.count, out=each.count, dead=len(each.letters), bytes=-each.size)
            relay.journal.update(leaves)
            removed.append(each.id)
        self.settled.append(Removed(removed, kept, not_counted=relay.not_counted))
        self._lose()
        if self.lose_settlements:
            self.lose_settlements -= 1
            raise DOWN
        return self.settled[-1]

    def part(self, owner: str, entry: Entry, parts: Sequence[dict[bytes, bytes]]) -> bool:
        relay = self._ask()
        if relay.may_not_part:
            raise Forbidden("this user may not XADD")
        if relay.lease.rpartition(":")[0] != owner:
            return False
        if relay.stream.get(entry.id, {}).get(b"k") != entry.mark:
            return True
        del relay.stream[entry.id]
        relay.count(events=-len(entry.events), bytes=-entry.size, **{"in": -len(entry.events)})
        for fields in parts:
            relay.add_fields(fields, count=int(fields[b"n"]))
        self._lose()
        return True

    def entry(self, entry_id: str) -> dict[bytes, bytes] | None:
        return self._ask().stream.get(entry_id)

    def recount(self, owner: str, last: str, entries: int, events: int, size: int) -> bool:
        relay = self._ask()
        is_ours = relay.lease.rpartition(":")[0] == owner
        if not is_ours or len(relay.stream) != entries or any(each > last for each in relay.stream):
            return False
        more = events - int(relay.facts["events"])
        relay.count(events=more, lost=max(0, -more), **{"in": max(0, more)})
        relay.facts["bytes"] = str(size)
        return True

    def read(self, after: str, count: int) -> list[tuple[str, dict[bytes, bytes]]]:
        self.reads.append(after)
        beyond = [each for each in self._ask().stream.items() if each[0] > after]
        return beyond[:count]

    def note_report(self, owner: str, report: str) -> None:
        relay = self._ask()
        if relay.takes_no_report:
            raise Full("Redis is full")
        relay.report = f"{owner}\n{report}"

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
