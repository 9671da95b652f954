"""Users with the rights that the documentation gives them, by a real Redis: all that they need, no more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from acl import DRAINER, FOR_NOTES, FOR_THE_JOURNAL, OPERATOR, PRODUCER, give
from servers import RedisServer, needs_redis
from stocked import BASE, Relay, command, event, letter

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.doctor.world import World
from togai_shipper.relay import letters
from togai_shipper.relay.answers import Done
from togai_shipper.relay.entries import fields_of, read
from togai_shipper.relay.errors import Forbidden
from togai_shipper.relay.journal import counted
from togai_shipper.relay.link import Link
from togai_shipper.relay.notes import Note
from togai_shipper.relay.survey import Clock, Leader, survey

pytestmark = needs_redis
NOW_MS = 1_790_000_000_000
CLOCK = Clock(lambda: 0.0, lambda _: None)


@pytest.fixture
def url_of(relay: Relay) -> Iterator[Callable[[str, tuple[str, ...]], str]]:
    made = []

    def make(user: str, rights: tuple[str, ...]) -> str:
        give(relay.redis, user, rights)
        made.append(user)
        return f"redis://{user}:sesame@127.0.0.1:{relay.server.port}"

    yield make
    for user in made:
        relay.redis.execute_command("ACL", "DELUSER", user)


UrlOf = Callable[[str, tuple[str, ...]], str]


def hand_over(url: str, name: str = "a") -> None:
    link = Link(url, "togai", client_name="x")
    fields = fields_of([event(name)], os.urandom(16), 1)
    link.confirm(link.add(fields, BASE, 10**9, replicas=1, patience=0.01), 1, 0.01)
    assert link.server() is not None
    link.close()


def drain(url: str) -> str:
    """Drain the relay; return why nothing was counted, if that is so."""
    link = Link(url, "togai", client_name="togai-drain:me")
    assert link.lease("look", "me") == ("seen", "")
    assert link.lease("take", "me", "", fingerprint="f", base_url=BASE)[0] == "held"
    assert link.lease("renew", "me")[0] == "held"
    assert [link.tell_key(word, "me", "f") for word in ("try", "refused")] == ["tried", "none"]
    entries = [read(*each) for each in link.read("0", 10)]
    dead = {"a": letters.encode(letter("a"))}
    done = [Done(each.id, each.mark, 1, each.size, dead, each.events) for each in entries]
    assert link.recount("me", entries[-1].id, len(entries), len(entries), sum(each.size for each in entries))
    counts = counted((each.delivered for each in done), "delivered", NOW_MS)
    removed = link.settle("me", done, 10, counts)
    assert removed.removed == [each.id for each in entries]
    assert (link.facts()["dead"], link.length()) == ("1", 0)
    link.lease("release", "me")
    link.close()
    return removed.not_counted


def test_a_producer_hands_over_and_does_nothing_else(relay: Relay, url_of: UrlOf) -> None:
    url = url_of("producer", PRODUCER)
    hand_over(url)
    relay.redis.set("another's", "x")
    link = Link(url, "togai")
    forbidden: list[Callable[[], Any]] = [
        partial(link.read, "0", 1),
        partial(link.settle, "me", [], 1),
        partial(link.lease, "take", "me", "", base_url=BASE),
        link.length,
        partial(link.ask, "DEL", link.keys["events"]),
        partial(link.ask, "HMGET", "another's", "x"),
        partial(link.ask, "CONFIG", "GET", "maxmemory"),
    ]
    for act in forbidden:
        with pytest.raises(Forbidden, match="does not let this user do it"):
            act()


def test_a_drainer_drains(relay: Relay, url_of: UrlOf) -> None:
    relay.hand_over("a")
    assert drain(url_of("drainer", DRAINER)) == ""
    found = survey(Link(url_of("drainer", DRAINER), "togai"), CLOCK)
    assert (found.lacks_to_hand_over, found.lacks_to_drain, found.lacks_to_count) == ([], [], [])


@pytest.mark.parametrize(
    "lacking",
    sorted({*PRODUCER} - {"-@all", "+eval", "+ping", "+select", "+info", "+client|setname"} - FOR_NOTES),
)
def test_a_producer_needs_each_of_its_rights(relay: Relay, url_of: UrlOf, lacking: str) -> None:
    url = url_of("producer", tuple(right for right in PRODUCER if right != lacking))
    relay.redis.script_flush()
    with pytest.raises(Forbidden, match="does not let this user do it"):
        hand_over(url)


@pytest.mark.parametrize(
    "lacking", sorted({*DRAINER} - {*PRODUCER} - FOR_THE_JOURNAL | {"+evalsha", "+hmget", "+hset"})
)
def test_a_drainer_needs_each_of_its_rights(relay: Relay, url_of: UrlOf, lacking: str) -> None:
    relay.hand_over("a")
    with pytest.raises(Forbidden, match="does not let this user do it"):
        drain(url_of("drainer", tuple(right for right in DRAINER if right != lacking)))


@pytest.mark.parametrize(
    ("lacking", "why", "lacks"),
    [
        ("~{togai}:journal*", "this user may not write to it", "hmget hset hgetall hdel hlen hincrby expire"),
        ("+expire", "can't run this command", "expire"),
        ("+hdel", "", "hdel"),
    ],
)
def test_without_the_rights_to_the_journal_a_drainer_drains_and_says_that_it_does_not_count(
    relay: Relay, url_of: UrlOf, lacking: str, why: str, lacks: str
) -> None:
    relay.hand_over("a")
    url = url_of("drainer", tuple(right for right in DRAINER if right != lacking))

    assert why in drain(url)
    assert survey(Link(url, "togai"), CLOCK).lacks_to_count == lacks.split()
    told = command("doctor", "--no-request", "--relay", url)
    assert f"may drain, and not keep the journal: it lacks {lacks.replace(' ', ', ')}" in " ".join(
        told.stdout.split()
    )


@pytest.mark.parametrize("lacking", sorted(FOR_NOTES - {"+eval"}))
def test_without_the_rights_to_notes_a_producer_hands_over_and_doctor_says_what_is_lacking(
    relay: Relay, url_of: UrlOf, lacking: str
) -> None:
    url = url_of("producer", tuple(right for right in PRODUCER if right != lacking))
    link = Link(url, "togai")
    fields = fields_of([event("a")], os.urandom(16), 1)

    added = [link.add(fields, BASE, 10**9, note=Note("me", "x")) for _ in range(2)]
    link.close()

    is_for_forgetting = lacking in ("+hdel", "+zrem")  # of which there is nothing yet
    assert [each.is_noted for each in added] == [is_for_forgetting] * 2
    told = command("doctor", "--no-request", "--relay", url)
    assert "may hand over, and not say how it stands: it lacks" in " ".join(told.stdout.split())


def test_a_producer_says_how_it_stands_and_an_operator_reads_it(relay: Relay, url_of: UrlOf) -> None:
    link = Link(url_of("producer", PRODUCER), "togai")
    report = SelfReport(at_ms=1, since_ms=1, pending=2)
    assert link.look(Note("me", report.as_text())).is_noted
    assert link.look(Note("gone", report.as_text())).is_noted
    assert link.look(Note("gone", "")).is_noted
    link.close()

    found = survey(Link(url_of("operator", OPERATOR), "togai"), CLOCK)

    assert found.producers is not None
    assert [(each.name, each.report.pending) for each in found.producers.known] == [("me", 2)]


def test_an_operator_uses_every_command(relay: Relay, url_of: UrlOf) -> None:
    url = url_of("operator", OPERATOR)
    relay.hand_over("a")
    relay.bury(letter("b"), letter("c"))
    for words in (
        ["ls"],
        ["ls", "--dead"],
        ["show", "a"],
        ["export"],
        ["export", "--pending"],
        ["replay", "--id", "b"],
        ["purge", "--all", "--yes"],
        ["verify"],
    ):
        result = command("spool", *words, url)
        assert result.exit_code == 0, result.output
        assert "unknown" not in result.stdout
        assert "sesame" not in result.output
    result = command("doctor", "--no-request", "--relay", url)
    assert "unknown" not in result.stdout
    assert "sesame" not in result.output
    assert relay.link.facts()["events"] == "2"


@pytest.mark.parametrize("lacking", sorted({*OPERATOR} - {*DRAINER}))
def test_an_operator_needs_each_of_his_rights(relay: Relay, url_of: UrlOf, lacking: str) -> None:
    url = url_of("operator", tuple(right for right in OPERATOR if right != lacking))
    relay.redis.rpush("{togai}:lease", "another kind")
    relay.link.look(Note("me", "x"))
    relay.bury(letter("b"))
    link = Link(url, "togai")
    found = survey(link, CLOCK)
    results = [command("spool", *words, url) for words in (["ls", "--dead"], ["purge", "--all", "--yes"])]
    is_missed = (
        found.config is None
        or found.producers is None
        or found.drainers is None
        or not found.wrong_kinds
        or any("does not let this user do it" in result.output for result in results)
    )
    assert is_missed


def test_doctor_tells_a_producer_what_it_may_not_see_and_that_it_may_hand_over(
    relay: Relay, url_of: UrlOf
) -> None:
    relay.hand_over("a")
    world = World(pause=lambda _: None)
    result = command("doctor", "--no-request", "--relay", url_of("producer", PRODUCER), obj=world)
    assert result.exit_code == 0, result.output
    assert "appendfsync is unknown" in result.stdout
    assert "this user may hand over, and not drain: an application's" in result.stdout
    assert "drainer      unknown: this user may not read the lease" in result.stdout
    assert survey(relay.link, CLOCK).leader == Leader()


def test_doctor_names_what_a_user_lacks(relay: Relay, url_of: UrlOf) -> None:
    url = url_of("producer", tuple(right for right in PRODUCER if right != "+xadd"))
    result = command("doctor", "--no-request", "--relay", url)
    assert "fail  ACL          this user may not hand over: it lacks xadd" in result.stdout
    without_scripts = tuple(right for right in PRODUCER if right != "+evalsha")
    result = command("doctor", "--no-request", "--relay", url_of("producer", without_scripts))
    assert "fail  ACL          this user may not run our scripts" in result.stdout


@pytest.mark.parametrize("login", ["nobody:sesame@", "producer:another-sesame@", ""])
def test_who_is_not_let_in_is_told_so_in_one_line(relay: Relay, url_of: UrlOf, login: str) -> None:
    url_of("producer", PRODUCER)
    relay.redis.config_set("requirepass", "open")
    try:
        result = command("spool", "ls", f"redis://{login}127.0.0.1:{relay.server.port}")
    finally:
        relay.redis.config_set("requirepass", "")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert ("does not let us in" if login else "wants a password") in line
    assert "sesame" not in line


def test_a_database_with_another_number_is_another_relay(redis_server: RedisServer, relay: Relay) -> None:
    relay.hand_over("a")
    assert "nothing was ever" in command("spool", "ls", f"{redis_server.url}/3").stdout
