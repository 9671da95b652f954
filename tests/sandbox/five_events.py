"""A batch of five events, and ways to send it, for the tests of the sandbox's faults."""

from __future__ import annotations

import json
import socket
from typing import Any

import requests

from togai_shipper.testing import FakeTogai

TAKEN = {"none": 0, "half": 2, "all": 5}  # of a batch of 5


def event(event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "schemaName": "api_call",
        "timestamp": "2024-01-01T00:00:00Z",
        "accountId": "acme",
        "attributes": [],
        "dimensions": {},
    } | changes


FIVE = [event(f"e-{n}") for n in range(5)]


def batch(
    session: requests.Session, togai: FakeTogai, events: list[Any] = FIVE, **options: Any
) -> requests.Response:
    options.setdefault("timeout", 10)
    return session.post(togai.url + "/ingestBatch", json={"events": events}, **options)


def single(session: requests.Session, togai: FakeTogai, one: dict[str, Any]) -> requests.Response:
    return session.post(togai.url + "/ingest", json={"event": one}, timeout=10)


def bare(togai: FakeTogai, events: list[Any] = FIVE, key: str = "secret") -> socket.socket:
    """A connection on which a batch was sent."""
    body = json.dumps({"events": events}).encode()
    head = (
        "POST /ingestBatch HTTP/1.1\r\nHost: togai\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", togai.port), 10)
    connection.sendall(head.encode() + body)
    return connection


def everything(connection: socket.socket) -> bytes:
    """All bytes until the other end closes."""
    received = b""
    while more := connection.recv(65536):
        received += more
    return received
