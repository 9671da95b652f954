"""Checks of the relay: whether its Redis keeps what it has confirmed, for whom it is, and who drains it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import attrs

from togai_shipper import ConfigurationError
from togai_shipper.cli.formats import age, plural, size
from togai_shipper.cli.processes import FAILURES, WARNINGS, grouped, remedy, sentence, word
from togai_shipper.cli.relay_processes import drainer as as_process
from togai_shipper.cli.relay_processes import in_trouble, producing, told
from togai_shipper.relay.entries import FORMAT
from togai_shipper.relay.errors import Forbidden, Foreign, RelayError
from togai_shipper.relay.key_trial import tried_key
from togai_shipper.relay.url import shown

from .check import Check
from .world import World

if TYPE_CHECKING:
    from togai_shipper.relay.survey import Survey

TIMEOUT = 10.0  # seconds for each answer
NEARLY = 0.9  # of its memory: Redis is nearly full
STALLED = 600.0  # seconds; an event that waits for longer is not drained
OLDEST = (7, 0)  # the oldest Redis that can be one
_AS_ANOTHER = "Run this with the URL of a user who may ask: --relay."


@attrs.frozen
class Expected:
    """What the application, or the drainer, would have of the relay.

    Attributes:
        url: where it is.
        name: its name.
        base_url: where its events are to go.
        key: the key that is set here; empty on the hosts of applications.
        replicas: how many replicas are to have an entry until it counts as relayed.
        max_bytes: what the relay may hold at most.

    """

    url: str = attrs.field(repr=False)
    name: str
    base_url: str
    key: str = attrs.field(default="", repr=False)
    replicas: int = 0
    max_bytes: int = 256 * 1024**2


def relay(expected: Expected, world: World) -> Iterator[Check]:
    """Check the relay and its Redis; end at the first failure to reach it."""
    try:
        from togai_shipper.relay.link import Link  # noqa: PLC0415  redis-py is an extra
        from togai_shipper.relay.survey import Clock, survey  # noqa: PLC0415  likewise

        link = Link(expected.url, expected.name, TIMEOUT)
    except ConfigurationError as error:
        yield Check(
            "fail", "relay", str(error).removeprefix("relay: "), "The library refuses to start with it."
        )
        return
    try:
        found = survey(link, Clock(world.monotonic, world.pause))
    except RelayError as error:
        yield unreachable(shown(expected.url), error)
        return
    finally:
        link.close()
    yield Check("ok", "relay", f"{shown(expected.url)} answers; its name is {expected.name}")
    yield from of_survey(found, expected, world.now())


def of_survey(found: Survey, expected: Expected, now: float) -> Iterator[Check]:
    """Judge all that was found."""
    yield from wrong_kinds(found)
    yield version(found)
    yield from durability(found, expected.replicas)
    yield from replicas(found, expected.replicas)
    yield eviction(found)
    yield from memory(found, expected.max_bytes)
    yield rights(found)
    yield from purpose(found, expected)
    yield from drained(found, now)
    yield from producers(found, shown(expected.url), now)
    yield from contents(found, expected, now)


# --- what each finding means ------------------------------------------------------------------------------


def unreachable(url: str, error: RelayError) -> Check:
    """Report that the relay cannot be asked."""
    advice = "Is Redis running? Does a firewall block the way to it? Does it want TLS (rediss://), or none (redis://)?"
    if isinstance(error, Forbidden):
        advice = (
            "Are user, password and database in the URL right, and may this user use the relay's keys (ACL)?"
        )
    elif isinstance(error, Foreign):
        advice = "Choose another relay_name, or another database."
    return Check("fail", "relay", f"{url}: {error}", advice)


def wrong_kinds(found: Survey) -> Iterator[Check]:
    """Report what somebody else has under our names."""
    for key, kind in found.wrong_kinds.items():
        advice = "Choose another relay_name, or remove it if nobody needs it."
        yield Check("fail", "relay", f"{key} is a {kind}: somebody else uses this name", advice)


def version(found: Survey) -> Check:
    """Check that this Redis can run our scripts."""
    if found.info is None:
        return Check(
            "warn",
            "Redis",
            "unknown which: this user may not ask (INFO)",
            "Allow INFO (ACL: +info): without it nobody notices that Redis has lost what it had confirmed.",
        )
    valkey = found.info.get("valkey_version")
    text = str(found.info.get("redis_version", ""))
    numbers = tuple(int(each) for each in re.findall("[0-9]{1,6}", text)[:2])
    if numbers < OLDEST:
        return Check(
            "fail", "Redis", f"is version {text or '?'}", "A relay needs version 7, or Valkey: update it."
        )
    return Check("ok", "Redis", f"is version {text}" + (f" (Valkey {valkey})" if valkey else ""))


def durability(found: Survey, wanted_replicas: int) -> Iterator[Check]:
    """Check that what Redis has confirmed is on its disk."""
    if found.info is None:
        yield Check("warn", "on disk", "unknown: this user may not ask (INFO)", _AS_ANOTHER)
        return
    if not int(found.info.get("aof_enabled", 0)):
        advice = (
            "redis-cli config set appendonly yes; redis-cli config set appendfsync always;"
            " redis-cli config rewrite\n"
            "Where the provider allows none of it: replicas, and relay_replicas=1."
        )
        text = "appendonly is no: what it has confirmed is lost when Redis ends"
        yield Check("warn" if wanted_replicas else "fail", "on disk", text, advice)
        return
    if found.info.get("aof_last_write_status", "ok") != "ok":
        advice = "Look into the log of Redis: the disk may be full, or broken."
        yield Check("fail", "on disk", "Redis cannot write its append-only file", advice)
    yield fsync(None if found.config is None else found.config.get("appendfsync"))


def fsync(mode: str | None) -> Check:
    """Check that an entry is on disk before it is confirmed."""
    if mode == "always":
        return Check("ok", "on disk", "appendonly is yes, appendfsync is always")
    if mode is None:
        text = "appendonly is yes; appendfsync is unknown, since this user may not ask (CONFIG)"
        return Check("warn", "on disk", text, _AS_ANOTHER)
    text = f"appendonly is yes, appendfsync is {mode}: a power cut loses what was confirmed last"
    return Check("warn", "on disk", text, "redis-cli config set appendfsync always; redis-cli config rewrite")


def replicas(found: Survey, wanted: int) -> Iterator[Check]:
    """Check that somebody else has what Redis has, and that nobody writes where it would be lost."""
    if found.info is None:
        return
    if found.info.get("role") == "slave":
        yield Check(
            "fail", "replicas", "this is a replica, and takes no events", "Name its master in the URL."
        )
        return
    count = int(found.info.get("connected_slaves", 0))
    if count < wanted:
        text = f"{count or 'none'} connected, and relay_replicas is {wanted}: nothing counts as relayed"
        yield Check("fail", "replicas", text, "Start the missing replicas, or lower relay_replicas.")
    elif not count:
        advice = "A replica, and Sentinel, Cluster or your provider, take over where the machine is lost."
        yield Check("warn", "replicas", "none: what is in Redis is lost with its disk", advice)
    else:
        yield split(count, None if found.config is None else found.config.get("min-replicas-to-write"))


def split(count: int, least: str | None) -> Check:
    """Check that a master that is cut off from its replicas takes nothing."""
    if least == "0":
        text = f"{count} connected; min-replicas-to-write is 0"
        advice = (
            "redis-cli config set min-replicas-to-write 1; redis-cli config rewrite\n"
            "Else a master that is cut off takes events, and loses them when it becomes a replica."
        )
        return Check("warn", "replicas", text, advice)
    unknown = "" if least else "; min-replicas-to-write is unknown, since this user may not ask (CONFIG)"
    return Check("ok", "replicas", f"{count} connected{unknown}")


def eviction(found: Survey) -> Check:
    """Check that Redis never deletes our keys to make room."""
    policy = None if found.info is None else found.info.get("maxmemory_policy")
    if policy is None:
        return Check("warn", "memory", "unknown what it deletes when it is full", _AS_ANOTHER)
    if str(policy).startswith("allkeys"):
        advice = "redis-cli config set maxmemory-policy noeviction; redis-cli config rewrite"
        return Check(
            "fail", "memory", f"maxmemory-policy is {policy}: it deletes events when it is full", advice
        )
    bound = int((found.info or {}).get("maxmemory", 0))
    if bound and str(policy).startswith("volatile"):
        advice = "redis-cli config set maxmemory-policy noeviction; redis-cli config rewrite"
        text = f"maxmemory-policy is {policy}: it deletes the journal when it is full, and no event"
        return Check("warn", "memory", text, advice)
    return Check(
        "ok", "memory", f"maxmemory-policy is {policy}, maxmemory is {size(bound) if bound else 'not set'}"
    )


def memory(found: Survey, max_bytes: int) -> Iterator[Check]:
    """Check that Redis has room for what the relay may hold: where it is full it takes no event."""
    info = found.info or {}
    bound = int(info.get("maxmemory", 0))
    used = max(0, int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0)))
    if not bound:
        return
    raise_it = f"redis-cli config set maxmemory {2 * max_bytes}; redis-cli config rewrite"
    if used >= bound:
        text = f"Redis is full: {size(used)} of {size(bound)}: it takes no event, and is drained all the same"
        yield Check(
            "fail", "memory", text, f"See whether somebody drains, and what else is there. Or:\n{raise_it}"
        )
    elif used >= NEARLY * bound:
        text = f"Redis is nearly full: {size(used)} of {size(bound)}; then it takes no event"
        yield Check(
            "warn", "memory", text, f"See whether somebody drains, and what else is there. Or:\n{raise_it}"
        )
    if bound < 2 * max_bytes:
        text = (
            f"maxmemory is {size(bound)}, and max_relay_bytes {size(max_bytes)}: it should be twice as much"
        )
        advice = f"{raise_it}\nOr lower max_relay_bytes, in every producer."
        yield Check("warn", "memory", text, advice)


def rights(found: Survey) -> Check:
    """Check what this user may do."""
    if found.lacks_to_hand_over is None or found.lacks_to_drain is None:
        return Check("fail", "ACL", "this user may not run our scripts", "Allow +eval +evalsha +script|load.")
    if not found.lacks_to_drain and found.lacks_to_count:
        text = f"this user may drain, and not keep the journal: it lacks {', '.join(found.lacks_to_count)}"
        return Check("warn", "ACL", text, "Give it the rights of a drainer: nobody can prove a day without.")
    if not found.lacks_to_hand_over and found.lacks_to_say:
        text = f"this user may hand over, and not say how it stands: it lacks {', '.join(found.lacks_to_say)}"
        advice = "Give it the rights of a producer: else nobody sees here how each producer stands."
        return Check("warn", "ACL", text, advice)
    if not found.lacks_to_drain and not found.lacks_to_hand_over:
        return Check("ok", "ACL", "this user may hand over, and drain")
    if not found.lacks_to_hand_over:
        return Check("ok", "ACL", "this user may hand over, and not drain: an application's")
    lacks = ", ".join(found.lacks_to_hand_over)
    return Check(
        "fail", "ACL", f"this user may not hand over: it lacks {lacks}", "Give it the rights of a producer."
    )


def purpose(found: Survey, expected: Expected) -> Iterator[Check]:
    """Check for which version, which server and which key the relay is."""
    if not found.facts:
        if not found.wrong_kinds:
            yield Check("ok", "relay", "nothing was ever handed over")
        return
    for name in found.damaged:
        text = f"its field {name} is no number: somebody else has written to it; nothing is taken, nor sent"
        yield Check("fail", "relay", text, "Find out who. If it is a relay still: set the field to 0 (HSET).")
    if found.number("v") > FORMAT:
        text = f"has format {found.number('v')}, of a newer version; this one reads {FORMAT}"
        yield Check("fail", "format", text, "Update togai-shipper here.")
    base_url, key = found.facts.get("base_url", ""), found.facts.get("key", "")
    if base_url != expected.base_url:
        text = f"the relay is for {base_url or 'no server'}, and base_url is {expected.base_url}"
        yield Check(
            "fail", "base_url", text, "Correct base_url, or choose another relay_name: nothing is taken."
        )
    tried = tried_key(found.facts.get("trying", ""))
    if (key or tried) and expected.key:
        ours = hashlib.sha256(expected.key.encode()).hexdigest()[:8]
        yield fingerprint(tried if tried == ours else key or tried, ours)
    elif key:
        yield Check("ok", "drainers' key", f"fingerprint {key}")
    if tried:
        text = f"fingerprint {tried} is tried: Togai has not said yet that it takes it"
        yield Check("warn", "drainers' key", text, "See what the drainer logs: Togai may not answer it.")


def fingerprint(theirs: str, ours: str) -> Check:
    """Compare the drainers' key with the one that is set here."""
    if theirs == ours:
        return Check("ok", "drainers' key", f"fingerprint {theirs}: the one that is set here")
    advice = (
        "If ours is the same account's new key: togai-shipper drain --new-key, once.\n"
        "Else choose another relay_name: these events would go to another account."
    )
    return Check("warn", "drainers' key", f"fingerprint {theirs}, and {ours} here", advice)


def drainer(found: Survey, owner: str, now: float) -> Check:
    """Report who drains, and how it says that it stands."""
    process = as_process(found, owner)
    now_ms = int(now * 1000)
    what = word(process, now_ms)
    if what in FAILURES:
        return Check("fail", "drainer", sentence([process], now_ms), remedy(process, "URL", now_ms))
    if what in WARNINGS:
        return Check("warn", "drainer", sentence([process], now_ms), "See what it logs.")
    return Check("ok", "drainer", owner)


def drained(found: Survey, now: float) -> Iterator[Check]:
    """Check that somebody drains the relay, and somebody else stands by."""
    leader = found.leader
    if leader is None:
        yield Check("ok", "drainer", "unknown: this user may not read the lease")
        return
    if not leader.is_alive:
        yield nobody(found, leader.owner)
        return
    yield drainer(found, leader.owner, now)
    if found.drainers is None or leader.owner not in found.drainers:
        yield Check("ok", "stand by", "unknown: this user may not ask (CLIENT LIST)")
    elif found.waiting:
        yield Check("ok", "stand by", ", ".join(found.waiting))
    else:
        advice = "Run togai-shipper drain on a second host: it takes over within seconds."
        yield Check("warn", "stand by", "nobody", advice)


def nobody(found: Survey, owner: str) -> Check:
    """Report that nobody drains: or not yet: a drainer looks at a lease for 10 s before it takes it."""
    gone = f"; {owner} has not renewed the lease" if owner else ""
    if found.waiting:
        text = f"nobody yet; waiting to take the lease: {', '.join(found.waiting)}{gone}"
        advice = "That takes some 10 seconds: run this again. If it still waits then, see what it logs."
        return Check("warn", "drainer", text, advice)
    text = f"nobody: {owner} is gone" if owner else "nobody"
    if found.drainers is None:
        text += "; whether one waits to take the lease is unknown: this user may not ask (CLIENT LIST)"
    advice = "Start one, on two hosts: togai-shipper drain URL"
    return Check("fail" if found.number("events") else "warn", "drainer", text, advice)


def producers(found: Survey, url: str, now: float) -> Iterator[Check]:
    """Report what those that hand over say of themselves."""
    now_ms = int(now * 1000)
    for text in told(found, now_ms):
        yield Check("ok", "producers", text)
    for alike in grouped(in_trouble(producing(found, now_ms), now_ms), now_ms):
        level: Literal["fail", "warn"] = "fail" if word(alike[0], now_ms) in FAILURES else "warn"
        yield Check(level, "producer", sentence(alike, now_ms), remedy(alike[0], url, now_ms))


def contents(found: Survey, expected: Expected, now: float) -> Iterator[Check]:
    """Report what waits, what was refused, and what was lost."""
    waiting, since = found.number("events"), now - found.number("oldest") / 1000
    text = f"{plural(waiting, 'event')}, {size(found.number('bytes'))}"
    if waiting and since > STALLED:
        advice = "See what the drainers log; or whether they keep up: togai-shipper spool ls URL"
        yield Check("warn", "waiting", f"{text}; the oldest for {age(since)}", advice)
    elif found.facts:
        yield Check("ok", "waiting", text)
    if found.number("bytes") >= NEARLY * expected.max_bytes:
        full = f"{text}, and max_relay_bytes is {size(expected.max_bytes)}: then events wait in the producers"
        yield Check("warn", "waiting", full, "See whether somebody drains, and whether Togai answers.")
    if found.entries and not waiting:
        text = f"{plural(found.entries, 'entry', 'entries')}, and not one event is counted"
        yield Check("warn", "foreign", text, "See what they are: togai-shipper spool verify URL")
    dead = found.number("dead") if found.dead is None else found.dead
    if dead:
        see = f"See why: togai-shipper spool dead {shown(expected.url)}"
        yield Check("warn", "dead letters", f"{dead:,}", see)
    if lost := found.number("lost"):
        advice = "Somebody has trimmed or deleted the stream, or Redis came back without it: see its log."
        yield Check("warn", "lost", f"{plural(lost, 'event')} that were handed over", advice)
