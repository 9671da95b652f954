"""RQ, whose work horses end by ``os._exit()``, with ``togai_shipper.contrib.rq``, a real worker and Redis."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis_server import redis_server
from rq import Queue, Repeat, Retry
from serving import PATIENCE, assert_each_is_billed_once, serving

from togai_shipper.testing import FakeTogai, faults

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the path"),
]


@pytest.fixture
def redis() -> Iterator[str]:
    with redis_server() as path:
        yield path


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


# --- jobs that run more than once ---

ENDS = {  # of each job: the options that it is enqueued with, and how its runs end; the others end well
    "well": ({}, []),
    "fails": ({}, ["fail"]),
    "is retried": ({"retry": Retry(max=1)}, ["fail"]),
    "fails twice": ({"retry": Retry(max=1)}, ["fail", "fail"]),
    "returns a Retry": ({}, ["return a Retry"]),
    "is killed": ({"retry": Retry(max=1)}, ["be killed"]),
    "takes too long": ({"retry": Retry(max=1), "job_timeout": 1}, ["take too long"]),
    "is requeued": ({}, ["fail"]),
    "is repeated": ({"repeat": Repeat(times=2)}, []),
}


@pytest.fixture(scope="module")
def bill() -> dict[tuple[str | None, str | None], tuple[int, int]]:
    """What is billed of each job: how many events, and how many pages."""
    with redis_server() as redis, FakeTogai(api_key="secret", rate_limit=None) as togai:
        with Redis(unix_socket_path=redis) as connection:
            queue = Queue(connection=connection)
            jobs = {
                name: queue.enqueue("jobs.render", args=[name, *ends], **options)
                for name, (options, ends) in ENDS.items()
            }
            for _ in range(2):
                with serving(togai, *worker("togai_shipper.contrib.rq.Worker", redis)) as server:
                    assert server.process.wait(PATIENCE) == 0
                if jobs["is requeued"].is_failed:
                    jobs["is requeued"].requeue()
        return {
            (row.account, row.schema): (row.events, sum(int(amount) for _, _, amount in row.sums))
            for row in togai.ledger.bill
        }


@pytest.mark.parametrize(
    ("job", "by_default", "with_failures"),
    [
        ("well", (1, 12), (1, 12)),
        ("fails", None, (1, 0)),
        ("is retried", (1, 12), (2, 12)),
        ("fails twice", None, (1, 0)),
        ("returns a Retry", (1, 12), (1, 12)),
        ("is killed", (1, 12), (1, 12)),
        ("takes too long", (1, 12), (2, 12)),
        ("is requeued", (1, 12), (2, 12)),
        ("is repeated", (3, 36), (3, 36)),
    ],
)
def test_of_a_job_that_runs_more_than_once_the_run_that_ends_well_is_billed(
    bill: dict[tuple[str, str], tuple[int, int]],
    job: str,
    by_default: tuple[int, int] | None,
    with_failures: tuple[int, int],
) -> None:
    assert (bill.get((job, "default")), bill.get((job, "failures"))) == (by_default, with_failures)
