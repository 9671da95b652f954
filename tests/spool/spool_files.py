"""What the tests put into a file of events, and damage in it."""

from __future__ import annotations

import attrs

from togai_shipper.spool.rows import DeadLetter

DAY = 86_400_000  # milliseconds
NOW = 100 * DAY
META = {"base_url": "https://api.togai.com", "pid": "7"}


def letter(name: str = "a", reason: str = "rejected", accepted_ms: int = NOW, **facts: object) -> DeadLetter:
    body = b'{"id":"%s"}' % name.encode()
    made = DeadLetter(name, accepted_ms, body, reason, 400, "no such schema", 3, NOW)
    return attrs.evolve(made, **facts)


def events(*names: str) -> list[tuple[int, bool, bytes]]:
    return [(NOW + n, False, b'{"id":"%s"}' % name.encode()) for n, name in enumerate(names)]


def flipped(original: bytes, bit: int) -> bytes:
    changed = bytearray(original)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
