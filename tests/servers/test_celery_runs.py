"""Celery's tasks that run more than once, by real workers of each pool and a real Redis: what is billed.

These are the rows of the table in docs/how-to/celery.md. Each task is metered three times: as by default,
with ``failures=True``, and with ``idempotency_key=None``; that is the schema, too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import attrs
import pytest
from celery import Celery, states
from kombu import Connection
from redis import Redis
from redis_server import redis_server
from serving import PATIENCE, serving

from togai_shipper._event.identity import derived_id
from togai_shipper.testing import FakeTogai

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the path"),
]

POOLS = ("prefork", "threads", "gevent")
NAMES = count()

Bill = dict[str, tuple[int, int]]  # of each schema: how many events, and how many pages

NOTHING: Bill = {}
ENDED_WELL: Bill = {"default": (1, 12), "failures": (1, 12), "each run": (1, 12)}
FAILED: Bill = {"failures": (1, 0), "each run": (1, 0)}
ENDED_WELL_TWICE: Bill = {"default": (1, 12), "failures": (1, 12), "each run": (2, 24)}
FAILED_ONCE: Bill = {"default": (1, 12), "failures": (2, 12), "each run": (2, 12)}


@attrs.frozen
class Workers:
    """A broker, and workers on it: each pool has a queue of its name."""

    togai: FakeTogai
    redis: Redis
    broker: str
    client: Celery

    def task(self) -> Task:
        return Task(self, f"account {next(NAMES)}")

    def send(self, pool: str = "prefork", name: str = "work", **options: Any) -> Task:
        task = self.task()
        self.client.send_task(name, args=[task.account], task_id=task.account, queue=pool, **options)
        return task

    def deliver_again(self) -> None:
        """Deliver all that is not acknowledged, as any worker does after Redis' ``visibility_timeout``."""
        with Connection(self.broker, transport_options={"visibility_timeout": 0}) as connection:
            connection.default_channel.qos.restore_visible()

    def wait_until_all_is_acknowledged(self) -> None:
        """Wait until the broker holds no message: nothing will be delivered again."""
        until(lambda: not any(self.redis.exists(key) for key in ("unacked", *POOLS)))


@attrs.frozen
class Task:
    """One whose every run waits for an order, and is billed to an account of its own."""

    workers: Workers
    account: str  # and the task's id

    def begin(self) -> int:
        """Wait until the next run begins; return the process in which it does."""
        return json.loads(self.take("begun"))["pid"]

    def order(self, run: int, order: str) -> None:
        """Tell the first run, or the second, what to do."""
        self.workers.redis.rpush(f"{self.account} {run}", order)

    def end(self, run: int, order: str) -> str:
        """Tell a run what to do; return its state, when it is over and has delivered."""
        self.order(run, order)
        return self.take("over")

    @property
    def state(self) -> str:
        """What Celery says of the task."""
        stored = self.workers.redis.get(f"celery-task-meta-{self.account}")
        return json.loads(stored)["status"] if stored else states.PENDING

    @property
    def bill(self) -> Bill:
        """What is billed, once no run can come."""
        self.workers.wait_until_all_is_acknowledged()
        return {
            row.schema: (row.events, sum(int(amount) for _, _, amount in row.sums))
            for row in self.workers.togai.ledger.bill
            if row.account == self.account and row.schema
        }

    @property
    def has_the_id_of_the_task(self) -> bool:
        """Whether what is billed by default has the id that the table promises."""
        event_id = derived_id("default", self.account, f"celery {self.account}")
        return self.workers.togai.ledger.get(event_id).metered == 1

    def take(self, what: str) -> str:
        taken = self.workers.redis.blpop([f"{self.account} {what}"], PATIENCE)
        assert taken, f"{self.account} was never {what}"
        return taken[1].decode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # between looks at a broker, which rings for nobody


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with ExitStack() as stack:
        path = stack.enter_context(redis_server())
        togai = stack.enter_context(FakeTogai(api_key="secret", rate_limit=None))
        broker = f"redis+socket://{path}"
        for pool in POOLS:
            command = ("celery", "--app", "work", "worker", "--pool", pool, "--queues", pool)
            names = (
                "--hostname",
                f"{pool}@here",
                "--concurrency",
                "2",
                "--without-gossip",
                "--without-mingle",
            )
            stack.enter_context(serving(togai, *command, *names, BROKER=broker, REDIS=path))
        client = Celery("client", broker=broker, set_as_current=False)
        yield Workers(
            togai, stack.enter_context(Redis(unix_socket_path=path, socket_timeout=None)), broker, client
        )
        client.close()


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> str:
    return request.param


# --- on every pool ---


def test_a_task_that_ends_well_is_one_event(workers: Workers, pool: str) -> None:
    task = workers.send(pool)
    assert task.end(1, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL
    assert task.has_the_id_of_the_task


@pytest.mark.parametrize("name", ["work", "early", "kept"])
def test_a_task_that_fails_is_an_event_only_if_told(workers: Workers, pool: str, name: str) -> None:
    task = workers.send(pool, name)
    assert task.end(1, "fail") == states.FAILURE

    assert task.bill == FAILED


@pytest.mark.parametrize(
    ("orders", "bill"),
    [
        (("end", "end"), ENDED_WELL_TWICE),
        (("fail", "end"), FAILED_ONCE),
        (("end", "fail"), FAILED_ONCE),
        (("fail", "fail"), {"failures": (1, 0), "each run": (2, 0)}),
    ],
    ids=["both end well", "the first fails", "the second fails", "both fail"],
)
def test_of_a_task_that_is_delivered_again_while_it_runs_the_run_that_ends_well_is_billed(
    workers: Workers, pool: str, orders: tuple[str, str], bill: Bill
) -> None:
    task = workers.send(pool)
    task.begin()
    workers.deliver_again()
    task.begin()
    for run, order in enumerate(orders, 1):
        task.end(run, order)

    assert task.bill == bill
    assert task.has_the_id_of_the_task is ("end" in orders)


def test_a_task_that_asks_for_its_retry_is_billed_when_it_ends_well(workers: Workers, pool: str) -> None:
    task = workers.send(pool)
    assert task.end(1, "ask for a retry") == states.RETRY
    assert task.end(2, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL
    assert task.has_the_id_of_the_task


# --- which differ in the task, not in the pool ---


@pytest.mark.parametrize(
    ("name", "order"), [("early", "ask for a retry"), ("work", "swallow its retry"), ("autoretry", "fail")]
)
def test_however_a_task_comes_to_its_retry_it_is_billed_when_it_ends_well(
    workers: Workers, name: str, order: str
) -> None:
    task = workers.send(name=name)
    task.end(1, order)
    assert task.end(2, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL
    assert task.has_the_id_of_the_task


@pytest.mark.parametrize(("name", "order"), [("work", "ask for a retry"), ("autoretry", "fail")])
def test_a_task_whose_last_try_fails_has_failed_once(workers: Workers, name: str, order: str) -> None:
    task = workers.send(name=name)
    assert task.end(1, order) == states.RETRY
    assert task.end(2, order) == states.FAILURE

    assert task.bill == FAILED


def test_a_task_that_rejects_its_message_is_billed_when_it_comes_again_and_ends_well(
    workers: Workers,
) -> None:
    task = workers.send()
    assert task.end(1, "reject") == states.REJECTED
    assert task.end(2, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL


def test_a_task_that_asks_to_be_ignored_is_no_event(workers: Workers) -> None:
    task = workers.send()
    assert task.end(1, "ignore") == states.IGNORED

    assert task.bill == NOTHING


def test_a_task_that_is_replaced_by_another_is_billed_as_that_one(workers: Workers) -> None:
    task = workers.send()
    assert task.end(1, "replace") == states.IGNORED
    assert task.end(2, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL
    assert task.has_the_id_of_the_task


def test_each_task_of_a_chain_and_of_a_chord_is_an_event_of_its_own(workers: Workers) -> None:
    tasks = [workers.task() for _ in range(4)]
    accounts = [task.account for task in tasks]
    workers.client.send_task("chain", args=accounts, queue="prefork")
    for task in tasks:
        assert task.end(1, "end") == states.SUCCESS

    assert [task.bill for task in tasks] == 4 * [ENDED_WELL]
    assert all(task.has_the_id_of_the_task for task in tasks)


# --- that are ended from outside ---


def test_a_task_whose_process_is_killed_is_billed_when_it_comes_again_and_ends_well(workers: Workers) -> None:
    task = workers.send()
    os.kill(task.begin(), signal.SIGKILL)
    assert task.end(2, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL
    assert task.has_the_id_of_the_task


def test_a_task_whose_process_is_killed_is_no_event_where_it_does_not_come_again(workers: Workers) -> None:
    task = workers.send(name="early")
    os.kill(task.begin(), signal.SIGKILL)

    assert task.bill == NOTHING


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_task_that_is_revoked_while_it_runs_is_no_event(workers: Workers, pool: str) -> None:
    task = workers.send(pool)
    task.begin()
    workers.client.control.revoke(task.account, terminate=True)

    assert task.bill == NOTHING
    assert task.state == states.REVOKED


def test_a_task_that_runs_into_its_soft_time_limit_has_failed(workers: Workers) -> None:
    task = workers.send(soft_time_limit=1)
    assert task.take("over") == states.FAILURE

    assert task.bill == FAILED


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_task_that_runs_into_its_hard_time_limit_is_no_event(workers: Workers, pool: str) -> None:
    task = workers.send(pool, time_limit=1)
    task.begin()

    assert task.bill == NOTHING
    assert task.state == states.FAILURE


def test_a_pool_of_threads_ends_no_task_and_so_it_is_billed_when_it_ends_well(workers: Workers) -> None:
    task = workers.send("threads", time_limit=0.1)
    task.begin()
    ended = workers.send("prefork", time_limit=0.1)  # later, and by then it would be over
    until(lambda: ended.state == states.FAILURE)
    assert task.end(1, "end") == states.SUCCESS

    assert task.bill == ENDED_WELL


def test_a_task_that_comes_again_after_its_hard_time_limit_is_billed_when_it_ends_well(
    workers: Workers,
) -> None:
    task = workers.send(name="kept", time_limit=2)
    task.order(2, "end")
    until(lambda: task.take("over") == states.SUCCESS)  # the process of the first run may say that it ends

    assert task.bill == ENDED_WELL
