"""Calls from where the library calls or is interrupted, by programs that a watchdog ends if they hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from togai_shipper.testing import FakeTogai, faults

uncovered = pytest.mark.processes  # coverage holds a lock of its own, which a signal handler would wait for

BEGIN = """
import faulthandler, gc, json, logging, os, signal, sys, threading
from togai_shipper import Shipper

faulthandler.dump_traceback_later(40, exit=True)  # the watchdog: it shows where the deadlock is
QUICK = {"flush_interval": 0.01, "rate_limit": None, "backoff_initial": 0.01, "close_timeout": 20}
ids = []

def track(shipper, schema_name="api_call"):
    event_id = shipper.track(schema_name, "acme")
    if event_id:
        ids.append(event_id)
    return event_id

def end(shipper, **more):
    stats = shipper.stats()
    assert stats.pending == 0, stats
    assert stats.accepted == len(ids) == stats.delivered + stats.rejected + sum(stats.dropped.values()), stats
    print(json.dumps({"ids": ids, "delivered": stats.delivered, "state": stats.state, **more}))
"""


def outcome(program: str, togai: FakeTogai) -> dict[str, Any]:
    """Run it to its end; returns what it says, after a look into the ledger."""
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(set(said["ids"])) == len(said["ids"])
    assert len(said["ids"]) - len(togai.ledger.lost(said["ids"])) == said["delivered"]
    assert togai.ledger.metered == said["delivered"]
    assert togai.ledger.billed_twice == set()
    return said


INTERRUPTED = """
shipper = Shipper(**QUICK, max_queue_size=10**6)
interrupted = depth = 0
calls = (lambda: track(shipper), lambda: shipper.stats(), lambda: shipper.pending, lambda: shipper.flush(5))

def handler(*_):
    global interrupted, depth
    if depth == 20:  # on a slow machine the next signal comes before this one is handled, without end
        return
    depth += 1
    interrupted += 1
    calls[interrupted % 50 if interrupted % 50 < 4 else 0]()
    depth -= 1

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
tracked = 0
while interrupted < 3000:
    track(shipper)
    tracked += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert shipper.close()
end(shipper, interrupted=interrupted, tracked=tracked)
"""


@uncovered
def test_track_flush_and_stats_may_be_called_by_a_signal_handler_that_interrupts_track(
    togai: FakeTogai,
) -> None:
    said = outcome(INTERRUPTED, togai)
    assert said["interrupted"] >= 3000
    assert len(said["ids"]) > said["tracked"] + 2500
    assert said["delivered"] == len(said["ids"])


GARBAGE = """
shipper = Shipper(**QUICK, max_queue_size=10**6)
died = []

class Dying:
    def __init__(self):
        self.me = self
        self.more = [[] for _ in range(5)]

    def __del__(self):
        died.append(track(shipper, "died"))

gc.set_threshold(20)  # so that it runs wherever anything is allocated, inside the library too

def work():
    for number in range(1500):
        track(shipper)
        if number % 5 == 0:
            Dying()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
while len(died) < 1200:  # a flusher may be collecting; what dies after close() is refused
    gc.collect()
    shipper.flush()
assert shipper.close()
end(shipper, died=len(died))
"""


@uncovered
def test_track_may_be_called_by_garbage_as_it_is_collected_on_whatever_thread(togai: FakeTogai) -> None:
    said = outcome(GARBAGE, togai)
    assert said["died"] == 1200
    assert said["delivered"] == len(said["ids"]) == 6000 + 1200


LOGGED = """
class Handler(logging.Handler):
    def emit(self, record):
        (records if track(shipper, "logged") else feedback).append(record.name)

records, feedback = [], []
logging.getLogger().addHandler(Handler())
logging.getLogger().setLevel(logging.DEBUG)
shipper = Shipper(**QUICK)
for number in range(200):
    track(shipper)
    logging.getLogger("app").debug("a line")
shipper.flush()
shipper.close()
end(shipper, records=records, feedback=feedback, refused=dict(shipper.stats().refused))
"""


def test_a_log_handler_that_tracks_every_record_gets_the_applications_and_not_ours(togai: FakeTogai) -> None:
    togai.script(*[faults.Refuse(503)] * 3)
    said = outcome(LOGGED, togai)
    assert said["records"] == ["app"] * 200
    assert "urllib3.connectionpool" in said["feedback"]
    assert said["refused"]["feedback"] == len(said["feedback"])
    assert said["delivered"] == len(said["ids"]) == 400


TOLD = """
told = []

def on_delivered(events):
    told.extend(event.schema_name for event in events)
    if len(told) < 300:
        track(shipper, "from on_delivered")

def on_error(error, events):
    for event in events:
        told.append("rejected " + event.schema_name)
        if event.schema_name == "bad":
            track(shipper, "from on_error")

shipper = Shipper(**QUICK, on_delivered=on_delivered, on_error=on_error)
track(shipper)
track(shipper, "bad")
while len(told) < 300:
    shipper.flush()
shipper.close()
end(shipper, told=told)
"""


def test_callbacks_may_track_what_they_are_told(togai: FakeTogai) -> None:
    togai.poison(lambda event: event["schemaName"] == "bad")
    said = outcome(TOLD, togai)
    assert said["told"].count("rejected bad") == 1
    assert said["told"].count("from on_error") == 1
    assert said["told"].count("from on_delivered") >= 290
    assert said["delivered"] == len(said["ids"]) - 1


CALLBACKS = """
def on_delivered(events):
    reports.append(bool(shipper.flush()))
    if len(reports) == 3:
        track(shipper)
        shipper.close()
        refused.append(track(shipper))
        over.set()

reports, refused, over = [], [], threading.Event()
shipper = Shipper(**{**QUICK, "batch_size": 10, "single_ingest_limit": 0}, on_delivered=on_delivered)
for _ in range(35):
    track(shipper)
assert over.wait(30)
shipper.close()
end(shipper, reports=len(reports), refused=refused)
"""


def test_callbacks_may_flush_and_close_and_what_was_accepted_before_is_still_delivered(
    togai: FakeTogai,
) -> None:
    said = outcome(CALLBACKS, togai)
    assert said["reports"] >= 3
    assert said["refused"] == [None]
    assert said["state"] == "closed"
    assert said["delivered"] == len(said["ids"])


THREADS = """
shipper = Shipper(**{**QUICK, "batch_size": 10})
at_once = threading.Barrier(9)
reports = []

def work(call):
    at_once.wait()
    reports.append(call())

def track_until_refused():
    while track(shipper):
        pass

calls = [shipper.close] * 5 + [track_until_refused] * 3
threads = [threading.Thread(target=work, args=(call,)) for call in calls]
for _ in range(200):
    track(shipper)
for thread in threads:
    thread.start()
at_once.wait()
for thread in threads:
    thread.join()
reports = [(report.delivered, report.dropped, report.pending, bool(report)) for report in reports if report]
end(shipper, reports=reports, refused=shipper.stats().refused["closed"])
"""


def test_close_from_several_threads_while_others_track_is_one_close_with_one_report(togai: FakeTogai) -> None:
    said = outcome(THREADS, togai)
    assert len(said["reports"]) == 5
    assert len({tuple(report) for report in said["reports"]}) == 1
    assert said["reports"][0][1:] == [0, 0, True]
    assert said["refused"] == 3
    assert said["delivered"] == len(said["ids"])


CLOSING = """
shipper = Shipper(**{**QUICK, "batch_size": 50, "flush_interval": 60})
inner, accepted = [], []

def handler(*_):  # also interrupts itself
    inner.append(shipper.close())
    accepted.append(track(shipper))

signal.signal(signal.SIGALRM, handler)
for _ in range(120):
    track(shipper)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.001)
report = shipper.close()
signal.setitimer(signal.ITIMER_REAL, 0)
assert report, report
assert set(accepted) == {None}
end(shipper, inner=len(inner))
"""


@uncovered
def test_close_may_be_called_by_a_signal_handler_that_interrupts_close(togai: FakeTogai) -> None:
    togai.script(*[faults.Slow(0.1)] * 3)
    said = outcome(CLOSING, togai)
    assert said["inner"] >= 10
    assert said["state"] == "closed"
    assert said["delivered"] == len(said["ids"]) == 120


WITHIN_TRACK = """
def handler(*_):
    shipper.close()

signal.signal(signal.SIGALRM, handler)
accepted = []
for _ in range(60):
    shipper = Shipper(**QUICK)
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    mine = 0
    while track(shipper):
        mine += 1
    shipper.close()
    stats = shipper.stats()
    assert (stats.accepted, stats.delivered, stats.state) == (mine, mine, "closed"), (mine, stats)
print(json.dumps({"ids": ids, "delivered": len(ids)}))
"""


@uncovered
def test_close_in_a_signal_handler_that_interrupts_track_loses_none_that_track_said_it_took(
    togai: FakeTogai,
) -> None:
    outcome(WITHIN_TRACK, togai)
