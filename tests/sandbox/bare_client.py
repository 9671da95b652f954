"""Events, and requests of a bare client, for the tests of the sandbox's ledger."""

from __future__ import annotations

from typing import Any

import requests

from togai_shipper.testing import FakeTogai

DAY = 86_400.0
METERED = "INGESTION_COMPLETED_EVENT_METERED"
DUPLICATE = "INGESTION_FAILED_DUPLICATE_EVENT"
INVALID_LICENSE = "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT"


def event(event_id: str | None = "e-1", **changes: Any) -> dict[str, Any]:
    return {
        **({} if event_id is None else {"id": event_id}),
        "schemaName": "api_call",
        "timestamp": "2023-12-31T23:59:59.999Z",
        "accountId": "acme",
        "attributes": [{"name": "count", "value": "1"}],
        "dimensions": {"region": "eu"},
    } | changes


def single(session: requests.Session, togai: FakeTogai, one: dict[str, Any]) -> requests.Response:
    return session.post(togai.url + "/ingest", json={"event": one}, timeout=10)


def batch(session: requests.Session, togai: FakeTogai, *events: dict[str, Any]) -> requests.Response:
    return session.post(togai.url + "/ingestBatch", json={"events": events}, timeout=10)


def get(session: requests.Session, togai: FakeTogai, path: str, **query: Any) -> requests.Response:
    return session.get(togai.url + path, params=query, timeout=10)
