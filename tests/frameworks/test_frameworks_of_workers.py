"""Workers that take jobs from Redis or Temporal, each stopped by its signal: every job is billed once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from running import (
    BIN,
    PATIENCE,
    assert_all_is_billed_once,
    free_port,
    needs,
    running,
    until,
    write_programs,
)

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.night

JOBS = 20
with_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server")
GREENLETS = (sys.executable, "-m", "gevent.monkey", str(BIN / "huey_consumer"))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis of the test's own."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any("ready to accept connections" in line.lower() for line in process.stdout)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def pages(togai: FakeTogai) -> list[int]:
    """What was billed: each job has a number of pages of its own."""
    return sorted(int(record.event["attributes"][0]["value"]) for record in togai.ledger.records)


ASK = {
    "dramatiq": "import dramatiq_app; [dramatiq_app.render.send('acme', n) for n in numbers]",
    "huey": "import huey_app; [huey_app.render('acme', n) for n in numbers]",
    "arq": """
import asyncio
import arq
import arq_app

async def ask():
    queue = await arq.create_pool(arq_app.WorkerSettings.redis_settings)
    for n in numbers:
        await queue.enqueue_job("render", "acme", n)

asyncio.run(ask())
""",
    "rq": """
import os
import redis, rq
queue = rq.Queue(connection=redis.Redis.from_url(os.environ["REDIS_URL"]))
[queue.enqueue("jobs.render", "acme") for n in numbers]
""",
}
DONE: dict[str, Callable[[Any], bool]] = {
    "dramatiq": lambda connection: connection.hlen("dramatiq:default.msgs") == 0,
    "huey": lambda connection: connection.hlen("huey.results.shop") == JOBS,
    "arq": lambda connection: len(connection.keys("arq:result:*")) == JOBS,
    "rq": lambda connection: connection.zcard("rq:finished:default") == JOBS,
}


def row(name: str, *command: str, package: str, stop: int = signal.SIGTERM) -> object:
    return pytest.param(package, command, stop, id=name, marks=needs(package))


@with_redis
@pytest.mark.parametrize(
    ("package", "command", "stop"),
    [
        row("dramatiq", "dramatiq", "dramatiq_app", "-p", "2", "-t", "2", package="dramatiq"),
        row(
            "dramatiq, spawn",
            *("dramatiq", "dramatiq_app", "-p", "2", "-t", "2", "--use-spawn"),
            package="dramatiq",
        ),
        *(
            row(
                f"huey, {kind}, {stop.name}",
                *("huey_consumer", "huey_app.huey", "--workers", "2", "--worker-type", kind),
                package="huey",
                stop=stop,
            )
            for kind in ("thread", "process")
            for stop in (signal.SIGTERM, signal.SIGINT)
        ),
        row(
            "huey, greenlet",
            *(*GREENLETS, "huey_app.huey", "--workers", "2", "--worker-type", "greenlet"),
            package="huey",
        ),
        row("arq", "arq", "arq_app.WorkerSettings", package="arq"),
        *(
            row(f"rq, {kind}", "rq", *command, "--url", "{redis}", "--worker-class", name, package="rq")
            for kind, command, name in (
                ("worker", ("worker",), "togai_shipper.contrib.rq.Worker"),
                ("pool", ("worker-pool", "--num-workers", "2"), "togai_shipper.contrib.rq.Worker"),
                ("simple", ("worker",), "rq.SimpleWorker"),
            )
        ),
    ],
)
def test_every_job_is_billed_once(
    togai: FakeTogai, redis: str, tmp_path: Path, package: str, command: tuple[str, ...], stop: int
) -> None:
    write_programs(tmp_path)
    program = f"numbers = range(1, {JOBS + 1})\n{ASK[package]}"
    environment = {**os.environ, "REDIS_URL": redis, "TOGAI_API_KEY": "secret"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    with (
        Redis.from_url(redis) as connection,
        running(
            togai,
            *(part.replace("{redis}", redis) for part in command),
            folder=tmp_path,
            REDIS_URL=redis,
        ) as worker,
    ):
        assert until(lambda: DONE[package](connection))
        assert package == "rq" or togai.ledger.accepted == 0  # RQ's deliver at the end of each job

        worker.stop(stop)
        assert_all_is_billed_once(togai, JOBS)
        assert pages(togai) == (JOBS * [12] if package == "rq" else [*range(1, JOBS + 1)])


@needs("temporalio", "grpcio")
def test_every_activity_of_temporal_is_billed_once(togai: FakeTogai, tmp_path: Path) -> None:
    from temporal import Activities  # noqa: PLC0415  if it is installed

    write_programs(tmp_path)
    with (
        Activities(JOBS) as activities,
        running(
            togai,
            *(sys.executable, "temporal_worker.py"),
            folder=tmp_path,
            TEMPORAL_ADDRESS=activities.address,
        ) as worker,
    ):
        assert activities.all_done.wait(PATIENCE)
        assert togai.ledger.accepted == 0

        worker.stop()
        assert_all_is_billed_once(togai, JOBS)
        assert pages(togai) == [*range(1, JOBS + 1)]
