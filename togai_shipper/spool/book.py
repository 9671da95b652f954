"""All that one journal says, apart from where it is kept. Pure."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from zlib import crc32

import attrs

from .tally import Key, Tally

SOME_DAY = ""  # where what is damaged does not tell the day
_MINTED = 16  # bytes of an id that we have minted
_HEAD = struct.Struct(">II")  # number of the key, and how many ids


@attrs.frozen
class Book:
    """All that one journal says.

    Attributes:
        id: names this journal for ever.
        host, process: where it was written.
        base_url: where the events went.
        since_ms, until_ms: the hours covered, in milliseconds of the wall clock.
        keeps_ids: whether ids are kept.
        counts: how many events are alike; the number of each is that in ``ids``.
        ids: packed ids, each with the day on which they left.
        doubts: what may be counted twice, or not at all, by day.

    """

    id: str
    host: str
    process: str
    base_url: str
    since_ms: int
    until_ms: int
    keeps_ids: bool
    counts: Mapping[int, tuple[Key, int]] = attrs.field(factory=dict, hash=False)
    ids: tuple[tuple[str, bytes], ...] = ()
    doubts: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def __bool__(self) -> bool:
        return bool(self.counts or self.doubts)

    def with_more(self, tally: Tally, now_ms: int) -> Book:
        """Return it with what a tally has counted, but for the ids."""
        counts = dict(self.counts.values())
        for key, count in tally.counts.items():
            counts[key] = counts.get(key, 0) + count
        return attrs.evolve(
            self, counts=dict(enumerate(counts.items(), 1)), until_ms=max(self.until_ms, now_ms)
        )

    def as_text(self) -> str:
        """Return it as JSON, without the ids."""
        facts = attrs.asdict(self, filter=attrs.filters.exclude("ids", "counts"))
        counts = [[number, *key, count] for number, (key, count) in self.counts.items()]
        return json.dumps({**facts, "counts": counts}, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str | bytes, ids: tuple[tuple[str, bytes], ...] = ()) -> Book:
        """Return what ``as_text`` has written. Raises ``ValueError`` and the like for something else."""
        facts = json.loads(text)
        counts = {
            int(number): ((day, left_on, schema, bool(chosen), account, fate), int(count))
            for number, day, left_on, schema, chosen, account, fate, count in facts.pop("counts")
        }
        return cls(**facts, counts=counts, ids=ids)

    def listed(self) -> Iterator[tuple[Key, list[str]]]:
        """Yield the ids, with what they have in common. Raises ``ValueError`` where they are damaged."""
        for _, packed in self.ids:
            for number, ids in unpacked(packed, self.counts):
                yield self.counts[number][0], ids


def packed(tally: Tally, numbers: Mapping[Key, int]) -> Iterator[tuple[str, bytes]]:
    """Yield the ids of a tally by the day on which they left, 16 bytes for one that we have minted."""
    by_day: dict[str, list[bytes]] = {}
    for key, ids in tally.ids.items():
        _, left_on, _, is_chosen, _, _ = key
        if is_chosen:
            body = b"".join(bytes([len(raw)]) + raw for raw in (event_id.encode() for event_id in ids))
        else:
            body = bytes.fromhex("".join(ids))
        by_day.setdefault(left_on, []).append(_HEAD.pack(numbers[key], len(ids)) + body)
    for day, parts in by_day.items():
        yield day, b"".join(parts)


def unpacked(packed: bytes, counts: Mapping[int, tuple[Key, int]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each key, and its ids. Raises ``ValueError`` where the bytes are something else."""
    at = 0
    with suppress(struct.error, IndexError, KeyError, UnicodeDecodeError):
        while at < len(packed):
            number, count = _HEAD.unpack_from(packed, at)
            at += _HEAD.size
            _, _, _, is_chosen, _, _ = counts[number][0]
            ids = []
            for _ in range(count):
                size = packed[at] if is_chosen else _MINTED
                at += is_chosen
                raw = packed[at : at + size]
                ids.append(raw.decode() if is_chosen else raw.hex())
                at += size
            yield number, ids
        if at == len(packed):
            return
    raise ValueError("ids are damaged")


def checksum_of(number: int, left_on: str, key: str, count: int, at_ms: int) -> int:
    """Return the checksum of a row of the journal."""
    return crc32(f"{number} {left_on} {count} {at_ms} {key}".encode())
