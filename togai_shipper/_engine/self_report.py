"""How the shipper of one process stands, as that process tells others: the facts, and their text. Pure.

Never a key, never an event: counts, moments, and why events do not get through, as ``stats()`` says it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Literal, TypeAlias, get_args

import attrs

from togai_shipper._outcome import State, Stats

#: What is wrong, the worst first; empty where nothing is. ``unwell``: something else than these.
Trouble: TypeAlias = Literal["parked", "refusing", "not durable", "unwell", ""]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
WHY_MOST = 400  # characters that are told of why
RELAY_MOST = 200  # characters of where it is
_MOST = 10**15  # of any count in it: more were never tracked
_LATEST = 253_402_300_799_999  # milliseconds: the end of the year 9999, the last that can be written
_LONGEST = 10_000  # of a text that is read: others may have written it


@attrs.frozen(kw_only=True)
class SelfReport:
    """How the shipper of one process stands.

    Attributes:
        at_ms: when that was so, by the wall clock of the process.
        since_ms: since when it has had this state and this trouble.
        state: as in ``stats()``.
        is_healthy: as in ``healthy``.
        is_by_key: it is parked since the key is refused.
        is_refusing: the buffer was full, and refused events, within the last minute.
        is_durable: what is accepted is on disk, or in a relay.
        why: why events do not get through, or why the last attempt failed; else empty.
        pending: events that have no outcome yet.
        oldest_ms: when the oldest of them was accepted, by the wall clock; ``None`` where none is pending.
        accepted, delivered, relayed, rejected, dropped, retries, requests: as in ``stats()``; ``dropped`` for
            all reasons.
        refused_full: events that were refused since the buffer was full.
        dead_letters: as in ``stats()``.
        relay: where it hands its events over, without what is secret in that; empty: to nobody.

    """

    at_ms: int
    since_ms: int
    state: State = "open"
    is_healthy: bool = True
    is_by_key: bool = False
    is_refusing: bool = False
    is_durable: bool = True
    why: str = ""
    pending: int = 0
    oldest_ms: int | None = None
    accepted: int = 0
    delivered: int = 0
    relayed: int = 0
    rejected: int = 0
    dropped: int = 0
    retries: int = 0
    requests: int = 0
    refused_full: int = 0
    dead_letters: int = 0
    relay: str = ""

    @property
    def trouble(self) -> Trouble:
        """What is wrong, the worst of it."""
        if self.state == "parked":
            return "parked"
        if self.is_refusing:
            return "refusing"
        if not self.is_durable:
            return "not durable"
        return "" if self.is_healthy else "unwell"

    @property
    def is_calm(self) -> bool:
        """Whether nothing changes until somebody tracks an event."""
        return not self.pending and not self.trouble

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(attrs.asdict(self), separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> SelfReport | None:
        """Return what ``as_text`` has written, also in another version; ``None`` for anything else.

        Others may have written it: a count is one that can be, and ``why`` no longer than we write it.
        """
        with suppress(ValueError, TypeError, RecursionError):
            if len(text) <= _LONGEST and isinstance(facts := json.loads(text), dict):
                return _checked(cls(**{name: facts[name] for name in _KINDS.keys() & facts.keys()}))
        return None


_KINDS: dict[str, tuple[type, ...]] = {
    "state": (str,),
    "why": (str,),
    "relay": (str,),
    "oldest_ms": (int, type(None)),
    **dict.fromkeys(("is_healthy", "is_by_key", "is_refusing", "is_durable"), (bool,)),
    **dict.fromkeys(("at_ms", "since_ms", "pending", "accepted", "delivered", "relayed"), (int,)),
    **dict.fromkeys(("refused_full", "dead_letters"), (int,)),
    **dict.fromkeys(("rejected", "dropped", "retries", "requests"), (int,)),
}


def _checked(report: SelfReport) -> SelfReport:
    """Return it, if every fact is of its kind, and can be. Raises ``TypeError``."""
    for name, kinds in _KINDS.items():
        value = getattr(report, name)
        most = _LATEST if name.endswith("_ms") else _MOST
        if type(value) not in kinds or (isinstance(value, int) and not 0 <= value <= most):
            raise TypeError(name)
    if report.state not in get_args(State):
        raise TypeError("state")
    return attrs.evolve(report, why=report.why[:WHY_MOST])


_REQUESTS = "retries", "requests"


def self_report_of(
    stats: Stats,
    now_ms: int,
    *,
    is_healthy: bool,
    is_by_key: bool,
    is_refusing: bool,
    keeps: bool,
    relay: str = "",
) -> SelfReport:
    """Return how a shipper stands by its figures; ``keeps``: it was told to keep events on disk."""
    facts: dict[str, Any] = {
        name: getattr(stats, name)
        for name in ("state", "pending", "accepted", "delivered", "relayed", "rejected", *_REQUESTS)
    }
    return SelfReport(
        at_ms=now_ms,
        since_ms=now_ms,
        is_healthy=is_healthy,
        is_by_key=is_by_key,
        is_refusing=is_refusing,
        is_durable=stats.durable or not keeps,
        why=(stats.last_error or "")[:WHY_MOST],
        oldest_ms=now_ms - int(stats.oldest_pending_age * 1000) if stats.pending else None,
        dropped=sum(stats.dropped.values()),
        refused_full=stats.refused["full"],
        dead_letters=stats.dead_letters,
        relay=relay[:RELAY_MOST],
        **facts,
    )
