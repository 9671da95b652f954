"""What a relay answers, as facts; and how they are read out of what redis-py gives. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

_LONGEST_ID = 100
_FIGURE = re.compile(r"-?[0-9]{1,15}|[0-9]{16}")
_RUN_ID, _REPLICATION_ID = b"\nrun_id:", b"\nmaster_replid:"


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
        is_noted: it has taken the note that came along.

    """

    epoch: str = ""
    events: int = 0
    out: int = 0
    dead: int = 0
    server: Server | None = None
    is_noted: bool = False


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
    """An entry whose events all have their outcome.

    ``letters``: its dead letters, as JSON, by their ids; ``delivered``: its other events.
    """

    id: str
    mark: bytes
    count: int
    size: int
    letters: Mapping[str, bytes] = attrs.field(factory=dict)
    delivered: Sequence[bytes] = ()


@attrs.frozen
class Removed:
    """What ``settle`` did: ``removed`` entries, and those ``kept`` since there are too many dead letters.

    ``lost_to``: the lease is another's; nothing was done. ``not_counted``: why the journal does not count
    what was removed.
    """

    removed: Sequence[str] = ()
    kept: Sequence[str] = ()
    lost_to: str | None = None
    not_counted: str = ""


# --- reading ---


def server_of(said: Any) -> Server | None:
    """Return who has answered, by what INFO says; of a text only two lines are looked at, for speed."""
    if isinstance(said, bytes):
        found = _line_of(said, _RUN_ID), _line_of(said, _REPLICATION_ID)
        return Server(*found) if all(found) else None
    facts = info_of(said)
    run_id, replication_id = facts.get("run_id"), facts.get("master_replid")
    return Server(run_id, replication_id) if run_id and replication_id else None


def _line_of(said: bytes, name: bytes) -> str:
    """Return what stands behind a name, to the end of its line; empty where it is not there."""
    _, _, rest = said.partition(name)
    return rest[:_LONGEST_ID].partition(b"\r")[0].decode("ascii", "replace")


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


def figure_of(text: str) -> int | None:
    """Return a figure of the relay's hash, at least 0; ``None`` where it is none, as for the scripts."""
    return max(0, int(text)) if _FIGURE.fullmatch(text) else None


def text_of(value: Any) -> str:
    """Return a value as text, whichever way the client gives it."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def texts_of(values: Any) -> list[str]:
    """Return each value as text."""
    return [text_of(value) for value in values]
