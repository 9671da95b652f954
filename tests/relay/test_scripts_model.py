"""The model of the scripts beside a real Redis, whatever is done or lost, in whatever order.

``script_model`` says in plain Python what the scripts are to do. After each step Redis holds just what it
says, to the last figure; so nothing leaves the stream but what the lease's owner has settled by id and mark,
and what the world took: a failover to a replica that lagged, a trim, a restart that comes back empty. The
stream's clock stands ahead of all others, so that new entries do get the ids of those that a failover lost.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_as_test
from script_model import Fields, Relay
from servers import RedisServer, needs_redis, running

from togai_shipper.relay.answers import Done
from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.entries import MARK_BYTES, Entry, NotOurs, fields_of, read, size_of
from togai_shipper.relay.errors import Foreign, Full
from togai_shipper.relay.journal import Counts, counted, field_of
from togai_shipper.relay.key_trial import Word
from togai_shipper.relay.link import Link
from togai_shipper.relay.notes import MOST_PRODUCERS, Note

pytestmark = needs_redis
EXAMPLES = int(os.environ.get("TOGAI_TEST_EXAMPLES", "60"))
BASE = "https://api.togai.com"
AHEAD = 9_000_000_000_000  # milliseconds; no clock is there yet
ROOM = 10**6
MOST_DEAD = 3
KEYS = ("events", "relay", "dead", "lease")
NOTED = ("producers", "producers:said")
DAY_MS = 86_400_000
OWNERS = st.sampled_from(("host:1/7/1", "host:2/7/1"))  # with a colon, as a host may have one
TIMES = st.integers(1, 9)


class Scripts(RuleBasedStateMachine):
    """Producers, two drainers, strangers, and a Redis that loses what it likes."""

    server: RedisServer

    @initialize()
    def start(self) -> None:
        self.redis: Any = self.server.client()
        self.redis.flushall()
        self.link = Link(self.server.url, "togai")
        self.relay = Relay()
        self.saved: tuple[Relay, dict[str, bytes | None]] = (self.relay.copy(), self.dumped())
        self.batches: list[Fields] = []
        self.known: dict[str, dict[tuple[str, bytes], Done]] = {}  # what each drainer has read, ever
        self.seen: dict[str, str] = {}
        self.now_ms = 1_790_000_000_000

    def teardown(self) -> None:
        if hasattr(self, "link"):
            self.link.close()
            self.redis.close()

    # --- producers ---

    @rule(count=st.integers(1, 3), accepted=TIMES)
    def add(self, count: int, accepted: int) -> None:
        number = len(self.batches)
        fields = fields_of([b'{"id":"%d"}' % number] * count, number.to_bytes(MARK_BYTES), accepted)
        self.batches.append(fields)
        self.hand_over(number, ROOM)

    @precondition(lambda self: self.batches)
    @rule(number=st.integers(0, 3), most=st.sampled_from((300, ROOM)))
    def hand_over(self, number: int, most: int) -> None:
        """A batch, for the first time or again; it may be settled long since."""
        fields = self.batches[number % len(self.batches)]
        if self.relay.add(fields, BASE, most) == "full":
            with pytest.raises(Full):
                self.link.add(fields, BASE, most)
            return
        added = self.link.add(fields, BASE, most)
        self.relay.append(added.id, fields)
        told = (added.events, added.out, added.dead)
        assert told == tuple(self.relay.figures[name] for name in ("events", "out", "dead"))
        if not added.id.startswith(str(AHEAD)):
            self.redis.execute_command("XSETID", "{togai}:events", f"{AHEAD}-0")

    @precondition(lambda self: self.batches and self.relay.is_founded)
    @rule()
    def add_for_another_base_url(self) -> None:
        with pytest.raises(Foreign, match="we ship to http://elsewhere"):
            self.link.add(self.batches[0], "http://elsewhere", ROOM)

    @rule(who=st.sampled_from(("a", "b", "c")), text=st.sampled_from(("", "one", "two")))
    def say(self, who: str, text: str) -> None:
        """It takes nothing from a relay, and a relay that is lost takes nothing from it."""
        told = self.link.look(Note(who, text))
        assert told.is_noted
        assert self.relay.say(who.encode(), text.encode(), MOST_PRODUCERS) == "ok"

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
        said = self.relay.speak("take", owner, seen, key=key, new_key=new_key, base_url=BASE)
        if said[0] == "key":
            with pytest.raises(Foreign, match="another key"):
                self.link.lease("take", owner, seen, fingerprint=key, base_url=BASE)
            return
        assert said == self.link.lease("take", owner, seen, fingerprint=key, new_key=new_key, base_url=BASE)

    @rule(
        owner=OWNERS,
        word=st.sampled_from(("try", "taken", "refused")),
        key=st.sampled_from("ffg"),
        new_key=st.booleans(),
    )
    def tell_key(self, owner: str, word: Word, key: str, new_key: bool) -> None:  # noqa: FBT001  likewise
        """Anything, true or not, at any time."""
        known, _ = self.relay.tell_key(word, owner, key, new_key=new_key)
        if known == "key":
            with pytest.raises(Foreign, match="another key"):
                self.link.tell_key(word, owner, key, new_key=new_key)
        else:
            assert self.link.tell_key(word, owner, key, new_key=new_key) == known

    @rule(owner=OWNERS)
    def begin(self, owner: str) -> None:
        """As a drainer does: take what is there to take, and read."""
        self.look(owner)
        self.take(owner, "f", new_key=True)
        self.read(owner)

    def renew(self, owner: str) -> None:
        assert self.link.lease("renew", owner) == self.relay.speak("renew", owner)

    def release(self, owner: str) -> None:
        assert self.link.lease("release", owner) == self.relay.speak("release", owner)

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
        counts = self.counts(done)
        said = self.link.settle(owner, done, most_dead, counts)
        if self.relay.holder != owner:
            assert (said.lost_to, said.removed, said.kept) == (self.relay.lease, (), ())
            return
        assert (said.removed, said.kept) == self.relay.settle(done, most_dead, counts)

    @rule(owner=OWNERS, letters=st.integers(0, 2), begins=st.booleans())
    def settle_all(self, owner: str, letters: int, begins: bool) -> None:  # noqa: FBT001  hypothesis passes it
        """All that was ever read."""
        if begins:
            self.begin(owner)
        self.settle(owner, [(number, letters) for number in range(len(self.known.get(owner, {})))], MOST_DEAD)

    def counts(self, done: list[Done], doubt: str = "") -> Counts:
        """What a drainer says of these entries: each of its producer's schema."""
        is_chosen = False
        delivered = [(each, each.count - len(each.letters)) for each in done]
        fields = [
            {field_of("2026-09-20", f"s{each.mark[-1]}", is_chosen, "delivered"): left} if left else {}
            for each, left in delivered
        ]
        return Counts(fields, "delivered", self.now_ms, doubt)

    @rule(owner=OWNERS, doubt=st.sampled_from(("lost one", "lost two")))
    def tell_a_doubt(self, owner: str, doubt: str) -> None:
        counts = self.counts([], doubt)
        if self.link.settle(owner, [], MOST_DEAD, counts).lost_to is None:
            self.relay.settle([], MOST_DEAD, counts)

    @rule(owner=OWNERS)
    def settle_as_older_versions_did(self, owner: str) -> None:
        done = list(self.known.get(owner, {}).values())
        if self.link.settle(owner, done, MOST_DEAD).lost_to is None:
            self.relay.settle(done, MOST_DEAD)

    @rule(days=st.sampled_from((-1, 1, 50)))
    def let_days_pass(self, days: int) -> None:
        """By the drainer's clock, which may be set back."""
        self.now_ms += days * DAY_MS

    @rule(owner=OWNERS, number=st.integers(0))
    def part(self, owner: str, number: int) -> None:
        """Anything that was ever read, by whoever has the lease or has lost it: an entry for each event."""
        known = list(self.known.get(owner, {}).values())
        if not known:
            return
        done = known[number % len(known)]
        entry = Entry(done.id, done.mark, [b"{}"] * done.count, 5, done.size)
        parts = [fields_of([each], os.urandom(MARK_BYTES), 5) for each in entry.events]
        is_gone = self.link.part(owner, entry, parts)
        assert is_gone == (self.relay.holder == owner)
        if is_gone and self.relay.part(done.id, done.mark, done.size, parts):
            ids = [each.decode() for each, _ in self.redis.xrevrange("{togai}:events", count=len(parts))]
            for entry_id, fields in zip(reversed(ids), parts, strict=True):
                self.relay.append(entry_id, fields)

    @rule(owner=OWNERS, last=st.sampled_from(("last", "before", "0")), wrong=st.integers(-1, 1))
    def recount(self, owner: str, last: str, wrong: int) -> None:
        """Who leads has read all, or thinks so: only what is so is counted."""
        ids = list(self.relay.stream)
        place = {"last": ids[-1:], "before": ids[-2:-1], "0": []}[last]
        ours = [each for each in self.relay.stream.values() if b"e" in each]
        events, bytes_ = sum(int(each[b"n"]) for each in ours), sum(map(size_of, ours))
        said = (owner, place[0] if place else "0-0", len(ids) + wrong, events, bytes_)
        assert self.link.recount(*said) == self.relay.recount(*said)

    @precondition(lambda self: self.relay.dead)
    @rule(is_replay=st.booleans())
    def take_letters(self, is_replay: bool) -> None:  # noqa: FBT001  hypothesis passes it
        dead = DeadLetters(self.link)
        letters = {name.encode(): text for name, text in self.relay.dead.items()}
        if not is_replay:
            assert dead.purge(letters, self.now_ms) == len(letters)
            counts = counted([(text,) for text in letters.values()], "purged", self.now_ms)
            self.relay.purge([name.decode() for name in letters], counts)
        elif self.relay.is_founded:
            fields = fields_of([b"{}"] * len(letters), bytes(MARK_BYTES), 5)
            assert dead.replay(letters, fields)
            self.relay.replay([name.decode() for name in letters], fields, len(letters), 5)
            self.relay.append(self.redis.xrevrange("{togai}:events", count=1)[0][0].decode(), fields)

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
        self.relay.append(self.redis.xadd("{togai}:events", fields).decode(), fields)

    @precondition(lambda self: self.batches)
    @rule(number=st.integers(0, 3))
    def add_ours_uncounted(self, number: int) -> None:
        """A stranger has copied an entry: nobody has counted it."""
        fields = self.batches[number % len(self.batches)]
        self.relay.append(self.redis.xadd("{togai}:events", fields).decode(), fields)

    @precondition(lambda self: self.relay.is_founded and self.batches)
    @rule(name=st.sampled_from(("events", "bytes")), number=st.integers(-9, -1))
    def make_a_figure_negative(self, name: str, number: int) -> None:
        """As older versions did; the next hand-over mends it."""
        if name == "events":
            self.relay.figures["lost"] += self.relay.figures["events"]
        self.relay.figures[name] = 0
        self.redis.hset("{togai}:relay", mapping={name: number, "lost": self.relay.figures["lost"]})
        self.hand_over(0, ROOM)

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
        with pytest.raises(
            Foreign, match=f"something else under the relay's names: {re.escape(self.link.keys[key])} "
        ):
            self.do(act, owner)
        after = self.dumped()
        assert {name: after[name] for name in KEYS if name != key} == {
            name: before[name] for name in KEYS if name != key
        }
        self.restore(before)

    def do(self, act: str, owner: str) -> None:
        if act == "add":
            self.link.add(self.batches[0], BASE, ROOM)
        elif act == "settle":
            self.link.settle(owner, list(self.known.get(owner, {}).values()), MOST_DEAD)
        elif act == "look":
            self.link.lease("look", owner)
        else:
            self.link.lease("take", owner, "", fingerprint="f", base_url=BASE)

    # --- the world ---

    @rule()
    def replicate(self) -> None:
        self.saved = (self.relay.copy(), self.dumped())

    @rule()
    def fail_over(self) -> None:
        """All goes back to where the replica was."""
        relay, dumped = self.saved
        self.relay = relay.copy()
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

    def dumped(self) -> dict[str, bytes | None]:
        days = [f"journal:{day}" for day in self.relay.journal]
        return {key: self.redis.dump(f"{{togai}}:{key}") for key in (*KEYS, *NOTED, "journal", *days)}

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
        assert self.redis.hgetall("{togai}:producers") == self.relay.producers
        assert {*self.redis.zrange("{togai}:producers:said", 0, -1)} == {*self.relay.producers}
        head = {name.decode(): it.decode() for name, it in self.redis.hgetall("{togai}:journal").items()}
        assert bool(head.pop("id", "")) == bool(head)
        assert head == self.relay.head
        for day, counts in self.relay.journal.items():
            found = self.redis.hgetall(f"{{togai}}:journal:{day}")
            assert {field.decode(): int(count) for field, count in found.items()} == counts

    @invariant()
    def what_came_in_is_there_or_out_or_lost(self) -> None:
        if self.relay.is_founded:
            found = self.relay.figures
            assert found["in"] == found["out"] + found["events"] + found["lost"]
            assert min(found.values()) >= 0


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis"), "--appendfsync", "no") as server:
        yield server


def test_the_scripts_do_what_the_model_says(redis_server: RedisServer) -> None:
    machine = type("Scripts", (Scripts,), {"server": redis_server})
    run_as_test(machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=40))
