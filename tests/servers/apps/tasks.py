"""What the Celery workers under test run: a task that tracks, and notes every id; as a program, it asks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from celery import Celery

import togai_shipper.contrib.celery
from togai_shipper import Shipper

FOLDER = Path(os.environ["FOLDER"])
(FOLDER / "control").mkdir(exist_ok=True)

celery = Celery("tasks", broker="filesystem://")
celery.conf.update(
    broker_transport_options={
        "data_folder_in": str(FOLDER),
        "data_folder_out": str(FOLDER),
        "control_folder": str(FOLDER / "control"),
        "polling_interval": 0.05,
    },
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
)

shipper = Shipper()
togai_shipper.contrib.celery.install(shipper)


def note(count: int) -> None:
    ids = [shipper.track("api_call", "acme") for _ in range(count)]
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps({"pid": os.getpid(), "ids": ids}) + "\n")


if __name__ != "__main__":
    note(1)


@celery.task(name="tasks.track")
def track() -> None:
    note(3)


if __name__ == "__main__":
    # As a program: ask for so many tasks.
    for _ in range(int(sys.argv[1])):
        celery.send_task("tasks.track")
