"""gunicorn's settings: each worker serves a page of its own, and notes where."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from prometheus_client import start_http_server


def post_worker_init(worker: Any) -> None:
    for port in range(9200, 9300):
        try:
            start_http_server(port, "127.0.0.1")
        except OSError:  # another worker's
            continue
        with Path(os.environ["NOTES"]).open("a") as notes:
            notes.write(json.dumps({"pid": os.getpid(), "ids": [], "page": port}) + "\n")
        return
