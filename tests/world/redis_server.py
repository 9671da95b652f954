"""A Redis that holds a relay, and what becomes of it: crashes, failovers, no memory, a wrong clock.

What it answers is the model's that stands beside a real one in ``tests/relay/test_scripts_model.py``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import redis.exceptions as errors

from tests.relay.script_model import Relay
from togai_shipper.relay.answers import Done
from togai_shipper.relay.journal import Counts
from togai_shipper.relay.scripts import ADD, KEY, LEASE, PART, RECOUNT, SAY, SETTLE

from .weather import Spell

if TYPE_CHECKING:
    from .process import Process
    from .world import World

NAMED = {"ADD": ADD, "SETTLE": SETTLE, "PART": PART, "LEASE": LEASE, "KEY": KEY, "RECOUNT": RECOUNT}
SCRIPTS = {script.sha: name for name, script in NAMED.items()}
TEXTS = {script.text: script.sha for script in NAMED.values()}
NEVER = float("inf")
VERSION = "7.4.0"


class Node:
    """One Redis process."""

    def __init__(self, run_id: str, relay: Relay) -> None:
        self.run_id = run_id
        self.replication_id = f"of{run_id}"
        self.relay = relay
        self.is_up = True
        self.is_replica = False
        self.scripts: set[str] = set()


class Redis:
    """The Redis at the relay's URL, and the replica beside it."""

    def __init__(self, seed: int, world: World, *, says_who_it_is: bool) -> None:
        self.random = random.Random(f"redis {seed}")
        self._world = world
        self._runs = 0
        self.says_who_it_is = says_who_it_is
        self.master = self._node(Relay())
        self.behind: Relay | None = None  # what the replica has, where that is not all
        self._demoted: tuple[Node, float] | None = None  # where the name leads to still, and until when
        self.frozen_until = 0.0
        self.loading_until = 0.0
        self.clock_off = 0.0  # seconds
        self.spells: list[Spell] = []
        self.cut: dict[int, float] = {}  # slot -> until when its process does not reach it
        self.late: list[Callable[[], object]] = []  # what came while it stood still, and is done after that
        self.fair_since = 0.0

    def _node(self, relay: Relay) -> Node:
        self._runs += 1
        return Node(f"run{self._runs}", relay)

    @property
    def _now(self) -> float:
        return self._world.scheduler.now

    # --- what happens to it ---

    def begin(self, spell: Spell) -> None:
        """Let something be wrong for a while."""
        self.spells.append(spell)
        self.fair_since = NEVER
        if spell.kind == "lag" and self.behind is None:
            self.behind = self.master.relay.copy()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        self.frozen_until = self._now + seconds
        self.fair_since = NEVER

    def kill(self) -> None:
        """Kill -9: all that it has confirmed is on its disk."""
        self._catch_up()
        self.master.is_up = False
        self.late.clear()
        self.frozen_until = 0.0
        self.fair_since = NEVER

    def restart(self, *, empty: bool) -> None:
        """Start it, with what is on its disk, or without."""
        if self.master.is_up:
            self.kill()
        before = self.master.relay
        self.master = self._node(Relay() if empty else before)
        self.loading_until = self._now + self.random.choice((0.0, 0.0, 0.5, 3.0))
        if empty:
            self.behind = None
            self._world.judge.relay.redis_lost(before, self.master.relay)

    def fail_over(self, *, name_lags: float) -> None:
        """Let the replica be the master; the one before is its replica, if it lives, and keeps the name."""
        self._catch_up()
        self.replicas()
        before = self.master
        after = self.master = self._node(before.relay if self.behind is None else self.behind)
        self.behind = None
        self.spells = [spell for spell in self.spells if spell.kind != "lag"]
        self.late.clear()
        self.frozen_until = 0.0
        self.fair_since = NEVER
        if before.is_up:
            before.is_replica, before.replication_id = True, after.replication_id
            self._demoted = (before, self._now + name_lags)
        if before.relay is not after.relay:
            self._world.judge.relay.redis_lost(before.relay, after.relay)
            before.relay = after.relay

    def mend(self) -> None:
        """Let all be well from now on."""
        self.spells.clear()
        self.cut.clear()
        self.behind = self._demoted = None
        self.frozen_until = self.clock_off = 0.0
        self._catch_up()
        self.fair_since = self._now
        if not self.master.is_up:
            self.restart(empty=False)
        self.loading_until = 0.0

    # --- how it is ---

    def node(self) -> Node:
        """Whom a new connection reaches."""
        if self._demoted is not None and self._now < self._demoted[1]:
            return self._demoted[0]
        return self.master

    def spell(self, kind: str) -> Spell | None:
        """Return what is wrong, if that is; by its chance."""
        for spell in self.spells:
            if spell.kind == kind and spell.until > self._now and self.random.random() < spell.chance:
                self._world.count(f"redis {kind}")
                return spell
        return None

    def is_cut(self, process: Process) -> bool:
        """Whether a process does not reach it."""
        return self.cut.get(process.slot, 0.0) > self._now

    def is_frozen(self) -> bool:
        """Whether it stands still; else all that came meanwhile is done by now."""
        self._catch_up()
        return self.frozen_until > self._now

    def _catch_up(self) -> None:
        if self.frozen_until <= self._now:
            late, self.late = self.late, []
            for do in late:
                do()

    def replicas(self) -> int:
        """How many replicas have all."""
        lags = [spell for spell in self.spells if spell.kind == "lag" and spell.until > self._now]
        if not lags:
            self.behind = None
        return int(not lags)

    # --- what it answers ---

    def answer(self, process: Process, node: Node, command: Sequence[Any]) -> Any:
        """Do a command, whole; return what redis-py would, or the error that it would raise."""
        name = str(command[0].decode() if isinstance(command[0], bytes) else command[0])
        if self.loading_until > self._now:
            return errors.BusyLoadingError("Redis is loading the dataset in memory")
        if name == "EVALSHA":
            return self._run(process, node, command[1], [*map(_bytes, command[3 + int(command[2]) :])])
        if name == "SCRIPT LOAD":
            node.scripts.add(TEXTS[command[1]])
            return TEXTS[command[1]]
        if name == "INFO":
            return self._info(node, command[1:])
        if name == "CLIENT SETNAME":
            return b"OK"
        relay = node.relay
        if name == "HMGET":
            facts = relay.facts()
            return [facts[each].encode() if each in facts else None for each in command[2:]]
        if name == "HGETALL":
            return {key.encode(): value.encode() for key, value in relay.facts().items()}
        if name in ("HINCRBY", "HSET", "EVAL"):
            return self._written(node, command)
        if name == "XLEN":
            return len(relay.stream)
        assert name == "XRANGE", name
        return self._range(relay, command)

    def _written(self, node: Node, command: Sequence[Any]) -> Any:
        if node.is_replica:
            return errors.ReadOnlyError("You can't write against a read only replica.")
        if command[0] == "EVAL":
            return self._said(node, [*map(_bytes, command)])
        if command[0] == "HSET":  # else nothing is added to what is there
            node.relay.words[command[2]] = command[3]
        return 0

    def _said(self, node: Node, command: list[bytes]) -> Any:
        if self.spell("refuses"):
            return errors.NoPermissionError("this user has no permissions to run the 'eval' command")
        if self.spell("no replicas"):
            return errors.ResponseError("NOREPLICAS Not enough good replicas to write.")
        assert command[1].decode() == SAY.text
        who, text, most, *_ = command[5:]
        return [node.relay.say(who, text, int(most)).encode()]

    def _info(self, node: Node, sections: Sequence[str]) -> Any:
        if not self.says_who_it_is:
            return errors.NoPermissionError("this user has no permissions to run the 'info' command")
        if "memory" in sections:
            return f"# Server\r\nredis_version:{VERSION}\r\nmaxmemory_policy:noeviction\r\n".encode()
        return f"# Server\r\nrun_id:{node.run_id}\r\nmaster_replid:{node.replication_id}\r\n".encode()

    @staticmethod
    def _range(relay: Relay, command: Sequence[Any]) -> list[tuple[bytes, dict[bytes, bytes]]]:
        if command[2] == command[3]:
            fields = relay.stream.get(command[2])
            return [] if fields is None else [(command[2].encode(), fields)]
        after, count = _place(command[2].removeprefix("(")), int(command[5])
        found: list[tuple[bytes, dict[bytes, bytes]]] = []
        for entry_id, fields in relay.stream.items():
            if _place(entry_id) > after:
                found.append((entry_id.encode(), fields))
                if len(found) == count:
                    break
        return found

    def _run(self, process: Process, node: Node, sha: str, arguments: list[bytes]) -> Any:
        if sha not in node.scripts:
            return errors.NoScriptError("No matching script. Please use EVAL.")
        if node.is_replica:
            return errors.ReadOnlyError("You can't write against a read only replica.")
        script = SCRIPTS[sha]
        self._world.tell(process, f"has {script} run ({b' '.join(arguments[:3]).decode()[:60]})")
        if script == "ADD":
            return self._add(process, node, arguments)
        if self.spell("refuses"):
            return errors.NoPermissionError("this user has no permissions to run the 'evalsha' command")
        acts = {
            "SETTLE": self._settle,
            "PART": self._part,
            "LEASE": self._lease,
            "KEY": self._key,
            "RECOUNT": self._recount,
        }
        return acts[script](node, arguments)

    def _add(self, process: Process, node: Node, arguments: list[bytes]) -> Any:
        if self.spell("full"):
            return errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
        if self.spell("no replicas"):
            return errors.ResponseError("NOREPLICAS Not enough good replicas to write.")
        base_url, epoch, most, *_ = (text.decode() for text in arguments[:3])
        fields = dict(zip(arguments[6::2], arguments[7::2], strict=True))
        relay = node.relay
        word = relay.add(fields, base_url, int(most), epoch)
        if word != "ok":
            return [word.encode(), b"%d" % relay.figures["bytes"]]
        entry_id = relay.next_id(int((self._world.true_wall() + self.clock_off) * 1000))
        relay.append(entry_id, fields)
        self._world.judge.relay.added(process, node, entry_id, fields)
        facts = relay.facts()
        return [
            b"ok",
            entry_id.encode(),
            *(facts[name].encode() for name in ("epoch", "events", "out", "dead")),
        ]

    def _settle(self, node: Node, arguments: list[bytes]) -> Any:
        owner, most, count = (text.decode() for text in arguments[:3])
        relay, at, done = node.relay, 3, []
        if relay.holder != owner:
            return [b"lost", relay.lease.encode()]
        for _ in range(int(count)):
            entry_id, mark, events, size, letters = arguments[at : at + 5]
            at += 5
            pairs = arguments[at : at + 2 * int(letters)]
            at += len(pairs)
            dead = {key.decode(): text for key, text in zip(pairs[::2], pairs[1::2], strict=True)}
            done.append(Done(entry_id.decode(), mark, int(events), int(size), dead))
        removed, kept = relay.settle(done, int(most), _counts(len(done), arguments[at:]))
        return [b"ok", [each.encode() for each in removed], [each.encode() for each in kept], b""]

    def _part(self, node: Node, arguments: list[bytes]) -> Any:
        owner, entry_id, mark, size, count = arguments[:5]
        relay, at, parts = node.relay, 5, []
        if relay.holder != owner.decode():
            return [b"lost", relay.lease.encode()]
        for _ in range(int(count)):
            flat = arguments[at + 2 : at + 2 + int(arguments[at + 1])]
            parts.append(dict(zip(flat[::2], flat[1::2], strict=True)))
            at += 2 + len(flat)
        if not relay.part(entry_id.decode(), mark, int(size), parts):
            return [b"gone"]
        for fields in parts:
            relay.append(relay.next_id(int((self._world.true_wall() + self.clock_off) * 1000)), fields)
        return [b"ok"]

    @staticmethod
    def _lease(node: Node, arguments: list[bytes]) -> Any:
        act, owner, seen, key, new_key, base_url, _, epoch = (text.decode() for text in arguments)
        said = node.relay.speak(
            act, owner, seen, key=key, new_key=new_key == "1", base_url=base_url, epoch=epoch
        )
        return [text.encode() for text in said]

    @staticmethod
    def _key(node: Node, arguments: list[bytes]) -> Any:
        word, owner, key, new_key = (text.decode() for text in arguments)
        return [text.encode() for text in node.relay.tell_key(word, owner, key, new_key=new_key == "1")]

    @staticmethod
    def _recount(node: Node, arguments: list[bytes]) -> Any:
        owner, last, *figures = (text.decode() for text in arguments)
        return [b"ok" if node.relay.recount(owner, last, *map(int, figures)) else b"changed"]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _counts(entries: int, arguments: list[bytes]) -> Counts:
    """What the journal is told."""
    _, _, now_ms, _, _, doubt, _, _, names = (text.decode() for text in arguments[:9])
    fields = [text.decode() for text in arguments[9 : 9 + int(names)]]
    numbers = iter([*map(int, arguments[9 + int(names) :])])
    each = [{fields[next(numbers) - 1]: next(numbers) for _ in range(next(numbers))} for _ in range(entries)]
    assert next(numbers, None) is None
    return Counts(each, "delivered", int(now_ms), doubt)


def _place(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


@attrs.define
class Trap:
    """What happens to a process as it has a script run: before Redis does, or before the answer comes."""

    slot: int
    script: str
    when: str  # before, after
    fate: str  # kill, freeze
    left: int = 1  # how many times it runs it, until then
