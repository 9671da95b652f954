"""A model of ADD, SETTLE and LEASE, beside a real Redis, whatever is done or lost, in whatever order.

``Relay`` says in plain Python what the scripts are to do. After each step Redis holds just what it says, to
the last figure; so nothing leaves the stream but what the lease's owner has settled by id and mark, and what
the world took: a failover to a replica that lagged, a trim, a restart that comes back empty. The stream's
clock stands ahead of all others, so that new entries do get the ids of those that a failover has lost.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_as_test
from servers import RedisServer, needs_redis, running

from togai_shipper.relay.answers import Done
from togai_shipper.relay.entries import MARK_BYTES, OVERHEAD, NotOurs, fields_of, read
from togai_shipper.relay.errors import Foreign, Full
from togai_shipper.relay.link import Link

pytestmark = needs_redis
EXAMPLES = int(os.environ.get("TOGAI_TEST_EXAMPLES", "60"))
BASE = "https://api.togai.com"
AHEAD = 9_000_000_000_000  # milliseconds; no clock is there yet
ROOM = 10**6
MOST_DEAD = 3
DIGITS = 15  # of the time that an entry says
KEYS = ("events", "relay", "dead", "lease")
OWNERS = st.sampled_from(("host:1/7/1", "host:2/7/1"))  # with a colon, as a host may have one
TIMES = st.integers(1, 9)

Fields = dict[bytes, bytes]


def figures(**more: int) -> dict[str, int]:
    return {"bytes": 0, "events": 0, "in": 0, "out": 0, "lost": 0, "dead": 0, **more}


@attrs.define
class Relay:
    """What the keys of a relay hold."""

    stream: dict[str, Fields] = attrs.field(factory=dict)
    has_stream: bool = False
    words: dict[str, str] = attrs.field(factory=dict)  # of the hash; the epoch aside
    figures: dict[str, int] = attrs.field(factory=dict)  # likewise
    dead: dict[str, bytes] = attrs.field(factory=dict)
    lease: str = ""
    has_lost_its_hash: bool = False  # while the stream had entries: then nothing adds up

    @property
    def holder(self) -> str:
        return self.lease.rpartition(":")[0]

    def found(self, oldest: int) -> None:
        self.words |= {"v": "1", "base_url": BASE}
        self.figures |= figures(oldest=oldest)

    def count(self, **by: int) -> None:
        for name, number in by.items():
            self.figures[name] = self.figures.get(name, 0) + number

    def add(self, fields: Fields, count: int, accepted: int, most: int) -> bool:
        """Whether there is room."""
        if (self.figures["bytes"] if self.words else 0) + size(fields) > most:
            return False
        if not self.words:
            self.found(accepted)
        if not self.has_stream:
            self.lose_the_rest()
        if not self.figures["events"] or accepted < self.figures["oldest"]:
            self.figures["oldest"] = accepted
        self.count(**{"events": count, "bytes": size(fields), "in": count})
        return True

    def lose_the_rest(self) -> None:
        """No entry is left; what is still counted was lost."""
        if self.figures.get("events", 0) > 0:
            self.count(lost=self.figures["events"])
        if self.figures.get("events", 0):
            self.figures |= {"events": 0, "bytes": 0}

    def settle(self, done: list[Done], most_dead: int) -> tuple[list[str], list[str]]:
        removed, kept = [], []
        for each in done:
            if self.stream.get(each.id, {}).get(b"k") != each.mark:
                continue
            if each.letters and len(self.dead) + len(each.letters) > most_dead:
                kept.append(each.id)
                continue
            if new := len(each.letters.keys() - self.dead.keys()):
                self.count(dead=new)
            self.dead |= each.letters
            del self.stream[each.id]
            self.count(events=-each.count, bytes=-each.size, out=each.count)
            removed.append(each.id)
        first = next(iter(self.stream.values()), None)
        if first is None:
            self.lose_the_rest()
        elif first.get(b"t", b"").isdigit() and len(first[b"t"]) <= DIGITS:
            self.figures["oldest"] = int(first[b"t"])
        return removed, kept

    def take(self, owner: str, seen: str, key: str, *, new_key: bool) -> bool:
        """Whether the key is the relay's; the lease is the owner's then, if it is as it was seen."""
        if self.lease != seen:
            return True
        if self.words.get("key", key) != key and not new_key:
            return False
        if "v" not in self.words:
            self.found(0)
        self.words["key"] = key
        self.lease = f"{owner}:1"
        return True


def size(fields: Fields) -> int:
    return len(fields[b"e"]) + OVERHEAD


class Scripts(RuleBasedStateMachine):
    """Producers, two drainers, strangers, and a Redis that loses what it likes."""

    server: RedisServer

    @initialize()
    def start(self) -> None:
        self.redis: Any = self.server.client()
        self.redis.flushall()
        self.link = Link(self.server.url, "togai")
        self.relay = Relay()
        self.saved: tuple[Relay, dict[str, bytes | None]] = (copy.deepcopy(self.relay), self.dumped())
        self.batches: list[tuple[Fields, int, int]] = []
        self.known: dict[str, dict[tuple[str, bytes], Done]] = {}  # what each drainer has read, ever
        self.seen: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "link"):
            self.link.close()
            self.redis.close()

    # --- producers ---

    @rule(count=st.integers(1, 3), accepted=TIMES)
    def add(self, count: int, accepted: int) -> None:
        number = len(self.batches)
        fields = fields_of([b'{"id":"%d"}' % number] * count, number.to_bytes(MARK_BYTES), accepted)
        self.batches.append((fields, count, accepted))
        self.hand_over(number, ROOM)

    @precondition(lambda self: self.batches)
    @rule(number=st.integers(0, 3), most=st.sampled_from((300, ROOM)))
    def hand_over(self, number: int, most: int) -> None:
        """A batch, for the first time or again; it may be settled long since."""
        fields, count, accepted = self.batches[number % len(self.batches)]
        if not self.relay.add(fields, count, accepted, most):
            with pytest.raises(Full):
                self.link.add(fields, BASE, most)
            return
        added = self.link.add(fields, BASE, most)
        assert added.id not in self.relay.stream
        self.relay.stream[added.id], self.relay.has_stream = fields, True
        told = (added.events, added.out, added.dead)
        assert told == tuple(self.relay.figures[name] for name in ("events", "out", "dead"))
        if not added.id.startswith(str(AHEAD)):
            self.redis.execute_command("XSETID", "{togai}:events", f"{AHEAD}-0")

    @precondition(lambda self: self.batches and self.relay.words)
    @rule()
    def add_for_another_base_url(self) -> None:
        with pytest.raises(Foreign, match="we ship to http://elsewhere"):
            self.link.add(self.batches[0][0], "http://elsewhere", ROOM)

    # --- drainers ---

    @rule(owner=OWNERS, act=st.sampled_from(("look", "renew", "release")))
    def speak(self, owner: str, act: str) -> None:
        {"look": self.look, "renew": self.renew, "release": self.release}[act](owner)

    def look(self, owner: str) -> None:
        self.seen[owner] = self.link.lease("look", owner)[1]
        assert self.seen[owner] == self.relay.lease

    @rule(owner=OWNERS, key=st.sampled_from("ffg"), new_key=st.booleans())
    def take(self, owner: str, key: str, new_key: bool) -> None:  # noqa: FBT001  hypothesis passes it
        """Take over; what was seen of the lease may be old."""
        seen = self.seen.get(owner, "")
        is_as_seen = seen == self.relay.lease
        is_ours = self.relay.take(owner, seen, key, new_key=new_key)
        if is_ours:
            said = self.link.lease("take", owner, seen, fingerprint=key, new_key=new_key, base_url=BASE)
            assert said == ("held" if is_as_seen else "seen", self.relay.lease)
        else:
            with pytest.raises(Foreign, match="another key"):
                self.link.lease("take", owner, seen, fingerprint=key, base_url=BASE)

    @rule(owner=OWNERS)
    def begin(self, owner: str) -> None:
        """As a drainer does: take what is there to take, and read."""
        self.look(owner)
        self.take(owner, "f", new_key=True)
        self.read(owner)

    def renew(self, owner: str) -> None:
        if is_held := self.relay.holder == owner:
            self.relay.lease = f"{owner}:{int(self.relay.lease.rpartition(':')[2]) + 1}"
        assert self.link.lease("renew", owner) == ("held" if is_held else "lost", self.relay.lease)

    def release(self, owner: str) -> None:
        if self.relay.holder == owner:
            self.relay.lease = "released"
        assert self.link.lease("release", owner)[0] == "released"

    @rule(owner=OWNERS)
    def read(self, owner: str) -> None:
        known = self.known.setdefault(owner, {})
        for entry_id, fields in self.link.read("0", 100):
            try:
                entry = read(entry_id, fields)
            except NotOurs:
                continue
            done = Done(entry.id, entry.mark, len(entry.events), entry.size)
            known[entry.id, entry.mark] = done

    @rule(
        owner=OWNERS,
        picked=st.lists(st.tuples(st.integers(0), st.integers(0, 2)), max_size=4),
        most_dead=st.sampled_from((0, MOST_DEAD)),
    )
    def settle(self, owner: str, picked: list[tuple[int, int]], most_dead: int) -> None:
        """Anything that was ever read, also twice, by whoever has the lease or has lost it."""
        known = list(self.known.get(owner, {}).values())
        done = [
            attrs.evolve(
                known[number % len(known)], letters=self.letters(known[number % len(known)], letters)
            )
            for number, letters in (picked if known else [])
        ]
        said = self.link.settle(owner, done, most_dead)
        if self.relay.holder != owner:
            assert (said.lost_to, said.removed, said.kept) == (self.relay.lease, (), ())
            return
        assert (said.removed, said.kept) == self.relay.settle(done, most_dead)

    @rule(owner=OWNERS, letters=st.integers(0, 2), begins=st.booleans())
    def settle_all(self, owner: str, letters: int, begins: bool) -> None:  # noqa: FBT001  hypothesis passes it
        """All that was ever read."""
        if begins:
            self.begin(owner)
        self.settle(owner, [(number, letters) for number in range(len(self.known.get(owner, {})))], MOST_DEAD)

    @staticmethod
    def letters(done: Done, count: int) -> dict[str, bytes]:
        return {f"{done.mark[-1]}-{number}": b"{}" for number in range(min(count, done.count))}

    # --- strangers ---

    @rule(
        fields=st.dictionaries(
            st.sampled_from((b"k", b"t", b"n", b"x")),
            st.sampled_from((b"1", b"nan", b"0x10", b"1e3", b"9" * 400, b"\xff", bytes(MARK_BYTES))),
            min_size=1,
        )
    )
    def add_what_is_not_ours(self, fields: Fields) -> None:
        entry_id = self.redis.xadd("{togai}:events", fields)
        self.relay.stream[entry_id.decode()] = fields
        self.relay.has_stream = True

    @precondition(lambda self: self.batches)
    @rule(
        key=st.sampled_from(KEYS),
        act=st.sampled_from(("add", "settle", "look", "take")),
    )
    def put_something_else_under_a_name(self, key: str, act: str) -> None:
        """Nothing is done by halves: no other key has changed."""
        touched = {"add": ("events", "relay"), "look": ("lease",), "take": ("lease", "relay"), "settle": KEYS}
        if key not in touched[act] or (act == "settle" and key != "lease" and not self.relay.holder):
            return
        if act == "take" and key == "relay" and self.relay.lease != "":
            return
        before = self.dumped()
        self.redis.delete(self.link.keys[key])
        self.redis.sadd(self.link.keys[key], "x")
        owner = self.relay.holder or "owner"
        with pytest.raises(Foreign, match="something else"):
            self.do(act, owner)
        after = self.dumped()
        assert {name: after[name] for name in KEYS if name != key} == {
            name: before[name] for name in KEYS if name != key
        }
        self.restore(before)

    def do(self, act: str, owner: str) -> None:
        if act == "add":
            self.link.add(self.batches[0][0], BASE, ROOM)
        elif act == "settle":
            self.link.settle(owner, list(self.known.get(owner, {}).values()), MOST_DEAD)
        elif act == "look":
            self.link.lease("look", owner)
        else:
            self.link.lease("take", owner, "", fingerprint="f", base_url=BASE)

    # --- the world ---

    @rule()
    def replicate(self) -> None:
        self.saved = (copy.deepcopy(self.relay), self.dumped())

    @rule()
    def fail_over(self) -> None:
        """All goes back to where the replica was."""
        relay, dumped = self.saved
        self.relay = copy.deepcopy(relay)
        self.restore(dumped)

    @rule(owner=OWNERS, count=st.integers(1, 3))
    def lose_the_tail(self, owner: str, count: int) -> None:
        """A failover loses what a drainer has read already, and new entries get the ids of that."""
        self.replicate()
        self.add(count, 5)
        self.read(owner)
        self.fail_over()
        self.add(count, 5)

    @rule(left=st.integers(0, 2))
    def trim(self, left: int) -> None:
        self.redis.xtrim("{togai}:events", maxlen=left, approximate=False)
        for entry_id in list(self.relay.stream)[: len(self.relay.stream) - left]:
            del self.relay.stream[entry_id]

    @rule(key=st.sampled_from(("all", "events", "relay", "lease")))
    def lose(self, key: str) -> None:
        if key == "all":
            self.redis.flushall()
            self.relay = Relay()
            return
        self.redis.delete(f"{{togai}}:{key}")
        if key == "events":
            self.relay.stream, self.relay.has_stream = {}, False
        elif key == "lease":
            self.relay.lease = ""
        else:
            self.relay.words, self.relay.figures = {}, {}
            self.relay.has_lost_its_hash |= bool(self.relay.stream)

    def dumped(self) -> dict[str, bytes | None]:
        return {key: self.redis.dump(f"{{togai}}:{key}") for key in KEYS}

    def restore(self, dumped: dict[str, bytes | None]) -> None:
        self.redis.flushdb()
        for key, what in dumped.items():
            if what is not None:
                self.redis.restore(f"{{togai}}:{key}", 0, what)

    # --- what holds ---

    @invariant()
    def redis_holds_just_that(self) -> None:
        stream = {each.decode(): fields for each, fields in self.redis.xrange("{togai}:events")}
        assert stream == self.relay.stream
        facts: dict[str, Any] = self.link.facts()
        facts.pop("epoch", None)
        assert facts == {**self.relay.words, **{name: str(it) for name, it in self.relay.figures.items()}}
        assert {key.decode(): it for key, it in self.redis.hgetall("{togai}:dead").items()} == self.relay.dead
        assert (self.redis.get("{togai}:lease") or b"").decode() == self.relay.lease

    @invariant()
    def what_came_in_is_there_or_out_or_lost(self) -> None:
        if self.relay.words and not self.relay.has_lost_its_hash:
            found = self.relay.figures
            assert found["in"] == found["out"] + found["events"] + found["lost"]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis"), "--appendfsync", "no") as server:
        yield server


def test_the_scripts_do_what_the_model_says(redis_server: RedisServer) -> None:
    machine = type("Scripts", (Scripts,), {"server": redis_server})
    run_as_test(machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=40))
