"""What one writes by hand in half an hour: a queue, a thread, requests. It checks nothing, loses events."""

from __future__ import annotations

import queue
import threading
import uuid
from contextlib import suppress
from datetime import datetime, timezone

import requests

from . import Contender, calls_of

SIZE = 500


def start(url: str, in_flight: int, folder: str, *, varied: bool = False) -> Contender:  # noqa: ARG001  one request at a time, no disk
    """One that runs."""
    events: queue.Queue[dict[str, object] | None] = queue.Queue()

    def track(
        schema_name: str, account_id: str, attributes: dict[str, float], dimensions: dict[str, str]
    ) -> None:
        events.put(
            {
                "schemaName": schema_name,
                "id": str(uuid.uuid4()),
                "timestamp": datetime.now(timezone.utc).isoformat(),
                "accountId": account_id,
                "attributes": [{"name": name, "value": str(value)} for name, value in attributes.items()],
                "dimensions": dimensions,
            }
        )

    def work() -> None:
        session, is_over = requests.Session(), False
        while not is_over:
            batch = [events.get()]
            with suppress(queue.Empty):
                while len(batch) < SIZE and batch[-1] is not None:
                    batch.append(events.get(timeout=1.0))
            is_over = batch[-1] is None
            if body := [event for event in batch if event is not None]:
                session.post(f"{url}/ingestBatch", json={"events": body}, timeout=60)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def finish() -> None:
        events.put(None)
        thread.join()

    return calls_of(track, varied=varied), finish
