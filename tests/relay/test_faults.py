"""What goes wrong between producers, Redis and drainers, for real; judged by Togai's ledger."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from drainers import drainers, judge
from filled import hand_over
from lagging import QUICK_SYNC, Pair, pair
from programs import LONG, said, start
from servers import RedisServer, needs_redis, running, until
from streams import ids
from way import way_to

from togai_shipper import Event, Shipper
from togai_shipper.relay.entries import FORMAT, fields_of
from togai_shipper.relay.link import Link
from togai_shipper.relay.scripts import SETTLE
from togai_shipper.testing import FakeTogai, faults

pytestmark = needs_redis
QUICK: dict[str, Any] = {"backoff_initial": 0.01, "backoff_max": 0.2, "flush_interval": 0.02}

IDLE = """
import sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], base_url=sys.argv[2], backoff_max=0.5)
ids = [shipper.track("api_call", "acme", {"n": n}) for n in range(700)]
assert shipper.flush()
print(" ".join(ids), flush=True)
sys.stdin.read()
assert shipper.close(20)
print(shipper.stats().relay_repeated)
"""

BUSY = """
import itertools, sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], base_url=sys.argv[2], flush_interval=0.02, backoff_max=0.5)
for first in itertools.count(0, 50):
    ids = [shipper.track("api_call", "acme", {"n": first + n}) for n in range(50)]
    if shipper.flush(5):
        print(" ".join(ids), flush=True)
"""

SHORT = """
import sys
from togai_shipper import Shipper
shipper = Shipper(relay=sys.argv[1], base_url=sys.argv[2])
print(shipper.track("job_done", "acme", {"n": 1}), flush=True)
"""


@pytest.fixture
def togai() -> Iterator[FakeTogai]:
    with FakeTogai(api_key="secret") as fake:
        yield fake


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path) as made:
        yield made


def track(shipper: Shipper, count: int) -> list[str]:
    tracked = [shipper.track("api_call", "acme", {"n": number}) for number in range(count)]
    assert all(tracked)
    return [each for each in tracked if each]


@contextmanager
def producing(url: str, togai: FakeTogai, **options: Any) -> Iterator[Shipper]:
    shipper = Shipper(relay=url, base_url=togai.url, **{**QUICK, **options})
    try:
        yield shipper
    finally:
        shipper.close(0)


def drain(togai: FakeTogai, server: RedisServer, folder: Path, tracked: list[str], lost: int = 0) -> None:
    """Deliver all that is in a relay which no drainer leads, and judge."""
    server.client().set("{togai}:lease", "released")
    with drainers(togai, server, folder) as those:
        those.start("--once").wait(LONG)
        judge(those, tracked, lost)


# --- Redis loses what it had confirmed ----------------------------------------------------------------------


@pytest.mark.processes
def test_a_failover_to_a_replica_that_lagged_loses_nothing_that_its_producer_holds(
    togai: FakeTogai, both: Pair, tmp_path: Path
) -> None:
    with producing(both.way.url, togai, relay_hold=1) as shipper:
        tracked = track(shipper, 300)
        assert shipper.flush()
        until(lambda: len(ids(both.replica.url)) == 300)
        both.lag()
        tracked += track(shipper, 700)
        assert shipper.flush()
        both.fail_over()

        until(lambda: {*tracked} <= {*ids(both.replica.url)})
        until(lambda: not shipper.stats().relay_held)
        assert shipper.stats().relay_repeated >= 700
    drain(togai, both.replica, tmp_path, tracked)


@pytest.mark.night
@pytest.mark.parametrize("when", ["at once", "a minute later", "its producer frozen for a minute"])
@pytest.mark.parametrize("loss", ["back empty", "a replica that lagged"])
def test_what_redis_has_lost_is_handed_over_again_by_a_producer_that_lives(
    togai: FakeTogai, both: Pair, tmp_path: Path, loss: str, when: str
) -> None:
    both.lag()
    producer = start(IDLE, both.way.url, togai.url)
    assert producer.stdout
    tracked = producer.stdout.readline().split()
    if when == "its producer frozen for a minute":
        producer.send_signal(signal.SIGSTOP)
    if when == "a minute later":
        both.master.kill()
        time.sleep(LONG)  # that long it takes: nothing rings for that
    if loss == "back empty":
        both.master.come_back_empty()
    else:
        both.fail_over()
    server = both.master if loss == "back empty" else both.replica
    if when == "its producer frozen for a minute":
        assert ids(server.url) == []
        time.sleep(LONG)  # that long it takes: nothing rings for that
        producer.send_signal(signal.SIGCONT)

    until(lambda: {*tracked} <= {*ids(server.url)}, LONG)
    assert said(producer) == ["700"]
    drain(togai, server, tmp_path, tracked)


@pytest.mark.processes
def test_with_a_replica_that_has_to_have_it_a_failover_loses_nothing_though_nothing_is_held(
    togai: FakeTogai, both: Pair, tmp_path: Path
) -> None:
    with producing(both.way.url, togai, relay_hold=0, relay_replicas=1) as shipper:
        tracked = track(shipper, 300)
        assert shipper.flush()
        both.lag()
        tracked += track(shipper, 200)
        assert shipper.flush(1.5).pending == 200
        both.fail_over()
        of_the_new = ("--replicaof", f"127.0.0.1 {both.replica.port}")
        with running(tmp_path / "c", *QUICK_SYNC, *of_the_new):
            assert shipper.flush(20)
        assert shipper.stats().relay_held == 0
    drain(togai, both.replica, tmp_path, tracked)


@pytest.mark.night
@pytest.mark.parametrize("loss", ["a replica that lagged", "deleted", "trimmed"])
def test_what_nobody_holds_is_lost_and_drainers_that_saw_it_tell_so(
    togai: FakeTogai, both: Pair, tmp_path: Path, loss: str
) -> None:
    with (
        producing(both.way.url, togai, relay_hold=0) as shipper,
        drainers(togai, both.master, tmp_path) as those,
    ):
        tracked = track(shipper, 100)
        assert shipper.flush()
        until(lambda: len(ids(both.replica.url)) == 100)
        both.lag()
        client = both.master.client()
        client.set("{togai}:lease", "another/1/1:1")  # for ten seconds
        those.start(relay=both.way.url)
        lost = track(shipper, 700)
        assert shipper.flush()
        until(lambda: "800 in the relay" in those.said())
        told = "Redis has lost events that it had confirmed, at least "
        if loss == "a replica that lagged":
            both.fail_over()
            until(lambda: told in those.said(), LONG)
        else:
            tracked, lost = [], [*tracked, *lost]
            client.delete("{togai}:events") if loss == "deleted" else client.xtrim("{togai}:events", 0)
        tracked += track(shipper, 50)
        assert shipper.flush()
        left = both.replica if loss == "a replica that lagged" else both.master
        until(lambda: told in those.said(), LONG)
        until(lambda: not left.client().xlen("{togai}:events"), LONG)

        judge(those, tracked, link=Link(left.url, "togai"))
        assert f"{told}{len(lost)}: " in those.said()


@pytest.mark.night
@pytest.mark.parametrize("days", [-3, 0, 3])
def test_new_entries_are_sent_whatever_ids_they_get_by_another_clock(
    togai: FakeTogai, server: RedisServer, tmp_path: Path, days: int
) -> None:
    first, second = ([Event("api_call", "acme") for _ in range(12)] for _ in range(2))
    entry_id = f"{int((time.time() + days * 86_400) * 1000)}-0"

    def add(events: list[Event]) -> None:
        fields: Any = fields_of([each.encode() for each in events], os.urandom(16), int(time.time() * 1000))
        server.client().xadd("{togai}:events", fields, id=entry_id)

    togai.on_request = lambda _: faults.Refuse(503)
    with drainers(togai, server, tmp_path) as those:
        add(first)
        server.client().set("{togai}:lease", "released")
        those.start()
        assert togai.wait(lambda: bool(togai.requests), LONG)
        server.come_back_empty()
        if days <= 0:
            add(second)
        tracked = hand_over(those.link, togai.url, 10)
        if days > 0:
            add(second)
        togai.on_request = None
        those.await_empty()
        assert togai.wait(lambda: togai.ledger.metered == len(tracked) + 24, LONG)

        judge(those, [*tracked, *(each.id for each in (*first, *second))])


# --- kill -9, and a machine that stands still ---------------------------------------------------------------


@pytest.mark.night
def test_what_a_flush_has_relayed_survives_redis_and_its_producer_being_killed_together(
    togai: FakeTogai, server: RedisServer, tmp_path: Path
) -> None:
    chance, relayed = random.Random(7), []
    for _ in range(10):
        producer = start(BUSY, server.url, togai.url)
        assert producer.stdout
        relayed += producer.stdout.readline().split()
        time.sleep(chance.random() / 2)  # anywhere in their work
        server.signal(signal.SIGKILL)
        producer.kill()
        relayed += said(producer)
        server.kill()
        server.start()
    whole = {event_id for event_id in relayed if len(event_id) == len(relayed[0])}
    found = ids(server.url)

    assert whole <= {*found}
    assert len(whole) > 1000
    drain(togai, server, tmp_path, list({*found}))


@pytest.mark.night
@pytest.mark.parametrize("moment", ["before Redis has it", "before its answer"])
def test_the_leader_is_killed_while_it_settles(
    togai: FakeTogai, server: RedisServer, tmp_path: Path, moment: str
) -> None:
    with way_to(server) as way, drainers(togai, server, tmp_path) as those:
        leader = those.start(relay=way.url, TOGAI_BATCH_SIZE="100")
        assert those.await_leader() is leader
        settlements = 0

        def kill(chunk: bytes, to_redis: bool) -> None:  # noqa: FBT001  the way's
            nonlocal settlements
            settlements += to_redis and SETTLE.sha.encode() in chunk
            if settlements == 3 and to_redis == (moment == "before Redis has it"):
                leader.kill()
                leader.wait()
                if to_redis:
                    raise OSError("it ends before that, too")

        way.watch = kill
        tracked = hand_over(those.link, togai.url, 200)
        assert leader.wait(LONG) == -signal.SIGKILL
        those.start(TOGAI_BATCH_SIZE="100")
        those.await_empty()

        judge(those, tracked)
        assert those.link.facts()["out"] == str(len(tracked))
        assert togai.ledger.duplicates or moment == "before its answer"


@pytest.mark.night
def test_producers_by_the_hundred_that_track_one_event_and_end_leave_it(
    togai: FakeTogai, server: RedisServer, tmp_path: Path
) -> None:
    tracked: list[str] = []
    with drainers(togai, server, tmp_path) as those:
        those.start()
        for _ in range(25):
            producers = [start(SHORT, server.url, togai.url) for _ in range(4)]
            tracked += [event_id for producer in producers for event_id in said(producer)]
        assert len(tracked) == 100
        those.await_empty()

        judge(those, tracked)


# --- the way to Redis ---------------------------------------------------------------------------------------


@pytest.mark.night
def test_a_leader_that_is_cut_off_from_redis_alone_stops_and_another_one_takes_over(
    togai: FakeTogai, server: RedisServer, tmp_path: Path
) -> None:
    with way_to(server) as way, drainers(togai, server, tmp_path) as those:
        cut_off = those.start(relay=way.url, TOGAI_BATCH_SIZE="10")
        assert those.await_leader() is cut_off
        tracked = hand_over(those.link, togai.url, 1000)
        second = those.start(TOGAI_BATCH_SIZE="10")
        assert togai.wait(lambda: togai.ledger.metered > 500, LONG)
        way.cut()
        cut_at = time.monotonic()
        until(lambda: those.leader() is second, LONG)
        taken_at = time.monotonic()
        assert 5.0 < taken_at - cut_at < 14.0
        assert not [each for each in togai.requests if cut_at + 6.0 < each.at < taken_at - 0.5]
        assert togai.wait(lambda: togai.requests[-1].at > taken_at, LONG)
        way.mend()
        those.await_empty()
        tracked += hand_over(those.link, togai.url, 10)
        those.await_empty()

        judge(those, tracked)
        assert those.leader() is second


@pytest.mark.processes
def test_a_master_that_was_demoted_is_left_for_where_its_address_leads_by_then(
    togai: FakeTogai, both: Pair, tmp_path: Path
) -> None:
    with producing(both.way.url, togai) as shipper:
        tracked = track(shipper, 30)
        assert shipper.flush()
        until(lambda: len(ids(both.replica.url)) == 30)
        both.replica.client().replicaof("NO", "ONE")
        both.master.client().replicaof("127.0.0.1", both.replica.port)
        tracked += track(shipper, 30)
        assert shipper.flush(0.3).pending == 30, "its connection leads to the old one still"
        both.way.lead_to(both.replica)

        assert shipper.flush(20)
        until(lambda: {*tracked} <= {*ids(both.replica.url)})
    drain(togai, both.replica, tmp_path, tracked)


# --- no room, and other versions ----------------------------------------------------------------------------


@pytest.mark.night
@pytest.mark.parametrize("bound", ["max_relay_bytes", "maxmemory"])
def test_a_relay_that_is_full_while_togai_is_down_is_drained_by_who_starts_only_then(
    togai: FakeTogai, server: RedisServer, tmp_path: Path, bound: str
) -> None:
    client, options = server.client(), {"batch_size": 100}
    with producing(server.url, togai, **options) as filling:
        tracked = []
        for _ in range(2):
            tracked += track(filling, 9000)
            assert filling.flush()
    client.set("{togai}:lease", "released")
    if bound == "maxmemory":
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 10_000)
    else:
        options["max_relay_bytes"] = 100_000
    with producing(server.url, togai, **options) as shipper, drainers(togai, server, tmp_path) as those:
        tracked += track(shipper, 300)
        assert shipper.flush(0.5).pending == 300
        those.start()

        assert shipper.flush(20)
        those.await_empty()
        judge(those, tracked)


@pytest.mark.processes
def test_a_newer_format_is_rolled_out_and_back_and_nothing_is_lost(
    togai: FakeTogai, server: RedisServer, tmp_path: Path
) -> None:
    client, link = server.client(), Link(server.url, "togai")
    tracked = hand_over(link, togai.url, 5)
    newer = fields_of([Event("api_call", "acme").encode()], os.urandom(16), int(time.time() * 1000))
    newer[b"v"] = b"%d" % (FORMAT + 1)
    client.hset("{togai}:relay", "v", FORMAT + 1)  # as newer drainers do, which come first
    client.xadd("{togai}:events", newer)  # type: ignore[arg-type]  bytes, as it takes
    tracked += hand_over(link, togai.url, 5)  # producers that are not updated yet
    client.set("{togai}:lease", "released")
    with drainers(togai, server, tmp_path) as those:
        assert those.start("--once").wait(LONG) != 0
        assert f"the relay has format {FORMAT + 1}" in those.said()
        assert (list(togai.requests), len(client.xrange("{togai}:events"))) == ([], 11)

        client.hset("{togai}:relay", "v", FORMAT)  # back: one entry of the newer producers is left
        assert those.start("--once").wait(LONG) != 0
        judge(those, tracked)
    ((_, left),) = client.xrange("{togai}:events")
    assert left[b"v"] == newer[b"v"]
    link.close()
