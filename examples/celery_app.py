"""Celery, metered. Start it: celery --app celery_app worker; ask it: python celery_app.py acme 3."""

import os
import sys

from celery import Celery

import togai_shipper.contrib.celery
from togai_shipper import Shipper

app = Celery("celery_app", broker=os.environ.get("BROKER", "amqp://"))

shipper = Shipper()
togai_shipper.contrib.celery.meter(
    shipper,
    "render",
    lambda run: run.arguments["account"],
    {"pages": lambda run: len(run.result)},
    duration="took",
)


@app.task(name="render", bind=True, acks_late=True, default_retry_delay=0)
def render(self, account, pages):
    if self.request.retries == 0 and pages > 1:
        raise self.retry()  # once, to show that it is billed once
    return pages * ["page"]


if __name__ == "__main__":
    print(app.send_task("render", args=[sys.argv[1], int(sys.argv[2])]).id)  # noqa: T201  what a program says
