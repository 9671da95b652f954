"""RQ, whose work horses end by ``os._exit()``, with ``togai_shipper.contrib.rq``, a real worker and Redis."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from serving import PATIENCE, assert_each_is_billed_once, serving

from togai_shipper.testing import FakeTogai, faults

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the path"),
]


@pytest.fixture
def redis() -> Iterator[str]:
    """A Redis of the test's own; the path of its socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis"
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert any("ready to accept connections" in line.lower() for line in process.stdout)
            try:
                yield path
            finally:
                process.kill()


def ask(redis: str, jobs: int, *arguments: str) -> None:
    """Ask for so many jobs."""
    with Redis(unix_socket_path=redis) as connection:
        for _ in range(jobs):
            Queue(connection=connection).enqueue("jobs.track", *arguments)


def worker(name: str, redis: str) -> tuple[str, ...]:
    """Run until the queue is empty."""
    return ("rq", "worker", "--burst", "--worker-class", name, "--url", f"unix://{redis}", "--path", ".")


@pytest.mark.parametrize("name", ["togai_shipper.contrib.rq.Worker", "jobs.InOneProcess"])
@pytest.mark.parametrize("job", [[], ["fails"]], ids=["done", "failed"])
def test_every_job_delivers_what_it_has_tracked(
    togai: FakeTogai, redis: str, name: str, job: list[str]
) -> None:
    ask(redis, 5, *job)
    with serving(togai, *worker(name, redis)) as server:
        assert server.process.wait(PATIENCE) == 0
        server.notes.wait(lambda: len(server.notes.all) == 5)

        assert len(server.notes.pids) == (1 if name.startswith("jobs") else 5)
        assert len(server.notes.ids()) == 10
        assert_each_is_billed_once(togai, server.notes.ids())


def test_a_work_horse_that_cannot_deliver_says_so_and_its_job_is_done(togai: FakeTogai, redis: str) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    ask(redis, 1)
    name = "togai_shipper.contrib.rq.Worker"
    with serving(togai, *worker(name, redis), TOGAI_CLOSE_TIMEOUT="0.2") as server:
        assert server.process.wait(PATIENCE) == 0

        assert server.log.count("closed with 1 event undelivered and given up") == 2
        assert "Job OK" in server.log


def test_a_spool_keeps_what_a_work_horse_cannot_deliver(togai: FakeTogai, redis: str, tmp_path: Path) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    ask(redis, 1)
    name, spool = "togai_shipper.contrib.rq.Worker", str(tmp_path / "spool")
    with serving(togai, *worker(name, redis), TOGAI_SPOOL=spool, TOGAI_CLOSE_TIMEOUT="0.5") as server:
        assert server.process.wait(PATIENCE) == 0
        server.notes.wait(lambda: len(server.notes.all) == 1)
        left = server.notes.ids()
    togai.on_request = None
    with serving(togai, "togai-shipper", "drain", "--once", spool) as drainer:
        assert drainer.process.wait(PATIENCE) == 0

    assert togai.ledger.ids == left
    assert togai.ledger.billed_twice == set()
