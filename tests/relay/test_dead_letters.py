"""``relay.dead_letters``: a letter goes back into the stream in the moment in which it is one no more."""

from __future__ import annotations

import pytest
from servers import RedisServer, needs_redis

from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.entries import fields_of, read
from togai_shipper.relay.errors import Foreign, Full, Newer
from togai_shipper.relay.link import Link

pytestmark = needs_redis
NOW_MS = 1_790_000_000_000
BASE = "https://api.togai.com"
MARK = b"m" * 16


@pytest.fixture
def link(redis_server: RedisServer) -> Link:
    client = redis_server.client()
    client.config_set("maxmemory", 0)
    client.flushall()
    link = Link(redis_server.url, "togai")
    link.add(fields_of([b"an event"], MARK, 2000), BASE, 10_000)
    client.hset("{togai}:dead", mapping={"a": "A", "b": "B"})
    client.hset("{togai}:relay", "dead", 2)
    return link


def replayed() -> dict[bytes, bytes]:
    return fields_of([b'{"id":"a"}', b'{"id":"b"}'], MARK, 1000)


def test_letters_become_an_entry_once_however_often_it_is_asked_for(link: Link) -> None:
    letters = DeadLetters(link)
    both = dict(letters.each())
    assert (both, letters.count()) == ({b"a": b"A", b"b": b"B"}, 2)

    assert letters.replay(both, replayed())
    assert not letters.replay(both, replayed())

    assert [len(read(*each).events) for each in link.read("0", 10)] == [1, 2]
    facts = link.facts()
    assert (facts["events"], facts["in"], facts["dead"], facts["oldest"]) == ("3", "3", "0", "1000")
    assert letters.count() == 0


@pytest.mark.parametrize("changed", [{"b": "another text"}, None])
def test_nothing_is_replayed_where_one_letter_is_not_as_it_was_seen(
    link: Link, redis_server: RedisServer, changed: dict[str, str] | None
) -> None:
    letters = DeadLetters(link)
    both = dict(letters.each())
    if changed:
        redis_server.client().hset("{togai}:dead", mapping=changed)
    else:
        redis_server.client().hdel("{togai}:dead", "b")

    assert not letters.replay(both, replayed())
    assert link.length() == 1
    assert b"a" in letters.these([b"a", b"none"])
    assert letters.purge(both, NOW_MS) == 1


def test_a_replay_into_a_stream_that_is_gone_counts_what_was_in_it(
    link: Link, redis_server: RedisServer
) -> None:
    letters = DeadLetters(link)
    redis_server.client().delete("{togai}:events")
    assert letters.replay(dict(letters.each()), replayed())
    assert (link.facts()["lost"], link.facts()["events"]) == ("1", "2")


def test_a_full_redis_refuses_a_replay_and_lets_letters_be_deleted(
    link: Link, redis_server: RedisServer
) -> None:
    letters = DeadLetters(link)
    both = dict(letters.each())
    redis_server.client().config_set("maxmemory", 1)
    with pytest.raises(Full):
        letters.replay(both, replayed())
    assert letters.purge({b"a": b"A"}, NOW_MS) == 1
    assert (letters.count(), link.facts()["dead"], link.length()) == (1, "1", 1)


def test_letters_of_no_relay_or_a_newer_one_are_left(link: Link, redis_server: RedisServer) -> None:
    letters = DeadLetters(link)
    both = dict(letters.each())
    redis_server.client().hset("{togai}:relay", "v", 99)
    with pytest.raises(Newer, match="format 99"):
        letters.replay(both, replayed())
    redis_server.client().delete("{togai}:relay")
    with pytest.raises(Foreign, match="nothing was ever handed over"):
        letters.replay(both, replayed())
    assert letters.count() == 2
    assert letters.purge(both, NOW_MS) == 2


@pytest.mark.parametrize("field", ["v", "bytes", "events", "in", "lost", "oldest"])
def test_nothing_is_replayed_where_a_figure_is_damaged_and_it_is_told(
    link: Link, redis_server: RedisServer, field: str
) -> None:
    letters = DeadLetters(link)
    both = dict(letters.each())
    redis_server.client().hset("{togai}:relay", field, "a text")
    with pytest.raises(Foreign, match=rf"has written to \{{togai\}}:relay: its field {field} is no number"):
        letters.replay(both, replayed())
    assert (letters.count(), link.length()) == (2, 1)
    if field != "v":  # and what would be gone, nobody needs to count
        assert letters.purge(both, NOW_MS) == 2
