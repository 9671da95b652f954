"""What the RQ workers under test run: a job that tracks, and notes every id."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rq import SimpleWorker

import togai_shipper
from togai_shipper import Shipper
from togai_shipper.contrib.rq import DeliversAtEnd

shipper = Shipper()


class InOneProcess(DeliversAtEnd, SimpleWorker):
    """Runs jobs in its own process."""


def track(failing: str = "") -> None:
    """Track with a shipper that the parent has made, and with the default one, made in this process."""
    ids = [shipper.track("api_call", "acme"), togai_shipper.track("api_call", "acme")]
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps({"pid": os.getpid(), "ids": ids}) + "\n")
    if failing:
        raise ValueError(failing)
