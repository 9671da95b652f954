"""``togai-shipper doctor`` on a relay: what each finding means, and what is found in a real Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import redis
from servers import needs_redis
from stocked import BASE, Relay, command, letter

from togai_shipper.cli.doctor import relay_checks as checks
from togai_shipper.cli.doctor.check import Check
from togai_shipper.cli.doctor.relay_checks import Expected
from togai_shipper.cli.doctor.world import World
from togai_shipper.relay.errors import Forbidden, Foreign, Full, Unreachable
from togai_shipper.relay.link import Link
from togai_shipper.relay.survey import Leader, Survey, survey

MIB = 1024**2
NOW = 1_790_000_000.0
INFO = {
    "redis_version": "7.0.15",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "role": "master",
    "connected_slaves": 1,
    "maxmemory_policy": "noeviction",
    "maxmemory": 0,
    "used_memory": 950 * MIB,
    "mem_not_counted_for_evict": 50 * MIB,
}
GOOD = Survey(
    info=INFO,
    config={"appendfsync": "always", "min-replicas-to-write": "1"},
    facts={"v": "1", "base_url": BASE, "key": "2bb80d53", "events": "0", "bytes": "0", "oldest": "0"},
    entries=0,
    dead=0,
    leader=Leader("a/1/2", is_alive=True),
    drainers=["a/1/2", "b/1/2"],
    lacks_to_hand_over=[],
    lacks_to_drain=[],
)
EXPECTED = Expected("redis://:pw@h", "togai", BASE)


def judged(expected: Expected = EXPECTED, **changed: Any) -> list[Check]:
    return list(checks.of_survey(attrs.evolve(GOOD, **changed), expected, NOW))


def bad(expected: Expected = EXPECTED, **changed: Any) -> list[tuple[str, str, str]]:
    return [(c.level, c.name, c.found) for c in judged(expected, **changed) if c.level != "ok"]


def info(**changed: object) -> Mapping[str, Any]:
    return {**INFO, **changed}


def facts(**changed: object) -> Mapping[str, str]:
    return {**GOOD.facts, **{name: str(value) for name, value in changed.items()}}


def test_a_relay_in_which_all_is_well() -> None:
    assert bad() == []
    found = {check.name: check.found for check in judged()}
    assert found["Redis"] == "is version 7.0.15"
    assert found["on disk"] == "appendonly is yes, appendfsync is always"
    assert (found["drainer"], found["stand by"]) == ("a/1/2", "b/1/2")
    assert found["memory"] == "maxmemory-policy is noeviction, maxmemory is not set"
    assert found["ACL"] == "this user may hand over, and drain"


@pytest.mark.parametrize(
    ("changed", "level", "name", "what"),
    [
        ({"info": info(redis_version="6.2.19")}, "fail", "Redis", "is version 6.2.19"),
        ({"info": info(redis_version="")}, "fail", "Redis", "is version ?"),
        ({"info": info(aof_enabled=0)}, "fail", "on disk", "appendonly is no"),
        ({"info": info(aof_last_write_status="err")}, "fail", "on disk", "cannot write"),
        ({"info": info(role="slave")}, "fail", "replicas", "this is a replica"),
        ({"info": info(connected_slaves=0)}, "warn", "replicas", "none:"),
        ({"info": info(maxmemory_policy="allkeys-lru")}, "fail", "memory", "maxmemory-policy is allkeys-lru"),
        ({"config": {"appendfsync": "everysec"}}, "warn", "on disk", "appendfsync is everysec"),
        ({"config": {"appendfsync": "always", "min-replicas-to-write": "0"}}, "warn", "replicas", "is 0"),
        ({"config": None}, "warn", "on disk", "appendfsync is unknown"),
        ({"wrong_kinds": {"{togai}:dead": "list"}}, "fail", "relay", "{togai}:dead is a list"),
        ({"lacks_to_hand_over": None}, "fail", "ACL", "may not run our scripts"),
        ({"lacks_to_hand_over": ["xadd"], "lacks_to_drain": ["get"]}, "fail", "ACL", "lacks xadd"),
        ({"lacks_to_count": ["hdel", "expire"]}, "warn", "ACL", "may drain, and not keep the journal"),
        (
            {"info": info(maxmemory_policy="volatile-lru", maxmemory=1024 * MIB)},
            "warn",
            "memory",
            "it deletes the journal when it is full, and no event",
        ),
        ({"facts": facts(v=2)}, "fail", "format", "has format 2, of a newer version; this one reads 1"),
        ({"facts": facts(base_url="http://b")}, "fail", "base_url", "the relay is for http://b"),
        ({"info": info(maxmemory=900 * MIB)}, "fail", "memory", "Redis is full: 944 MB of 944 MB"),
        ({"info": info(maxmemory=1000 * MIB)}, "warn", "memory", "nearly full: 944 MB of 1.0 GB"),
        (
            {"info": info(maxmemory=500 * MIB)},
            "warn",
            "memory",
            "and max_relay_bytes 268 MB: it should be",
        ),
        ({"facts": facts(bytes=250 * MIB)}, "warn", "waiting", "and max_relay_bytes is 268 MB"),
        ({"facts": facts(out="x")}, "fail", "relay", "its field out is no number"),
        ({"leader": Leader(), "drainers": []}, "warn", "drainer", "nobody"),
        (
            {"leader": Leader("a/1/2"), "drainers": ["a/1/2"], "facts": facts(events=1)},
            "fail",
            "drainer",
            "nobody: a/1/2 is gone",
        ),
        (
            {"leader": Leader("a/1/2"), "drainers": None, "facts": facts(events=1)},
            "fail",
            "drainer",
            "whether one waits to take the lease is unknown",
        ),
        (
            {"leader": Leader(), "facts": facts(events=1)},
            "warn",
            "drainer",
            "nobody yet; waiting to take the lease: a/1/2, b/1/2",
        ),
        (
            {"leader": Leader("a/1/2"), "facts": facts(events=1)},
            "warn",
            "drainer",
            "nobody yet; waiting to take the lease: b/1/2; a/1/2 has not renewed the lease",
        ),
        ({"drainers": ["a/1/2"]}, "warn", "stand by", "nobody"),
        ({"facts": facts(events=2, oldest=1)}, "warn", "waiting", "2 events, 0 B; the oldest for 20,717 d"),
        ({"entries": 2}, "warn", "foreign", "2 entries, and not one event is counted"),
        ({"dead": 3}, "warn", "dead letters", "3"),
        ({"dead": None, "facts": facts(dead=4)}, "warn", "dead letters", "4"),
        ({"facts": facts(lost=5)}, "warn", "lost", "5 events that were handed over"),
    ],
)
def test_each_finding_is_one_check_with_advice(
    changed: dict[str, Any], level: str, name: str, what: str
) -> None:
    found = [check for check in judged(**changed) if (check.level, check.name) == (level, name)]
    assert any(what in check.found for check in found), judged(**changed)
    assert all(check.advice for check in found)
    assert "pw" not in "".join(check.advice for check in found)


def test_a_redis_with_room_for_twice_the_relay_is_well() -> None:
    room = info(maxmemory=1100 * MIB)
    assert bad(info=room) == []
    (found,) = bad(attrs.evolve(EXPECTED, max_bytes=600 * MIB), info=room)
    assert found[:2] == ("warn", "memory")


def test_what_the_user_may_not_ask_is_unknown() -> None:
    found = judged(info=None, config=None, leader=None, drainers=None, lacks_to_drain=["get"], dead=None)
    assert not any(check.level == "fail" for check in found)
    assert [check.name for check in found if "unknown" in check.found] == [
        "Redis",
        "on disk",
        "memory",
        "drainer",
        "producers",
    ]
    assert "not drain: an application's" in {check.name: check.found for check in found}["ACL"]
    names = {check.name: check.found for check in judged(drainers=None, config={"appendfsync": "always"})}
    assert names["stand by"].startswith("unknown")
    assert "min-replicas-to-write is unknown" in names["replicas"]


def test_replicas_stand_in_for_a_disk_and_have_to_be_there() -> None:
    expected = attrs.evolve(EXPECTED, replicas=1)
    assert [each[:2] for each in bad(expected, info=info(aof_enabled=0))] == [("warn", "on disk")]
    assert [each[:2] for each in bad(expected, info=info(connected_slaves=0))] == [("fail", "replicas")]


def test_the_drainers_key_is_compared_with_ours() -> None:
    ours = attrs.evolve(EXPECTED, key="secret")
    assert bad(ours) == []
    assert hashlib.sha256(b"secret").hexdigest().startswith("2bb80d53")
    (other,) = bad(ours, facts=facts(key="12345678"))
    assert other == ("warn", "drainers' key", "fingerprint 12345678, and 2bb80d53 here")


def test_a_key_that_togai_has_not_taken_yet_is_told_as_such() -> None:
    ours = attrs.evolve(EXPECTED, key="secret")
    is_tried = "fingerprint 2bb80d53 is tried: Togai has not said yet that it takes it"
    for key in ("", "12345678"):  # the first key; a new one
        assert bad(ours, facts=facts(key=key, trying="2bb80d53 a/1/2")) == [
            ("warn", "drainers' key", is_tried)
        ]
    (other, tried) = bad(ours, facts=facts(key="", trying="12345678 a/1/2"))
    assert other == ("warn", "drainers' key", "fingerprint 12345678, and 2bb80d53 here")
    assert tried[2].startswith("fingerprint 12345678 is tried")


def test_a_relay_that_is_empty_is_well_but_for_who_drains() -> None:
    assert bad(facts={}) == []
    assert "nothing was ever handed over" in [check.found for check in judged(facts={})]
    assert [each[1] for each in bad(facts={}, wrong_kinds={"x": "list"})] == ["relay"]


def test_a_valkey_says_so() -> None:
    found = judged(info=info(redis_version="7.2.4", valkey_version="8.0.1"))
    assert found[0].found == "is version 7.2.4 (Valkey 8.0.1)"


def test_somebody_elses_data_is_told_with_advice() -> None:
    assert "another relay_name" in checks.unreachable("redis://h", Foreign("there is something else")).advice
    assert "(ACL)" in checks.unreachable("redis://h", Forbidden("Redis does not let us in")).advice


def test_a_server_that_never_answers_is_asked_once() -> None:
    asked = []

    class Mute:
        def set_retry(self, _: object) -> None:
            pass

        def ping(self) -> None:
            asked.append("ping")
            raise redis.TimeoutError("Timeout reading from socket")

        def close(self) -> None:
            pass

    link = Link(Mute, "togai")  # type: ignore[arg-type]  as much of one as is asked for
    with pytest.raises(Unreachable, match="Timeout reading"):
        survey(link, None)
    assert asked == ["ping"]


@needs_redis
def test_a_relay_is_looked_at_in_a_real_redis(relay: Relay) -> None:
    relay.hand_over("a")
    relay.bury(letter("b"))
    relay.lead("host/1/2")
    drainer = Link(relay.url, "togai", client_name="togai-drain:host/1/2")

    def meanwhile(_: float) -> None:
        drainer.lease("renew", "host/1/2")

    result = command("doctor", "--no-request", env={"TOGAI_RELAY": relay.url}, obj=World(pause=meanwhile))
    lines = [line for line in result.stdout.splitlines() if line[:4] in ("ok  ", "warn", "fail")]
    for line in (
        "ok    key          TOGAI_API_KEY is not set here: with a relay, its drainers alone need it",
        f"ok    relay        {relay.url} answers; its name is togai",
        "ok    on disk      appendonly is yes, appendfsync is always",
        "warn  replicas     none: what is in Redis is lost with its disk",
        "ok    ACL          this user may hand over, and drain",
        "ok    drainers' key fingerprint deadbeef",
        "ok    drainer      host/1/2",
        "warn  stand by     nobody",
        "warn  dead letters 1",
    ):
        assert line in lines, result.stdout
    assert not any("api.togai.com is" in line for line in lines)  # this host need not reach Togai


@needs_redis
def test_a_redis_that_is_full_and_a_drainer_that_waits_for_the_lease_are_told(relay: Relay) -> None:
    relay.hand_over("a")
    drainer = Link(relay.url, "togai", client_name="togai-drain:host/1/2")
    drainer.lease("look", "host/1/2")
    relay.redis.config_set("maxmemory", "100kb")
    try:
        with pytest.raises(Full):
            relay.hand_over("b")
        result = command(
            "doctor", "--no-request", "--relay", relay.url, env={"TOGAI_MAX_RELAY_BYTES": "1000"}
        )
    finally:
        relay.redis.config_set("maxmemory", "0")
    assert result.exit_code == 1
    assert "fail  memory       Redis is full: " in result.stdout
    assert "warn  drainer      nobody yet; waiting to take the lease: host/1/2" in result.stdout
    assert "should be twice as much" not in result.stdout
    listed = relay.spool("ls").stdout
    assert "1 event waits, and nobody drains yet; waiting to take the lease: host/1/2." in listed
    assert "Start a drainer" not in listed


@needs_redis
def test_a_relay_without_durability_or_with_a_bad_policy_fails(relay: Relay) -> None:
    relay.redis.config_set("appendonly", "no")
    relay.redis.config_set("maxmemory-policy", "allkeys-random")
    try:
        result = command("doctor", "--no-request", "--relay", relay.url, "--name", "team")
    finally:
        relay.redis.config_set("appendonly", "yes")
        relay.redis.config_set("maxmemory-policy", "noeviction")
    assert result.exit_code == 1
    assert (
        "fail  on disk      appendonly is no: what it has confirmed is lost when Redis ends" in result.stdout
    )
    assert "redis-cli config set appendonly yes; redis-cli config set appendfsync always" in result.stdout
    assert "fail  memory       maxmemory-policy is allkeys-random" in result.stdout
    assert "its name is team" in result.stdout


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "redis://:sesame@127.0.0.1:1",
            "fail  relay        redis://…@127.0.0.1:1: no relay: ConnectionError",
        ),
        ("redis://:sesame@h:x", "fail  relay        is no URL"),
    ],
)
def test_a_relay_that_cannot_be_asked_fails_without_its_password(url: str, line: str) -> None:
    result = command("doctor", "--no-request", "--relay", url, env={"TOGAI_RELAY_REPLICAS": "2"})
    assert result.exit_code == 1
    assert line in result.stdout
    assert "sesame" not in result.output
