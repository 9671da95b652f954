"""The least that ships the event of ``by_hand``: a deque for a queue, ``http.client`` for requests."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import uuid
from collections import deque
from contextlib import suppress
from datetime import datetime, timezone
from urllib.parse import urlsplit

from . import Contender, calls_of

SIZE = 500
END = 0


def start(url: str, in_flight: int, folder: str, *, varied: bool = False) -> Contender:  # noqa: ARG001, C901  no disk; one closure, as in ``by_hand``
    """One that runs."""
    events: deque[dict[str, object]] = deque()
    due: queue.SimpleQueue[int] = queue.SimpleQueue()  # how many events to send, for whoever is free

    def track(
        schema_name: str, account_id: str, attributes: dict[str, float], dimensions: dict[str, str]
    ) -> None:
        events.append(
            {
                "schemaName": schema_name,
                "id": str(uuid.uuid4()),
                "timestamp": datetime.now(timezone.utc).isoformat(),
                "accountId": account_id,
                "attributes": [{"name": name, "value": str(value)} for name, value in attributes.items()],
                "dimensions": dimensions,
            }
        )
        if not len(events) % SIZE:
            due.put(SIZE)

    def work() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        while count := due.get():
            batch: list[dict[str, object]] = []
            with suppress(IndexError):
                while len(batch) < count:
                    batch.append(events.popleft())
            if batch:
                connection.request("POST", "/ingestBatch", json.dumps({"events": batch}).encode())
                connection.getresponse().read()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(in_flight)]
    for thread in threads:
        thread.start()

    def finish() -> None:
        for _ in range(len(events) // SIZE + 1):  # what several threads tracked at once woke nobody
            due.put(SIZE)
        for _ in threads:
            due.put(END)
        for thread in threads:
            thread.join()

    return calls_of(track, varied=varied), finish
