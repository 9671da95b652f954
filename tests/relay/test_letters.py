"""``relay.letters``: a dead letter as JSON, and what a stranger may have put in its place."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from togai_shipper._event import encode as encode_event
from togai_shipper.relay.letters import encode, read
from togai_shipper.spool.rows import CORRUPT, DeadLetter


def body_of(event_id: str) -> bytes:
    return encode_event("api_call", "acme-é", {"n": 1}, {"a": 'b"\n'}, "2026-09-21T12:00:00.000Z", event_id)


LETTER = DeadLetter(
    "order-7", 1_790_000_000_000, body_of("order-7"), "rejected", 400, "bad: é", 2, 1_790_000_001_000
)


@pytest.mark.parametrize("status", [400, None])
def test_a_letter_is_read_as_it_was_written(status: int | None) -> None:
    letter = attrs.evolve(LETTER, status=status)
    assert read("order-7", encode(letter)) == letter
    assert b"\n" not in encode(letter)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"v": 2}, "newer version"),
        ({"v": True}, "field v"),
        ({"v": None}, "field v"),
        ({"reason": 1}, "field reason"),
        ({"status": "400"}, "field status"),
        ({"accepted_ms": -1}, "field accepted_ms"),
        ({"dead_ms": 2**63}, "field dead_ms"),
        ({"attempts": 1.0}, "field attempts"),
        ({"body": None}, "no text"),
        ({"body": "\ud800"}, "no text"),
        ({"body": "{}"}, "no event"),
        ({"body": body_of("order-8").decode()}, "another id"),
        ({"more": 1}, "other fields"),
    ],
)
def test_what_is_no_letter_of_ours_is_read_as_a_corrupt_one(changed: dict[str, Any], why: str) -> None:
    text = json.dumps(json.loads(encode(LETTER)) | changed).encode()
    letter = read("order-7", text)
    assert (letter.id, letter.reason, letter.body) == ("order-7", CORRUPT, text)
    assert why in letter.message


@pytest.mark.parametrize("text", [b"", b"x", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_any_bytes_at_all_are_read_as_a_corrupt_letter(text: bytes) -> None:
    assert read("any", text).reason == CORRUPT
