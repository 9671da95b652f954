"""Drainers that are killed, stopped and cut off: nothing is lost or billed twice, and the quota is kept."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from drainers import Drainers, drainers, judge
from filled import add, hand_over
from servers import RedisServer, needs_redis

from togai_shipper import Event
from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.journal_reading import read_relay_journal
from togai_shipper.relay.link import Link
from togai_shipper.testing import FakeTogai, Received, faults

pytestmark = [needs_redis, pytest.mark.night]
SMALL = {"TOGAI_BATCH_SIZE": "10"}  # so that the quota is reached by few events


@pytest.fixture
def togai() -> Iterator[FakeTogai]:
    """A Togai with its quota."""
    with FakeTogai(api_key="secret") as fake:
        yield fake


@pytest.fixture
def those(togai: FakeTogai, server: RedisServer, tmp_path: Path) -> Iterator[Drainers]:
    with drainers(togai, server, tmp_path) as made:
        yield made


class Producer:
    """Hands over entries all the time, from a thread, each until it is confirmed."""

    def __init__(self, url: str, base_url: str) -> None:
        self.ids: list[str] = []
        self._link = Link(url, "togai", 2.0)
        self._base_url = base_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.wait(0.05):
            events = [Event("api_call", "acme") for _ in range(12)]
            self.ids += [event.id for event in events]
            while True:
                try:
                    add(self._link, self._base_url, [event.encode() for event in events])
                    break
                except RelayError:
                    time.sleep(0.1)  # as a producer waits before it hands the same over again

    def stop(self) -> list[str]:
        self._stop.set()
        self._thread.join()
        self._link.close()
        return self.ids


def test_the_active_drainer_is_killed_again_and_again(those: Drainers) -> None:
    chance = random.Random(15)
    producer = Producer(those.server.url, those.togai.url)
    those.start(**SMALL)
    those.start(**SMALL)
    for _ in range(5):
        leader = those.await_leader()
        time.sleep(chance.uniform(0.8, 2.5))  # somewhere between reading, sending, and settling
        leader.kill()
        leader.wait()
        those.start(**SMALL)
    ids = producer.stop()
    those.await_empty()

    judge(those, ids)
    assert those.link.facts()["out"] == str(len(ids))
    found = read_relay_journal(those.link, "togai")
    assert (sum(each.count for each in found.counts), found.doubts) == (len(ids), {})


@pytest.mark.parametrize("moment", ["before the reply", "after the reply"])
def test_the_active_drainer_is_killed_between_request_and_settlement(those: Drainers, moment: str) -> None:
    ids = hand_over(those.link, those.togai.url, 30)
    those.start(**SMALL)
    leader = those.await_leader()
    number = 0

    def kill(_: Received) -> faults.Fault | None:
        nonlocal number
        number += 1
        if number == 4:
            leader.kill()
            return faults.Refuse(503, ingest="all") if moment == "before the reply" else None
        return None

    those.togai.on_request = kill
    leader.wait()
    those.start(**SMALL)
    those.await_empty()

    judge(those, ids)


def test_a_leader_that_is_stopped_with_rejections_in_its_hands_wakes_after_the_takeover(
    those: Drainers,
) -> None:
    ids = hand_over(those.link, those.togai.url, 3)
    bad = hand_over(those.link, those.togai.url, 1, 3, account="bad")
    those.togai.poison(lambda event: event["accountId"] == "bad")
    those.start()
    leader = those.await_leader()
    stopped = threading.Event()

    def stop(request: Received) -> None:
        if len(request.ids) == 1 and not stopped.is_set():
            leader.send_signal(signal.SIGSTOP)
            stopped.set()

    those.togai.on_request = stop
    assert stopped.wait(30)
    second = those.start()
    those.await_empty()
    assert those.leader() is second
    ids += hand_over(those.link, those.togai.url, 3)

    leader.send_signal(signal.SIGCONT)
    those.await_empty()
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    ids += hand_over(those.link, those.togai.url, 3)
    those.await_empty()

    judge(those, ids)
    facts = those.link.facts()
    assert (facts["dead"], facts["out"], facts["events"]) == ("3", str(len(ids) + len(bad)), "0")
    assert set(those.server.client().hkeys("{togai}:dead")) == {each.encode() for each in bad}


def test_two_drainers_start_at_an_empty_lease_and_one_leads(those: Drainers) -> None:
    ids = hand_over(those.link, those.togai.url, 60)
    those.start(**SMALL)
    those.start(**SMALL)
    those.await_empty()

    judge(those, ids)
    assert len(those.togai.requests) <= 80, "what one has sent the other one has not"


def test_a_clean_handover_takes_few_seconds_and_keeps_to_the_quota(those: Drainers) -> None:
    ids = hand_over(those.link, those.togai.url, 500)
    those.start(**SMALL)
    leader = those.await_leader()
    second = those.start(**SMALL)
    assert those.togai.wait(lambda: those.togai.ledger.metered > 1500, 30)
    leader.send_signal(signal.SIGTERM)
    at = time.monotonic()
    assert leader.wait(30) == 0
    those.await_empty()

    judge(those, ids)
    assert those.leader() is second
    times = [request.at for request in those.togai.requests]
    gap = max(after - before for before, after in pairwise(times) if after > at)
    assert 1.0 <= gap < 3.0


def test_redis_is_killed_again_and_again(those: Drainers) -> None:
    producer = Producer(those.server.url, those.togai.url)
    those.start(**SMALL)
    those.start(**SMALL)
    those.await_leader()
    for _ in range(3):
        metered = those.togai.ledger.metered
        assert those.togai.wait(lambda: those.togai.ledger.metered > metered + 100, 30)  # noqa: B023  in this round
        those.server.kill()
        time.sleep(0.5)  # that long it is away: nothing rings for that
        those.server.start()
    ids = producer.stop()
    those.await_empty()

    judge(those, ids)
    assert "Redis has lost" not in those.said()


def test_redis_is_stopped_for_twenty_seconds(those: Drainers) -> None:
    ids = hand_over(those.link, those.togai.url, 100)
    those.start(**SMALL)
    those.start(**SMALL)
    those.await_leader()
    assert those.togai.wait(lambda: those.togai.ledger.metered > 100, 30)
    those.server.freeze()
    time.sleep(8)  # longer than any lease: what is on its way has arrived
    before = len(those.togai.requests)
    time.sleep(12)  # nothing rings for requests that are not made
    assert len(those.togai.requests) == before, "nobody knows who leads"
    those.server.thaw()
    those.await_empty()

    judge(those, ids)


def test_redis_comes_back_empty_and_what_the_leader_had_in_memory_is_delivered(those: Drainers) -> None:
    those.togai.on_request = lambda _: faults.Refuse(503)
    ids = hand_over(those.link, those.togai.url, 100)
    those.start()
    those.await_leader()
    assert those.togai.wait(lambda: len(those.togai.requests) > 1, 30)
    time.sleep(1.0)  # in which the leader reads what is left: nobody outside sees that
    those.server.come_back_empty()
    those.togai.on_request = None
    assert those.togai.wait(lambda: those.togai.ledger.metered == len(ids), 60)

    judge(those, ids)


def test_a_refused_key_costs_one_request_however_many_drainers_there_are(those: Drainers) -> None:
    those.togai.set_api_key("another")
    hand_over(those.link, those.togai.url, 100)
    those.start()
    those.start()
    those.await_leader()
    time.sleep(5)  # nothing rings for requests that are not made

    assert [request.status for request in those.togai.requests] == [401]
    assert those.link.length() == 100


def test_foreign_entries_and_bombs_block_nothing(those: Drainers) -> None:
    client = those.server.client()
    bomb = zlib.compress(b"\n" * (300 * 1024**2), 9)
    fields = {"v": "1", "n": "500", "t": "1790000000000", "c": "", "k": os.urandom(16)}
    for n in range(20):
        client.xadd("{togai}:events", {**fields, "e": bomb})
        client.xadd("{togai}:events", {**fields, "e": zlib.compress(os.urandom(100))[: 50 + n]})
        client.xadd("{togai}:events", {"whatever": os.urandom(1000)})
    ids = hand_over(those.link, those.togai.url, 10)
    drainer = those.start()
    assert those.togai.wait(lambda: those.togai.ledger.metered == len(ids), 60)
    those.await_empty(left=60)
    peak = Path(f"/proc/{drainer.pid}/status").read_text().split("VmHWM:")[1].split()[0]

    judge(those, ids)
    assert int(peak) < 250 * 1024, "kB of memory"
