"""uWSGI's prefork, which forks without Python's hooks unless told otherwise, ended in each way.

Three facts of uWSGI 2.0.31. A worker that is stopped at once while it is busy with a request runs no exit
hooks; most tests wait until none is. Its master runs none at all. And it forks without holding the GIL: a
worker forked while any thread of the master's runs Python waits for ever, unless
``--py-call-uwsgi-fork-hooks`` is given. So the application tracks nothing at import here, but with that, or
where it flushes there too, after which the shipper's thread sleeps.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time

import pytest
from serving import PATIENCE, Server, assert_each_is_billed_once, serving

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.servers

forks = pytest.mark.parametrize(
    "options",
    [[], ["--lazy-apps"], ["--py-call-osafterfork"], ["--py-call-uwsgi-fork-hooks"]],
    ids=["default", "lazy-apps", "py-call-osafterfork", "py-call-uwsgi-fork-hooks"],
)
UWSGI = (
    *("uwsgi", "--master", "--need-app", "--http-socket", "fd://{fd}", "--stats", "{folder}/stats"),
    *("--hook-accepting", 'writefifo:{folder}/notes {{"pid": 0, "ids": [], "ready": true}}\n'),
    *("--virtualenv", sys.prefix, "--wsgi-file", "web.py", "--callable", "app", "--min-worker-lifetime", "0"),
)
GRACEFULLY = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")


def ready(server: Server, workers: int) -> None:
    """Wait until so many workers can be asked, and told to end."""
    server.notes.wait(lambda: sum("ready" in note for note in server.notes.all) == workers)


def delivered(server: Server, togai: FakeTogai, worker: int) -> None:
    """Wait until all that a worker has tracked is billed."""
    assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids(worker)), PATIENCE)


def busy(server: Server) -> set[int]:
    """The workers that are in a request now."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.folder / "stats"))
        with connection.makefile() as stats:
            return {worker["pid"] for worker in json.load(stats)["workers"] if worker["status"] == "busy"}


def wait_until_busy(server: Server, *workers: int) -> None:
    """Ask until these workers, and no others, are in a request."""
    until = time.monotonic() + PATIENCE
    while busy(server) != set(workers):
        assert time.monotonic() < until


def stop_when_idle(server: Server, number: int = signal.SIGTERM) -> None:
    wait_until_busy(server)
    server.stop(number)


def tracked_by_workers(server: Server) -> set[str]:
    """Everything but what the master tracked at import."""
    return server.notes.ids() - server.notes.ids(server.process.pid)


@forks
@pytest.mark.parametrize(
    ("end", "number"),
    [(["--die-on-term"], signal.SIGTERM), ([], signal.SIGINT), (GRACEFULLY, signal.SIGTERM)],
    ids=["TERM", "INT", "TERM gracefully"],
)
def test_a_stop_delivers_what_every_worker_holds(
    togai: FakeTogai, options: list[str], end: list[str], number: int
) -> None:
    with serving(togai, *UWSGI, "--processes", "2", *options, *end) as server:
        ready(server, 2)
        answers = [server.get() for _ in range(6)]
        assert togai.ledger.accepted == 0

        stop_when_idle(server, number)
        assert {event for answer in answers for event in answer["ids"]} <= tracked_by_workers(server)
        assert_each_is_billed_once(togai, tracked_by_workers(server))
        assert "Traceback" not in server.log


@forks
def test_a_worker_stopped_gracefully_in_a_request_finishes_it_and_delivers(
    togai: FakeTogai, options: list[str]
) -> None:
    with serving(togai, *UWSGI, "--processes", "1", *options, *GRACEFULLY) as server:
        ready(server, 1)
        server.ask("/slow")

        server.stop()
        assert len(tracked_by_workers(server)) >= 3
        assert_each_is_billed_once(togai, tracked_by_workers(server))


@forks
def test_a_worker_stopped_at_once_in_a_request_takes_what_it_holds_along_and_nothing_else(
    togai: FakeTogai, options: list[str]
) -> None:
    """No exit hook is run in it: uWSGI skips them for a busy worker."""
    with serving(togai, *UWSGI, "--processes", "2", *options, "--die-on-term") as server:
        ready(server, 2)
        server.ask("/stuck")
        stuck = server.notes.all[-1]["pid"]
        assert server.get()["pid"] != stuck
        wait_until_busy(server, stuck)

        server.stop()
        assert_each_is_billed_once(togai, tracked_by_workers(server) - server.notes.ids(stuck))


@forks
def test_a_worker_recycled_by_max_requests_delivers_before_it_goes(
    togai: FakeTogai, options: list[str]
) -> None:
    recycling = ("--processes", "1", "--max-requests", "3", "--die-on-term")
    with serving(togai, *UWSGI, *recycling, *options) as server:
        ended = {server.get()["pid"] for _ in range(3)}
        assert len(ended) == 1
        delivered(server, togai, *ended)
        assert server.get()["pid"] not in ended

        stop_when_idle(server)
        assert_each_is_billed_once(togai, tracked_by_workers(server))
        assert "Traceback" not in server.log


@forks
def test_a_worker_delivers_between_requests_without_being_told_to_enable_threads(
    togai: FakeTogai, options: list[str]
) -> None:
    quick = {"TOGAI_FLUSH_INTERVAL": "0.1"}
    with serving(togai, *UWSGI, "--processes", "1", *options, "--die-on-term", **quick) as server:
        delivered(server, togai, server.get()["pid"])


@pytest.mark.parametrize("options", [[], ["--py-call-osafterfork"]], ids=["default", "py-call-osafterfork"])
def test_what_the_master_tracks_and_flushes_at_import_is_billed_once(
    togai: FakeTogai, options: list[str]
) -> None:
    flushing = {"AT_IMPORT": "flush"}
    with serving(togai, *UWSGI, "--processes", "2", *options, "--die-on-term", **flushing) as server:
        ready(server, 2)
        server.get()
        assert togai.ledger.ids == server.notes.ids(server.process.pid)

        stop_when_idle(server)
        assert_each_is_billed_once(togai, server.notes.ids())


def test_what_the_master_tracks_at_import_goes_by_its_interval_where_fork_hooks_are_called(
    togai: FakeTogai,
) -> None:
    hooks = ("--py-call-uwsgi-fork-hooks", "--die-on-term")
    tracking = {"AT_IMPORT": "track", "TOGAI_FLUSH_INTERVAL": "0.1"}
    with serving(togai, *UWSGI, "--processes", "2", *hooks, **tracking) as server:
        ready(server, 2)
        for _ in range(4):
            server.get()
        assert togai.wait(lambda: not togai.ledger.lost(server.notes.ids()), PATIENCE)
        assert server.process.pid in server.notes.pids

        server.stop()
        assert_each_is_billed_once(togai, server.notes.ids())
