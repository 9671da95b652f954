"""gunicorn's settings: a worker notes that it is ready; one told to end before that does not hear it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def post_worker_init(worker: Any) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps({"pid": os.getpid(), "ids": [], "ready": True}) + "\n")
