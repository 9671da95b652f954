"""The replies of a server that the pipeline's tests script."""

from __future__ import annotations

from typing import Any

from virtual import OK

from togai_shipper._engine.verdict import Reply

LOST = Reply(None, error="no reply: reset")
REFUSED = Reply(None, error="no reply: refused", sent=False)
UNAVAILABLE = Reply(503, b"<html>")
THROTTLED = Reply(429, b'{"message": "slow down"}')
POISON = Reply(400, b'{"message": "bad event"}')
UNAUTHORIZED = Reply(401, b'{"message": "no such key"}')
FORBIDDEN = Reply(403, b'{"message": "forbidden"}')
BOOM = Reply(500, b'{"message": "boom"}')


def poisons(*poison: str, reply: Reply = POISON) -> Any:
    return lambda sent: reply if set(sent.ids) & set(poison) else OK
