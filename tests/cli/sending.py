"""What the tests of ``togai-shipper send`` share: a sandbox, lines, and what is billed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from togai_shipper.testing import FakeTogai

KEY = "secret"
AT = "2026-01-31T23:59:59Z"
CSV_HEADER = "schema_name,account_id,timestamp,attributes.count\n"

Send = Callable[..., Result]


def environment(togai: FakeTogai) -> dict[str, str]:
    return {
        "TOGAI_API_KEY": KEY,
        "TOGAI_BASE_URL": togai.url,
        "TOGAI_RATE_LIMIT": "none",
        "TOGAI_FLUSH_INTERVAL": "0.02",
        "TOGAI_BACKOFF_INITIAL": "0.005",
        "TOGAI_BACKOFF_MAX": "0.02",
    }


def line(account: str = "acme", **fields: Any) -> str:
    return json.dumps({"schema_name": "api_call", "account_id": account, "timestamp": AT, **fields})


def row(account: str = "acme", count: object = 1) -> str:
    return f"api_call,{account},{AT},{count}"


def write(name: str, *lines: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{each}\n" for each in lines))
    return path


def accounts(togai: FakeTogai) -> list[str]:
    """Of every event that the sandbox bills, as often as it does."""
    entries = map(togai.ledger.get, togai.ledger.ids)
    return sorted(
        str(entry.event["accountId"]) for entry in entries if entry.event for _ in range(entry.metered)
    )
