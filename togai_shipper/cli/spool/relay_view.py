"""Put what is known of a relay into words, and into JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from togai_shipper.cli.formats import age, moment, plural, size
from togai_shipper.cli.processes import (
    FAILURES,
    WARNINGS,
    by_trouble,
    grouped,
    process_json,
    remedy,
    sentence,
    word,
)
from togai_shipper.cli.relay_processes import drainer, in_trouble, producing, told
from togai_shipper.relay.key_trial import tried_key
from togai_shipper.relay.survey import Leader, Survey


def relay_lines(url: str, name: str, found: Survey, now_ms: int) -> Iterator[str]:
    """Say what a relay holds, who drains it, and for whom."""
    if found.wrong_kinds:
        for key, kind in found.wrong_kinds.items():
            yield f"{key} is a {kind}: somebody else uses this name in {url}."
        return
    if not found.facts and not found.entries and not found.dead:
        yield f"{url}: nothing was ever handed over under the name {name}."
        return
    oldest = found.number("oldest")
    rows = {
        "entries": _count(found.entries),
        "events": f"{found.number('events'):,}",
        "bytes": size(found.number("bytes")),
        "oldest": f"{age((now_ms - oldest) / 1000)}, accepted {moment(oldest)}"
        if found.number("events")
        else "",
        "in": f"{found.number('in'):,} events, ever",
        "out": f"{found.number('out'):,}",
        "lost": f"{found.number('lost'):,}: they were in the stream when it was deleted or trimmed"
        if found.number("lost")
        else "none known",
        "dead": _count(found.dead),
        "base URL": found.facts.get("base_url", "none yet"),
        "key": _key(found.facts),
        "drained by": leader_text(found.leader),
        "stand by": ", ".join(found.waiting),
        "producers": "; ".join(told(found, now_ms)),
    }
    for label, text in rows.items():
        if text:
            yield f"{label:12}{text}"
    yield from _troubles(found, url, now_ms)


def _troubles(found: Survey, url: str, now_ms: int) -> Iterator[str]:
    """Say what is wrong with who drains it, and those that hand over."""
    if found.leader and found.leader.is_alive:
        process = drainer(found, found.leader.owner)
        if word(process, now_ms) in (*FAILURES, *WARNINGS):
            yield ""
            yield f"{sentence([process], now_ms)}."
    for alike in grouped(in_trouble(producing(found, now_ms), now_ms), now_ms):
        yield ""
        yield f"{sentence(alike, now_ms)}."
        yield from (f"  {line}" for line in remedy(alike[0], url, now_ms).splitlines())
    if found.number("events") and found.leader and not found.leader.is_alive:
        yield ""
        waiting = plural(found.number("events"), "event waits", "events wait")
        if found.waiting:
            yield f"{waiting}, and nobody drains yet; waiting to take the lease: {', '.join(found.waiting)}."
        else:
            yield f"{waiting}, and nobody drains. Start a drainer:"
            yield f"  togai-shipper drain {url}"


def leader_text(leader: Leader | None) -> str:
    """Name who drains a relay."""
    if leader is None:
        return "unknown: this user may not read the lease"
    if not leader.owner:
        return "nobody"
    return leader.owner if leader.is_alive else f"nobody: {leader.owner} has not renewed its lease for 4 s"


def _key(facts: Mapping[str, str]) -> str:
    key, tried = facts.get("key"), tried_key(facts.get("trying", ""))
    text = f"fingerprint {key}" if key else "none has drained it yet"
    return f"{text}; {tried} is tried" if tried else text


def _count(number: int | None) -> str:
    return "unknown: this user may not read it" if number is None else f"{number:,}"


def relay_json(
    url: str, name: str, found: Survey, reasons: Mapping[str, int], problems: list[str], now_ms: int
) -> dict[str, Any]:
    """Return what is known of a relay, for JSON."""
    oldest = found.number("oldest")
    return {
        "relay": url,
        "name": name,
        "base_url": found.facts.get("base_url"),
        "key_fingerprint": found.facts.get("key") or None,
        "tried_key_fingerprint": tried_key(found.facts.get("trying", "")) or None,
        "epoch": found.facts.get("epoch"),
        "leader": None if found.leader is None else found.leader.owner or None,
        "leader_alive": None if found.leader is None else found.leader.is_alive,
        "drainers": found.drainers,
        "entries": found.entries,
        "events": found.number("events"),
        "bytes": found.number("bytes"),
        "oldest": moment(oldest) if found.number("events") else None,
        "in": found.number("in"),
        "out": found.number("out"),
        "lost": found.number("lost"),
        "dead": found.dead,
        "dead_by_reason": dict(reasons),
        "producers": None
        if found.producers is None
        else [process_json(each, now_ms) for each in by_trouble(producing(found, now_ms), now_ms)],
        "problems": problems,
    }
