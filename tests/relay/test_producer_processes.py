"""Producers that are killed, frozen and forked, and Redis beside them: nothing that was relayed is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from programs import LONG, said, start
from servers import RedisServer, needs_redis, running, until
from streams import ids

pytestmark = [needs_redis, pytest.mark.night]

KILLED_AFTER_FLUSH = """
import os, signal, sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1])
ids = [shipper.track("api_call", "acme", {"n": n}) for n in range(2300)]
assert shipper.flush()
print(" ".join(ids), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

SPOOLING = """
import itertools, sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], spool=sys.argv[2], flush_interval=0.05, backoff_max=0.5)
for first in itertools.count(0, 50):
    ids = [shipper.track("api_call", "acme", {"n": first + n}) for n in range(50)]
    if shipper.sync(5):
        print(" ".join(ids), flush=True)
"""

IDLE = """
import sys, time
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], relay_hold=float(sys.argv[2]), backoff_max=0.5)
ids = [shipper.track("api_call", "acme", {"n": n}) for n in range(700)]
assert shipper.flush()
print(" ".join(ids), flush=True)
sys.stdin.read()
stats = shipper.stats()
print(stats.relayed, stats.relay_held, stats.relay_repeated, shipper.healthy, flush=True)
"""

GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], relay_hold=0.2)
ids = []
def work():
    for n in range(100):
        ids.append(shipper.track("api_call", "acme", {"n": n}))
        gevent.sleep(0.001)
gevent.joinall([gevent.spawn(work) for _ in range(10)])
assert shipper.flush()
gevent.sleep(1)
assert not shipper.stats().relay_held
assert shipper.close()
print(" ".join(ids))
"""

FORKING = """
import os, sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], flush_interval=0.05)
for _ in range(6):
    print(shipper.track("api_call", "acme", {"n": 0}), flush=True)
    assert shipper.flush()
    if not os.fork():
        for n in range(200):
            os.write(1, (shipper.track("api_call", "acme", {"n": n}) + "\\n").encode())  # whole lines of each
        assert shipper.close()
        os._exit(0)
for _ in range(6):
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert shipper.close()
"""


def read_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout
    return process.stdout.readline().split()


@pytest.fixture
def redis_server(tmp_path: Path) -> RedisServer:
    with running(tmp_path / "redis") as server:
        yield server  # type: ignore[misc]


def test_what_a_true_flush_has_relayed_survives_the_kill_of_its_producer_and_of_redis(
    redis_server: RedisServer,
) -> None:
    process = start(KILLED_AFTER_FLUSH, redis_server.url)
    tracked = said(process)
    redis_server.kill()

    assert process.returncode == -signal.SIGKILL
    assert len(tracked) == 2300
    redis_server.start()
    assert sorted(ids(redis_server.url)) == sorted(tracked)


def test_producers_with_a_spool_are_killed_again_and_again_and_so_is_redis(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    chance, synced = random.Random(15), []
    for life in range(12):
        process = start(SPOOLING, redis_server.url, tmp_path / "spool")
        synced += read_line(process)
        time.sleep(chance.random() / 2)  # anywhere in its work
        if life % 3 == 1:
            redis_server.kill()
            time.sleep(chance.random() / 2)  # anywhere in its work
        process.kill()
        synced += said(process)
        if life % 3 == 1:
            redis_server.start()
    process = start(SPOOLING, redis_server.url, tmp_path / "spool")

    whole = {event_id for event_id in synced if len(event_id) == len(synced[0])}
    until(lambda: whole <= {*ids(redis_server.url)}, LONG)
    process.kill()
    process.communicate()
    assert len(whole) > 1000


@pytest.mark.parametrize("pause", [0.0, 3.0], ids=["at once", "later"])
def test_an_idle_producer_gives_an_empty_redis_again_what_it_had(
    redis_server: RedisServer, pause: float
) -> None:
    process = start(IDLE, redis_server.url, 4)
    tracked = read_line(process)
    redis_server.kill()
    time.sleep(pause)  # that long it goes on before Redis is lost
    redis_server.come_back_empty()

    until(lambda: {*tracked} <= {*ids(redis_server.url)})
    time.sleep(5)  # it proves the new one, by its own clock
    assert said(process) == ["700", "0", "700", "True"]


def test_a_producer_that_was_frozen_while_redis_came_back_empty_gives_it_again_what_it_had(
    redis_server: RedisServer,
) -> None:
    process = start(IDLE, redis_server.url, 2)
    tracked = read_line(process)
    process.send_signal(signal.SIGSTOP)
    redis_server.come_back_empty()
    time.sleep(4)  # that long it stands still
    process.send_signal(signal.SIGCONT)

    until(lambda: {*tracked} <= {*ids(redis_server.url)})
    time.sleep(3)  # likewise
    assert said(process) == ["700", "0", "700", "True"]


def test_a_redis_that_stands_still_for_a_while_loses_nothing_and_gets_little_twice(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    process = start(SPOOLING, redis_server.url, tmp_path / "spool")
    tracked = read_line(process)
    redis_server.freeze()
    time.sleep(20)  # that long Redis stands still
    redis_server.thaw()
    tracked += read_line(process)
    process.kill()
    tracked += said(process)
    process = start(SPOOLING, redis_server.url, tmp_path / "spool")
    whole = {event_id for event_id in tracked if len(event_id) == len(tracked[0])}
    until(lambda: whole <= {*ids(redis_server.url)}, LONG)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("program", [GEVENT, FORKING], ids=["gevent", "forks"])
def test_each_event_is_in_the_stream_once(redis_server: RedisServer, program: str) -> None:
    process = start(program, redis_server.url)
    tracked = said(process)

    assert process.returncode == 0
    assert len(tracked) >= 1000
    assert sorted(ids(redis_server.url)) == sorted(tracked)
