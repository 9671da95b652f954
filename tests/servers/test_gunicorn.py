"""gunicorn, with each kind of worker, with and without ``--preload``, ended in each way."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families as plain
from serving import PATIENCE, Server, assert_each_is_billed_once, serving

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.servers

workers = pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
imports = pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["own import", "preload"])

GUNICORN = ("gunicorn", "web:app", "--config", "hooks.py", "--bind", "fd://{fd}", "--no-control-socket")


def gunicorn(togai: FakeTogai, *options: str) -> AbstractContextManager[Server]:
    """Run it; the application tracks at import too: in each worker, or in the master."""
    return serving(togai, *GUNICORN, *options, AT_IMPORT="track")


def ready(server: Server, workers: int) -> None:
    """Wait until so many workers can be asked, and told to end."""
    server.notes.wait(lambda: sum("ready" in note for note in server.notes.all) == workers)


def delivered(server: Server, togai: FakeTogai, worker: int) -> None:
    """Wait until all that a worker has tracked is billed, which its end alone brings about."""
    assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids(worker)), PATIENCE)


@workers
@imports
def test_term_delivers_what_every_worker_and_the_master_hold(
    togai: FakeTogai, worker: str, preload: list[str]
) -> None:
    with gunicorn(togai, "--worker-class", worker, "--workers", "2", *preload) as server:
        ready(server, 2)
        answers = [server.get() for _ in range(6)]
        assert togai.ledger.accepted == 0

        assert server.stop() == 0
        assert {event for answer in answers for event in answer["ids"]} < server.notes.ids()
        assert (server.process.pid in server.notes.pids) == bool(preload)
        assert_each_is_billed_once(togai, server.notes.ids())
        assert "Traceback" not in server.log


@workers
@imports
def test_a_worker_recycled_by_max_requests_delivers_before_it_goes(
    togai: FakeTogai, worker: str, preload: list[str]
) -> None:
    recycling = ("--workers", "1", "--max-requests", "3")
    with gunicorn(togai, "--worker-class", worker, *recycling, *preload) as server:
        ended = set()
        for _ in range(2):
            served = {server.get()["pid"] for _ in range(3)}
            assert len(served) == 1
            delivered(server, togai, *served)
            ended |= served
        assert len(ended) == 2
        assert server.get()["pid"] not in ended

        assert server.stop() == 0
        assert_each_is_billed_once(togai, server.notes.ids())
        assert "Traceback" not in server.log


@pytest.mark.parametrize("worker", ["sync", "gevent"])
@imports
def test_a_worker_aborted_by_its_timeout_delivers_in_the_second_that_it_is_left(
    togai: FakeTogai, worker: str, preload: list[str]
) -> None:
    stuck = ("--workers", "1", "--timeout", "2")
    with gunicorn(togai, "--worker-class", worker, *stuck, *preload) as server:
        first = server.get()["pid"]
        server.ask("/stuck")
        delivered(server, togai, first)
        assert server.get()["pid"] != first
        assert "WORKER TIMEOUT" in server.log

        assert server.stop() == 0
        assert_each_is_billed_once(togai, server.notes.ids())


@imports
def test_a_request_longer_than_the_timeout_does_not_end_a_worker_with_threads_and_term_delivers(
    togai: FakeTogai, preload: list[str]
) -> None:
    threads = ("--worker-class", "gthread", "--workers", "1", "--timeout", "1")
    with gunicorn(togai, *threads, *preload) as server:
        slow = server.get("/slow")["pid"]
        assert server.get()["pid"] == slow
        assert "WORKER TIMEOUT" not in server.log

        assert server.stop() == 0
        assert_each_is_billed_once(togai, server.notes.ids())


@workers
@imports
def test_a_worker_that_has_to_be_killed_takes_what_it_holds_along_and_nothing_else(
    togai: FakeTogai, worker: str, preload: list[str]
) -> None:
    """No process can deliver after SIGKILL; here the timeout sends it to one that does not run."""
    frozen = ("--worker-class", worker, "--workers", "1", "--timeout", "1")
    with gunicorn(togai, *frozen, *preload) as server:
        first = server.get()["pid"]
        os.kill(first, signal.SIGSTOP)
        assert server.get()["pid"] != first

        assert server.stop() == 0
        assert_each_is_billed_once(togai, server.notes.ids() - server.notes.ids(first))


@workers
@imports
def test_each_worker_tells_prometheus_of_its_own_events_alone(
    togai: FakeTogai, worker: str, preload: list[str]
) -> None:
    command = ["pages.py" if part == "hooks.py" else part for part in GUNICORN]
    forking = ("--worker-class", worker, "--workers", "2", *preload)
    with serving(togai, *command, *forking, METRICS="1", TOGAI_FLUSH_INTERVAL="0.05") as server:
        server.notes.wait(lambda: sum("page" in note for note in server.notes.all) == 2)
        pages = {note["pid"]: note["page"] for note in server.notes.all if "page" in note}
        for _ in range(8):
            server.get()
        assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids()), PATIENCE)

        for pid, port in pages.items():
            page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
            ends = next(family for family in plain(page) if family.name == "togai_shipper_events")
            (delivered,) = (
                sample.value
                for sample in ends.samples
                if sample.labels["reason"] == "" and sample.labels["outcome"] == "delivered"
            )
            (pending,) = (
                family.samples[0].value
                for family in plain(page)
                if family.name == "togai_shipper_events_pending"
            )
            assert delivered + pending == len(server.notes.ids(pid))
        assert server.stop() == 0
