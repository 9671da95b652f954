"""An entry of the relay's stream: one batch of events, as a producer hands it over. Pure.

What is in a stream may come from anybody who can write to that Redis, so all of it is checked: ``read``
gives an ``Entry``, or raises ``NotOurs`` with the reason.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Mapping, Sequence

import attrs

from togai_shipper._event import ChosenId

FORMAT = 1  # what this version writes, and the newest that it reads
MOST_EVENTS = 500
MOST_BYTES = 16 * 1024**2  # of the events, unpacked
MARK_BYTES = 16
OVERHEAD = 96  # about what Redis keeps of an entry beside its events, in bytes
FIELDS = frozenset({b"v", b"k", b"n", b"e", b"t", b"c"})
_DIGITS = 15


class NotOurs(Exception):  # noqa: N818  a finding; never leaves the package
    """An entry that no drainer of this version can read. It stays where it is."""


@attrs.frozen
class Entry:
    """One batch in the stream.

    Attributes:
        id: the entry's place in the stream, as Redis gave it.
        mark: 16 random bytes, by which it is told from another one that has got the same id.
        events: encoded events, oldest first; a ``ChosenId`` where the application chose the id.
        accepted_ms: when the oldest was accepted, in milliseconds, by the producer's wall clock.
        size: what it counts for against ``max_relay_bytes``.

    """

    id: str
    mark: bytes
    events: Sequence[bytes]
    accepted_ms: int
    size: int


def fields_of(events: Sequence[bytes], mark: bytes, accepted_ms: int) -> dict[bytes, bytes]:
    """Return the fields of an entry with these events."""
    return {
        b"v": b"%d" % FORMAT,
        b"k": mark,
        b"n": b"%d" % len(events),
        b"t": b"%d" % accepted_ms,
        b"c": _chosen(events),
        b"e": zlib.compress(b"\n".join(events), 1),
    }


def parted(entry: Entry, later: Collection[int]) -> list[dict[bytes, bytes]]:
    """Return the fields of two entries in the place of one: the second has the events that may go later.

    ``later``: the identities of those events.
    """
    parts = (
        [event for event in entry.events if id(event) not in later],
        [event for event in entry.events if id(event) in later],
    )
    return [fields_of(part, os.urandom(MARK_BYTES), entry.accepted_ms) for part in parts]


def size_of(fields: Mapping[bytes, bytes]) -> int:
    """Return what an entry with these fields counts for against ``max_relay_bytes``, in bytes."""
    return len(fields[b"e"]) + OVERHEAD


def claimed_by(fields: Mapping[bytes, bytes]) -> tuple[int, int]:
    """Return how many events, and bytes, an entry that cannot be read may be counted for, at most.

    It may be damaged, or of a newer format, and then it is counted; or a stranger's, and then it is not.
    """
    text = fields.get(b"n", b"")
    count = int(text) if text.isdigit() and len(text) <= _DIGITS else 0
    return (count, size_of(fields)) if fields.keys() >= FIELDS and 1 <= count <= MOST_EVENTS else (0, 0)


def read(entry_id: str, fields: Mapping[bytes, bytes]) -> Entry:
    """Return what is in an entry. Raises ``NotOurs``."""
    if fields.keys() != FIELDS:
        raise NotOurs("it has other fields than ours")
    version = _number(fields[b"v"], "v")
    if version > FORMAT:
        raise NotOurs(f"it has format {version}, of a newer version; update the drainers first")
    count, accepted_ms = _number(fields[b"n"], "n"), _number(fields[b"t"], "t")
    mark = fields[b"k"]
    if len(mark) != MARK_BYTES:
        raise NotOurs(f"its mark has {len(mark)} bytes, not {MARK_BYTES}")
    if not 1 <= count <= MOST_EVENTS:
        raise NotOurs(f"it says that it has {count} events, and {MOST_EVENTS} is the most")
    events = _unpacked(fields[b"e"]).split(b"\n")
    if len(events) != count:
        raise NotOurs(f"it says that it has {count} events, and has {len(events)}")
    return Entry(entry_id, mark, _as_chosen(events, fields[b"c"]), accepted_ms, size_of(fields))


def _number(text: bytes, name: str) -> int:
    if not text.isdigit() or len(text) > _DIGITS:
        raise NotOurs(f"its field {name} is no number")
    return int(text)


def _unpacked(packed: bytes) -> bytes:
    """Return the events, unpacked; never more than ``MOST_BYTES`` of them, whatever was packed."""
    unpacker = zlib.decompressobj()
    try:
        events = unpacker.decompress(packed, MOST_BYTES + 1)
    except zlib.error as error:
        raise NotOurs("its events are damaged") from error
    if len(events) > MOST_BYTES:
        raise NotOurs(f"its events take more than {MOST_BYTES:,} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise NotOurs("its events are cut, or something follows them")
    return events


def _chosen(events: Sequence[bytes]) -> bytes:
    """Return one bit for each event, the first one's lowest; empty where no id was chosen."""
    bits = sum(1 << place for place, event in enumerate(events) if type(event) is ChosenId)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _as_chosen(events: list[bytes], chosen: bytes) -> list[bytes]:
    bits = int.from_bytes(chosen[: MOST_EVENTS // 8 + 1], "little")
    return [ChosenId(event) if bits >> place & 1 else event for place, event in enumerate(events)]
