"""What the metered Celery workers run: a task of which every run does what its test says, by a Redis."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from celery import Celery, chain, chord
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import task_postrun
from redis import Redis

from togai_shipper import Shipper
from togai_shipper.contrib.celery import meter

PATIENCE = 60
TASKS: dict[str, dict[str, Any]] = {
    "work": {"acks_late": True, "reject_on_worker_lost": True},
    "early": {},
    "kept": {"acks_late": True, "acks_on_failure_or_timeout": False},
    "autoretry": {"acks_late": True, "autoretry_for": (LookupError,), "default_retry_delay": 0},
}

celery = Celery("work", broker=os.environ["BROKER"], backend=f"redis+socket://{os.environ['REDIS']}")
celery.conf.update(
    worker_prefetch_multiplier=1,
    worker_lost_wait=0.1,  # seconds for the last words of a process that was killed
    result_chord_retry_interval=0.1,
)
shipper = Shipper()


def redis() -> Redis:
    return Redis(unix_socket_path=os.environ["REDIS"], socket_timeout=None)  # for each use: workers fork


def meter_as(schema_name: str, **more: Any) -> None:
    meter(
        shipper,
        schema_name,
        lambda run: run.args[-1] if run.task.name in TASKS else None,
        {"pages": lambda run: len(run.result or [])},
        outcome="outcome",
        **more,
    )


meter_as("default")
meter_as("failures", failures=True)
meter_as("each run", idempotency_key=None)


@task_postrun.connect
def over(*, task: Any, state: str | None, **_: Any) -> None:
    """Say that a run is over, when what it has tracked is delivered."""
    if task.name in TASKS:
        shipper.flush()
        with redis() as connection:
            connection.rpush(f"{task.request.args[-1]} over", state or "none")


def work(self: Any, *args: Any) -> list[str]:
    account = args[-1]
    with redis() as connection:
        run = connection.incr(f"{account} runs")
        connection.rpush(f"{account} begun", json.dumps({"run": run, "pid": os.getpid()}))
        _, order = connection.blpop([f"{account} {run}"], PATIENCE)
    return obey(self, order.decode())


def obey(self: Any, order: str) -> list[str]:
    match order:
        case "fail":
            raise LookupError(order)
        case "ask for a retry":
            raise self.retry(countdown=0, exc=LookupError(order))
        case "swallow its retry":
            with suppress(Retry):
                self.retry(countdown=0)
            return []
        case "reject":
            raise Reject(order, requeue=True)
        case "ignore":
            raise Ignore
        case "exit":
            raise SystemExit(1)
        case "replace":
            queue = self.request.delivery_info["routing_key"]
            raise self.replace(celery.tasks["work"].s(self.request.args[-1]).set(queue=queue))
    return 12 * ["page"]


for name, options in TASKS.items():
    celery.task(work, name=name, bind=True, max_retries=1, **options)


@celery.task(name="chain", bind=True)
def start_a_chain(self: Any, *accounts: str) -> None:
    """Start a chain of a task and a chord; the first account is of that, the last one of the chord's body."""
    queue = self.request.delivery_info["routing_key"]
    first, *header, body = (
        celery.tasks["work"].s(account).set(queue=queue, task_id=account) for account in accounts
    )
    chain(first, chord(header, body)).apply_async()
