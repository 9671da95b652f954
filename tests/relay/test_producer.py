"""A shipper before a real Redis: what it says is relayed is in the stream."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from servers import RedisServer, needs_redis, running, until
from streams import entries, ids

from togai_shipper import ConfigurationError, FlushReport, Shipper

pytestmark = needs_redis
QUICK: dict[str, Any] = {"backoff_initial": 0.01, "backoff_max": 0.1, "flush_interval": 0.02}


@pytest.fixture
def redis_server(redis_server: RedisServer) -> RedisServer:
    client = redis_server.client()
    client.flushall()
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")
    return redis_server


@pytest.fixture
def produce(redis_server: RedisServer) -> Iterator[Callable[..., Shipper]]:
    made: list[Shipper] = []

    def make(**options: Any) -> Shipper:
        made.append(Shipper(**{"relay": redis_server.url, **QUICK, **options}))
        return made[-1]

    yield make
    for shipper in made:
        shipper.close(0)


def track(shipper: Shipper, count: int = 3) -> list[str]:
    tracked = [shipper.track("api_call", "acme", {"n": number}) for number in range(count)]
    assert all(tracked)
    return [each for each in tracked if each]


def test_what_is_relayed_is_in_the_stream_in_whole_batches(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    shipper = produce(flush_interval=60)
    tracked = track(shipper, 1200)
    receipt = shipper.submit("api_call", "acme", event_id="mine")

    report = shipper.flush()
    assert (report.held, bool(report), shipper.stats().relayed) == (1201, True, 1201)
    assert receipt.result().status == "relayed"
    found = entries(redis_server.url)
    assert sorted(len(entry.events) for entry in found) == [201, 500, 500]
    assert sorted(ids(redis_server.url)) == sorted([*tracked, "mine"])
    assert sum(type(event).__name__ == "ChosenId" for entry in found for event in entry.events) == 1
    assert shipper.stats().relay_events == 1201
    assert shipper.sync()
    assert shipper.close() == FlushReport(held=1201)


def test_a_function_may_give_the_connection_and_a_name_the_relay(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    shipper = produce(relay=redis_server.client, relay_name="eu")
    tracked = track(shipper)

    assert shipper.flush()
    assert sorted(ids(redis_server.url, "eu")) == sorted(tracked)
    assert ids(redis_server.url) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc, to count threads")
def test_close_leaves_no_thread(produce: Callable[..., Shipper]) -> None:
    def threads() -> int:
        return len([*Path("/proc/self/task").iterdir()])

    before = threads()
    shipper = produce()
    track(shipper)
    assert shipper.flush()
    assert threads() == before + 2, "a flusher, and who keeps the hold"
    shipper.close()
    until(lambda: threads() == before)


def test_a_keeper_that_is_ended_is_replaced_and_nothing_is_forgotten(
    produce: Callable[..., Shipper], redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def made() -> redis.Redis:
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit
        return redis_server.client()

    shipper = produce(relay=made, relay_hold=0.1)
    track(shipper)
    assert shipper.flush().held == 3
    until(lambda: not shipper.stats().relay_held)
    assert "the keeper of the relay's hold was ended by SystemExit" in caplog.text


def test_an_option_in_the_url_is_no_secret_and_is_named_in_what_is_told(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    shipper = produce(relay=f"{redis_server.url}?decode_responses=1")
    track(shipper)
    assert not shipper.flush(timeout=0.5)
    assert "must be made without decode_responses" in str(shipper.stats().last_error)


def test_a_user_who_may_not_ask_who_redis_is_holds_nothing(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    rules = ("on", ">hunter2", "~*", "+@all", "-info")
    redis_server.client().execute_command("ACL", "SETUSER", "nameless", "reset", *rules)
    shipper = produce(relay=redis_server.url.replace("//", "//nameless:hunter2@"))
    tracked = track(shipper)

    assert shipper.flush() == FlushReport(relayed=3)
    assert sorted(ids(redis_server.url)) == sorted(tracked)


def test_the_users_rights_that_the_documentation_names_are_enough(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    rights = (
        "-@all ~{togai}:events ~{togai}:relay +eval +evalsha +script|load +ping +info +hmget +hset +xadd"
        " +hincrby +wait +waitaof +client|setinfo +client|setname +select"
    )
    # What comes with Redis 7.2 is left out: an older one does not know it.
    known = [right for right in rights.split() if right not in ("+waitaof", "+client|setinfo")]
    redis_server.client().script_flush()
    redis_server.client().execute_command("ACL", "SETUSER", "least", "reset", "on", ">pw", *known)
    shipper = produce(relay=redis_server.url.replace("//", "//least:pw@"), relay_hold=0.2)
    tracked = track(shipper)

    assert shipper.flush() == FlushReport(relayed=3, held=3)
    until(lambda: not shipper.stats().relay_held)
    assert sorted(ids(redis_server.url)) == sorted(tracked)


def test_a_function_that_raises_is_as_a_redis_that_is_not_there(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    calls: list[int] = []

    def made() -> redis.Redis:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("no such secret")
        return redis_server.client()

    shipper = produce(relay=made)
    tracked = track(shipper)

    assert shipper.flush()
    assert sorted(ids(redis_server.url)) == sorted(tracked)


def test_events_wait_while_redis_is_away_and_none_is_lost(
    produce: Callable[..., Shipper], tmp_path: Path
) -> None:
    with running(tmp_path / "r") as server:
        shipper = produce(relay=server.url)
        first = track(shipper)
        assert shipper.flush()
        server.kill()
        second = track(shipper)
        assert shipper.flush(0.3) == FlushReport(pending=3, held=3)
        server.start()
        assert shipper.flush().pending == 0
        until(lambda: {*first, *second} <= {*ids(server.url)})
        assert shipper.stats().relayed == 6


def test_a_redis_that_comes_back_empty_is_given_again_what_it_had(
    produce: Callable[..., Shipper], tmp_path: Path
) -> None:
    with running(tmp_path / "r") as server:
        busy, idle = produce(relay=server.url), produce(relay=server.url, relay_hold=1)
        first, second = track(busy, 700), track(idle, 300)
        assert busy.flush()
        assert idle.flush()
        server.come_back_empty()
        third = track(busy)
        assert busy.flush()
        until(lambda: {*first, *second, *third} <= {*ids(server.url)})
        assert busy.stats().relay_repeated == 700
        until(lambda: not idle.stats().relay_held)
        assert (idle.stats().relay_repeated, idle.stats().relayed) == (300, 300)


def test_an_idle_producer_lets_go_of_what_is_proven(produce: Callable[..., Shipper]) -> None:
    shipper = produce(relay_hold=0.2)
    track(shipper)
    assert shipper.flush().held == 3
    until(lambda: not shipper.stats().relay_held)
    assert shipper.stats().relay_repeated == 0


def test_a_full_relay_keeps_events_waiting(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    shipper = produce(max_relay_bytes=1)
    tracked = track(shipper)

    assert shipper.flush(0.3).pending == 3
    assert "max_relay_bytes is 1" in (shipper.stats().last_error or "")
    assert ids(redis_server.url) == []
    roomy = produce()
    more = track(roomy)
    assert roomy.flush()
    assert sorted(ids(redis_server.url)) == sorted(more)
    assert len(tracked) == 3


def test_a_redis_without_memory_keeps_events_waiting_until_it_has_some(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    redis_server.client().config_set("maxmemory", 1)
    shipper = produce()
    tracked = track(shipper)
    assert shipper.flush(0.3).pending == 3
    assert shipper.stats().last_error == "Redis has no memory left"
    redis_server.client().config_set("maxmemory", 0)

    assert shipper.flush(10)
    assert sorted(ids(redis_server.url)) == sorted(tracked)


def test_a_redis_that_would_throw_events_away_is_refused(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    redis_server.client().config_set("maxmemory-policy", "allkeys-lru")
    shipper = produce()
    tracked = track(shipper)
    assert shipper.flush(5).pending == 3
    assert shipper.stats().state == "parked"
    assert "set maxmemory-policy noeviction" in (shipper.stats().last_error or "")
    redis_server.client().config_set("maxmemory-policy", "noeviction")

    assert shipper.close(5), "which probes"
    assert sorted(ids(redis_server.url)) == sorted(tracked)


def test_a_redis_that_wants_a_password_parks_the_line(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    redis_server.client().execute_command("ACL", "SETUSER", "producer", "on", ">hunter2", "~*", "+@all")
    url = redis_server.url.replace("//", "//producer:wrong-horse@")
    shipper = produce(relay=url)
    track(shipper)

    assert shipper.flush(5).pending == 3
    stats = shipper.stats()
    assert stats.state == "parked"
    assert "Redis does not let us in" in (stats.last_error or "")
    assert "wrong-horse" not in str(stats)


def test_a_relay_for_another_base_url_parks_the_line(produce: Callable[..., Shipper]) -> None:
    first, second = produce(), produce(base_url="https://sandbox-api.togai.com")
    track(first)
    assert first.flush()
    track(second)

    assert second.flush(5).pending == 3
    assert "the relay is for https://api.togai.com" in (second.stats().last_error or "")


@pytest.mark.servers
def test_where_too_few_replicas_have_it_it_is_not_relayed(
    produce: Callable[..., Shipper], tmp_path: Path
) -> None:
    of_the_master = ("--repl-diskless-sync-delay", "0")
    with running(tmp_path / "a", *of_the_master) as master:
        with running(tmp_path / "b", "--replicaof", "127.0.0.1", str(master.port)) as replica:
            until(lambda: replica.client().info("replication")["master_link_status"] == "up")
            shipper = produce(relay=master.url, relay_replicas=1)
            first = track(shipper)
            assert shipper.flush()
            replica.freeze()
            second = track(shipper)
            assert shipper.flush(2.5).pending == 3
            replica.thaw()
            assert shipper.flush(25)
            assert sorted(ids(master.url)) == sorted([*first, *second]), "it was not added again"
            assert sorted(ids(replica.url)) == sorted([*first, *second])
        third = track(shipper)
        assert shipper.flush(2.5).pending == 3, "there is no replica any more"
        assert len(third) == 3


def test_a_demoted_master_is_left_and_events_go_to_where_its_name_leads(
    produce: Callable[..., Shipper], tmp_path: Path
) -> None:
    with running(tmp_path / "a") as old, running(tmp_path / "b") as new:
        leads_to = [old]

        def lead() -> redis.Redis:
            return leads_to[0].client()

        shipper = produce(relay=lead)
        first = track(shipper)
        assert shipper.flush()
        old.client().replicaof("127.0.0.1", new.port)
        second = track(shipper)
        assert shipper.flush(0.5).pending == 3
        leads_to[0] = new
        assert shipper.flush()
        until(lambda: {*first, *second} <= {*ids(new.url)})


def test_under_asyncio_the_loop_goes_on_while_redis_is_frozen(
    produce: Callable[..., Shipper], tmp_path: Path
) -> None:
    async def run(server: RedisServer) -> tuple[FlushReport, int]:
        shipper = produce(relay=server.url)
        server.freeze()
        track(shipper)
        flushing, steps = asyncio.ensure_future(shipper.aflush(20)), 0
        while steps < 20:
            await asyncio.sleep(0.01)
            steps += 1
        assert not flushing.done()
        server.thaw()
        return await flushing, steps

    with running(tmp_path / "r") as server:
        report, steps = asyncio.run(run(server))
        assert (report.relayed, steps) == (3, 20)


def test_close_keeps_to_its_time_while_redis_is_frozen(
    produce: Callable[..., Shipper], tmp_path: Path
) -> None:
    with running(tmp_path / "r") as server:
        shipper = produce(relay=server.url)
        track(shipper)
        assert shipper.flush()
        server.freeze()
        track(shipper)
        report = shipper.close(1.0)
        assert (report.pending, report.dropped) == (0, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_connection_and_a_hold_of_its_own(
    produce: Callable[..., Shipper], redis_server: RedisServer
) -> None:
    shipper = produce()
    first = track(shipper)
    assert shipper.flush()
    reading, writing = os.pipe()
    if not (child := os.fork()):  # pragma: no cover  a forked child, unmeasured
        status = 1
        try:
            tracked = track(shipper)
            is_well = shipper.flush() and shipper.stats().relay_held == 3
            os.write(writing, " ".join(tracked).encode())
            status = 0 if is_well else 2
        finally:
            os._exit(status)
    second = track(shipper)
    assert shipper.flush()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        of_the_child = pipe.read().decode().split()
    assert sorted(ids(redis_server.url)) == sorted([*first, *second, *of_the_child])
    assert shipper.stats().relay_held == 6


def test_without_redis_py_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("togai_shipper._config.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'togai-shipper\[redis\]'"):
        Shipper(relay="redis://cache")


def test_close_hands_over_again_what_a_redis_that_came_back_empty_had_taken(tmp_path: Path) -> None:
    with running(tmp_path / "redis") as server:
        shipper = Shipper(relay=server.url, **QUICK)
        tracked = track(shipper, 50)
        assert shipper.flush(10).held == 50
        server.come_back_empty()

        assert shipper.close(10)
        assert sorted(ids(server.url)) == sorted(tracked)


def test_close_tells_where_it_cannot_know_whether_redis_has_lost_what_it_took(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "redis") as server:
        shipper = Shipper(relay=server.url, **QUICK)
        track(shipper, 50)
        assert shipper.flush(10).held == 50
        server.kill()

        shipper.close(2)
    assert "closed while Redis, which had taken 50 relayed events, does not answer" in caplog.text
