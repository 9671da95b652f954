"""What a relay answers, as facts; and how they are read out of what redis-py gives. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)
_REPLICATION_ID = re.compile(rb"^master_replid:(\w+)", re.MULTILINE)


@attrs.frozen
class Server:
    """Which Redis has answered: another one may have lost what the one before had confirmed."""

    run_id: str
    replication_id: str


@attrs.frozen(kw_only=True)
class Standing:
    """How the relay stands.

    Attributes:
        epoch: names the relay, as long as Redis does not lose it; empty where there is none yet.
        events: how many events the relay holds.
        out: how many have left it, ever.
        dead: how many dead letters it has.
        server: who has answered; ``None`` where it does not say.

    """

    epoch: str = ""
    events: int = 0
    out: int = 0
    dead: int = 0
    server: Server | None = None


@attrs.frozen(kw_only=True)
class Added(Standing):
    """An entry is in the stream.

    Attributes:
        id: its id there.
        replicas: on how many replicas the entry is.
        on_disk: on how many of these, and the server itself, it is on disk; ``None`` before Redis 7.2.

    """

    id: str
    replicas: int = 0
    on_disk: int | None = None


@attrs.frozen
class Done:
    """An entry whose events all have their outcome; ``letters``: its dead letters, as JSON, by their ids."""

    id: str
    mark: bytes
    count: int
    size: int
    letters: Mapping[str, bytes] = attrs.field(factory=dict)


@attrs.frozen
class Removed:
    """What ``settle`` did: ``removed`` entries, and those ``kept`` since there are too many dead letters.

    ``lost_to``: the lease is another's; nothing was done.
    """

    removed: Sequence[str] = ()
    kept: Sequence[str] = ()
    lost_to: str | None = None


# --- reading ---


def server_of(said: Any) -> Server | None:
    """Return who has answered, by what INFO says; of a text only two lines are looked at, for speed."""
    if isinstance(said, bytes):
        found = _RUN_ID.search(said), _REPLICATION_ID.search(said)
        return Server(*(match[1].decode() for match in found if match)) if all(found) else None
    facts = info_of(said)
    run_id, replication_id = facts.get("run_id"), facts.get("master_replid")
    return Server(run_id, replication_id) if run_id and replication_id else None


def info_of(said: Any) -> dict[str, str]:
    """Return what INFO says, which redis-py has read already or not."""
    if isinstance(said, (bytes, str)):
        lines = [line.partition(":") for line in text_of(said).splitlines()]
        return {name: value for name, _, value in lines}
    return {str(name): str(value) for name, value in said.items()}


def pairs_of(found: Mapping[Any, Any]) -> dict[bytes, bytes]:
    """Return names and values as bytes, whichever way the client gives them."""
    return {_bytes(name): _bytes(value) for name, value in found.items()}


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def text_of(value: Any) -> str:
    """Return a value as text, whichever way the client gives it."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def texts_of(values: Any) -> list[str]:
    """Return each value as text."""
    return [text_of(value) for value in values]
