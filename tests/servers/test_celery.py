"""Celery's prefork pool, whose children run no exit hooks, with ``togai_shipper.contrib.celery``."""

from __future__ import annotations

import signal

import pytest
from serving import PATIENCE, Server, assert_each_is_billed_once, serving

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.servers

CELERY = ("celery", "--app", "tasks", "worker", "--pool", "prefork", "--loglevel", "INFO")


def run(server: Server, tasks: int) -> set[int]:
    """Have so many tasks done; returns by which processes."""
    before = len(server.notes.all)
    server.run("tasks.py", str(tasks))
    server.notes.wait(lambda: len(server.notes.all) == before + tasks)
    return {note["pid"] for note in server.notes.all[before:]}


def ready(server: Server) -> None:
    """Wait until the main process was imported; it notes one event of its own."""
    server.notes.wait(lambda: server.process.pid in server.notes.pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["TERM", "QUIT"])
def test_a_stop_delivers_what_every_worker_process_and_the_main_one_hold(
    togai: FakeTogai, number: int
) -> None:
    with serving(togai, *CELERY, "--concurrency", "2") as server:
        ready(server)
        run(server, 8)
        assert togai.ledger.accepted == 0

        server.stop(number)
        # After QUIT the main process does not wait for the others.
        assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids()), PATIENCE)
        assert_each_is_billed_once(togai, server.notes.ids())
        assert "Traceback" not in server.log


def test_a_worker_process_recycled_by_max_tasks_per_child_delivers_before_it_goes(togai: FakeTogai) -> None:
    with serving(togai, *CELERY, "--concurrency", "1", "--max-tasks-per-child", "2") as server:
        ready(server)
        first = run(server, 2)
        assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids(*first)), PATIENCE)
        second = run(server, 2)
        assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids(*second)), PATIENCE)
        third = run(server, 1)
        assert (len(first), len(second), len(first | second | third)) == (1, 1, 3)

        assert server.stop() == 0
        assert_each_is_billed_once(togai, server.notes.ids())
        assert "Traceback" not in server.log
