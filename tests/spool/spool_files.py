"""What the tests put into a file of events, and damage in it."""

from __future__ import annotations

import attrs

from togai_shipper._event import encode
from togai_shipper.spool.rows import DeadLetter

DAY = 86_400_000  # milliseconds
NOW = 100 * DAY
META = {"base_url": "https://api.togai.com", "pid": "7"}


def body(name: str, size: int = 0) -> bytes:
    """An event with this id, of so many bytes, if it has not more."""
    key = "x"
    while True:
        made = encode("api_call", "acme", {}, {key: "1"}, "2026-01-31T23:59:59.999Z", name)
        if len(made) >= size:
            return made
        key += "x" * (size - len(made))


def letter(name: str = "a", reason: str = "rejected", accepted_ms: int = NOW, **facts: object) -> DeadLetter:
    made = DeadLetter(name, accepted_ms, body(name), reason, 400, "no such schema", 3, NOW)
    return attrs.evolve(made, **facts)


def events(*names: str) -> list[tuple[int, bool, bytes]]:
    return [(NOW + n, False, body(name)) for n, name in enumerate(names)]


def flipped(original: bytes, bit: int) -> bytes:
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
