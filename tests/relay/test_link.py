"""``relay.link``: the three scripts, by a real Redis."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
import redis
from servers import RedisServer, needs_redis

from togai_shipper.relay.answers import Done, Server, Standing
from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.entries import fields_of, parted, read
from togai_shipper.relay.errors import Forbidden, Foreign, Full, Newer, Unreachable
from togai_shipper.relay.link import HIGHEST, Link

pytestmark = needs_redis
BASE = "https://api.togai.com"


@pytest.fixture
def link(redis_server: RedisServer) -> Link:
    redis_server.client().flushall()
    return Link(redis_server.url, "togai")


def entry(*ids: str, t: int = 1_790_000_000_000) -> dict[bytes, bytes]:
    return fields_of([b'{"id":"%s"}' % each.encode() for each in ids], (ids[0] * 16)[:16].encode(), t)


def test_what_is_added_is_read_counted_and_settled(link: Link) -> None:
    first = link.add(entry("a", "b"), BASE, 10_000, replicas=0)
    second = link.add(entry("c", t=1_780_000_000_000), BASE, 10_000)
    assert (first.events, second.events, second.out, second.dead) == (2, 3, 0, 0)
    assert first.server == second.server == link.server()
    assert first.epoch == second.epoch

    found = [read(*each) for each in link.read("0", 10)]
    assert [each.events for each in found] == [[b'{"id":"a"}', b'{"id":"b"}'], [b'{"id":"c"}']]
    assert link.facts()["oldest"] == "1780000000000"

    assert link.lease("take", "me", "", fingerprint="f", base_url=BASE) == ("held", "me:1")
    done = [Done(each.id, each.mark, len(each.events), each.size) for each in found]
    assert link.settle("me", done[1:], 100).removed == [second.id]
    assert link.settle("me", done[1:], 100).removed == []
    facts = link.facts()
    assert (facts["events"], facts["in"], facts["out"], facts["oldest"]) == ("2", "3", "1", "1790000000000")
    assert link.settle("me", [Done(first.id, b"another", 2, 1)], 100).removed == []
    assert link.settle("me", done[:1], 100).removed == [first.id]
    assert (link.facts()["events"], link.facts()["bytes"], link.length()) == ("0", "0", 0)


def test_after_the_highest_id_nothing_comes_and_that_nothing_can_be_added_is_told(
    link: Link, redis_server: RedisServer
) -> None:
    highest = redis_server.client().xadd("{togai}:events", {b"x": b"y"}, id=HIGHEST).decode()
    assert link.read("0", 10) == [(HIGHEST, {b"x": b"y"})]
    assert link.read(highest, 10) == []
    with pytest.raises(Foreign, match=r"delete the stream \(DEL\)"):
        link.add(entry("a"), BASE, 10_000)


def test_a_lease_is_taken_by_one_and_only_as_it_was_seen(link: Link) -> None:
    def take(owner: str, seen: str, key: str = "f", *, new_key: bool = False) -> tuple[str, str]:
        return link.lease("take", owner, seen, fingerprint=key, new_key=new_key, base_url=BASE)

    assert take("host/1/2", "") == ("held", "host/1/2:1")
    assert take("other", "") == ("seen", "host/1/2:1")
    assert link.lease("renew", "host/1/2") == ("held", "host/1/2:2")
    assert link.lease("renew", "other") == ("lost", "host/1/2:2")
    assert take("other", "host/1/2:2") == ("held", "other:1")
    assert link.settle("host/1/2", [], 1).lost_to == "other:1"
    link.lease("release", "host/1/2")
    assert link.lease("look", "any") == ("seen", "other:1")
    assert link.tell_key("try", "other", "f") == "tried"
    link.lease("release", "other")
    with pytest.raises(Foreign, match="another key"):
        take("third", "released", "g")
    assert take("third", "released", "g", new_key=True) == ("held", "third:1")
    assert (link.facts()["key"], link.facts()["trying"]) == ("f", "g third")


def test_a_key_is_tried_by_who_leads_and_forgotten_by_who_has_tried_it(link: Link) -> None:
    assert link.tell_key("try", "me", "f") == "none"
    assert link.lease("take", "me", "", fingerprint="f", base_url=BASE)[0] == "held"
    assert link.tell_key("taken", "me", "f") == "none"
    assert [link.tell_key("try", "me", "f") for _ in range(2)] == ["tried", "tried"]
    with pytest.raises(Foreign, match=r"another key has drained this relay \(fingerprint f, ours is g\)"):
        link.tell_key("try", "me", "g")
    assert link.tell_key("refused", "other", "f") == "tried"
    assert link.tell_key("refused", "me", "f") == "none"
    assert link.tell_key("try", "me", "f") == "tried"
    assert [link.tell_key("taken", "me", "f") for _ in range(2)] == ["taken", "taken"]
    assert [link.tell_key(word, "me", "f") for word in ("refused", "try")] == ["taken", "taken"]
    with pytest.raises(Foreign, match="another key"):
        link.tell_key("try", "me", "g")
    assert link.tell_key("try", "me", "g", new_key=True) == "tried"
    assert (link.facts()["key"], link.facts()["trying"]) == ("f", "g me")


def test_what_belongs_to_another_is_refused(link: Link, redis_server: RedisServer) -> None:
    link.add(entry("a"), BASE, 10_000)
    with pytest.raises(Foreign, match=r"for https://api\.togai\.com, and we ship to http://b"):
        link.add(entry("b"), "http://b", 10_000)
    with pytest.raises(Full, match="max_relay_bytes is 100"):
        link.add(entry("b"), BASE, 100)
    redis_server.client().flushall()
    redis_server.client().set("{togai}:relay", "x")
    with pytest.raises(Foreign, match="something else"):
        link.add(entry("b"), BASE, 10_000)


@pytest.mark.parametrize("figure", ["bytes", "events", "oldest", "in", "out", "lost", "dead"])
@pytest.mark.parametrize("text", ["x", "1.5", "nan", "9" * 17])
def test_where_a_figure_is_damaged_nothing_is_appended_and_it_is_told(
    link: Link, redis_server: RedisServer, figure: str, text: str
) -> None:
    link.add(entry("a"), BASE, 10_000)
    redis_server.client().hset("{togai}:relay", figure, text)
    redis_server.client().set("{togai}:lease", "me:1")
    (only,) = (read(*each) for each in link.read("0", 10))

    what = rf"something else has written to \{{togai\}}:relay: its field {figure} is no number"
    with pytest.raises(Foreign, match=what):
        link.add(entry("b"), BASE, 10_000)
    if figure not in {"oldest", "dead"}:  # what SETTLE does not need
        with pytest.raises(Foreign, match=what):
            link.settle("me", [Done(only.id, only.mark, 1, only.size)], 100)
        assert link.length() == 1
    if figure in {"events", "in", "lost"}:
        with pytest.raises(Foreign, match=what):
            link.recount("me", only.id, 1, 1, only.size)
    if figure in {"events", "out", "dead"}:
        with pytest.raises(Foreign, match=what):
            link.look()


def test_a_format_that_is_no_number_is_told(link: Link, redis_server: RedisServer) -> None:
    redis_server.client().hset("{togai}:relay", mapping={"v": "x", "base_url": BASE})
    with pytest.raises(Foreign, match="its field v is no number"):
        link.lease("take", "me", "", fingerprint="f", base_url=BASE)


def test_a_figure_that_is_damaged_while_replicas_are_waited_for_is_told(
    link: Link, redis_server: RedisServer
) -> None:
    added = link.add(entry("a"), BASE, 10_000)
    redis_server.client().hset("{togai}:relay", "in", "x")
    with pytest.raises(Foreign, match=r"something else has written to \{togai\}:relay"):
        link.confirm(added, 1, 0.1)


ASKING: dict[str, tuple[str, Callable[[Link], object]]] = {
    "add": ("events relay", lambda link: link.add(entry("a"), BASE, 10_000)),
    "settle": ("events relay dead lease", lambda link: link.settle("me", [], 1)),
    "recount": ("events relay lease", lambda link: link.recount("me", "0", 0, 0, 0)),
    "look at the lease": ("lease", lambda link: link.lease("look", "me")),
    "take": ("relay", lambda link: link.lease("take", "me", "me:1", base_url=BASE)),
    "look": ("relay", lambda link: link.look()),
    "facts": ("relay", lambda link: link.facts()),
    "length": ("events", lambda link: link.length()),
    "read": ("events", lambda link: link.read("0", 1)),
    "count letters": ("dead", lambda link: DeadLetters(link).count()),
    "replay": ("events relay dead", lambda link: DeadLetters(link).replay({b"a": b"A"}, entry("a"))),
    "purge": ("relay dead", lambda link: DeadLetters(link).purge({b"a": b"A"}, 1)),
}


@pytest.mark.parametrize(
    ("key", "act"), [(key, act) for act, (keys, _) in ASKING.items() for key in keys.split()]
)
def test_what_is_of_another_type_is_told_by_its_key_in_plain_words(
    link: Link, redis_server: RedisServer, key: str, act: str
) -> None:
    client = redis_server.client()
    link.lease("take", "me", "", fingerprint="", base_url=BASE)
    client.hset("{togai}:dead", "a", "A")
    name = f"{{togai}}:{key}"
    client.delete(name)
    client.sadd(name, "x")
    others = {each: client.dump(each) for each in client.scan_iter() if each != name.encode()}

    with pytest.raises(Foreign) as told:
        ASKING[act][1](link)

    assert f"something else under the relay's names: {name} is of another type" in str(told.value)
    assert "script" not in str(told.value)
    assert others == {each: client.dump(each) for each in others}


def test_a_beat_that_is_too_long_to_be_counted_on_begins_anew(link: Link, redis_server: RedisServer) -> None:
    redis_server.client().set("{togai}:lease", "me:" + "9" * 30)
    assert link.lease("renew", "me") == ("held", "me:1")
    assert link.lease("renew", "me") == ("held", "me:2")


def test_a_relay_that_counts_too_much_is_full_until_who_has_read_all_says_what_it_holds(
    link: Link, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    for each in "ab":
        link.add(entry(each), BASE, 10_000)
    client.xadd("{togai}:events", {"x": "y"})
    client.xtrim("{togai}:events", maxlen=1, approximate=False)
    with pytest.raises(Full):
        link.add(entry("c"), BASE, 300)

    ((foreign, _),) = link.read("0", 10)
    assert not link.recount("me", foreign, 1, 0, 0)  # it does not lead
    link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    assert not link.recount("me", foreign, 2, 0, 0)  # it has read another stream
    assert not link.recount("me", "0", 1, 0, 0)  # one came after what it has read
    assert link.recount("me", foreign, 1, 0, 0)
    assert link.recount("me", foreign, 1, 0, 0)

    facts = link.facts()
    assert (facts["events"], facts["bytes"], facts["in"], facts["lost"]) == ("0", "0", "2", "2")
    assert link.add(entry("c"), BASE, 300).events == 1


def test_no_figure_falls_below_nothing_where_an_entry_leaves_that_nobody_has_counted(
    link: Link, redis_server: RedisServer
) -> None:
    link.add(entry("a"), BASE, 10_000)
    redis_server.client().xadd("{togai}:events", entry("b", "c"))  # type: ignore[arg-type]  bytes will do
    link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    found = [read(*each) for each in link.read("0", 10)]
    for each in reversed(found):
        link.settle("me", [Done(each.id, each.mark, len(each.events), each.size)], 10)
        assert (link.facts()["events"], link.facts()["bytes"]) == ("0", "0")
    assert (link.facts()["in"], link.facts()["out"], link.facts()["lost"]) == ("3", "3", "0")


def test_a_stream_that_is_gone_is_counted_as_lost(link: Link, redis_server: RedisServer) -> None:
    link.add(entry("a", "b"), BASE, 10_000)
    redis_server.client().delete("{togai}:events")

    assert link.add(entry("c"), BASE, 10_000).events == 1
    assert (link.facts()["lost"], link.facts()["in"]) == ("2", "3")

    redis_server.client().xtrim("{togai}:events", maxlen=0)
    link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    link.settle("me", [], 100)
    assert (link.facts()["lost"], link.facts()["events"], link.facts()["bytes"]) == ("3", "0", "0")


def test_dead_letters_are_kept_with_their_entry_up_to_a_bound(link: Link, redis_server: RedisServer) -> None:
    added = link.add(entry("a", "b"), BASE, 10_000)
    (only,) = (read(*each) for each in link.read("0", 10))
    link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    done = Done(only.id, only.mark, 2, only.size, {"a": b"{}", "b": b"{}"})

    assert link.settle("me", [done], 1).kept == [added.id]
    assert link.settle("me", [done], 2).removed == [added.id]
    assert redis_server.client().hgetall("{togai}:dead") == {b"a": b"{}", b"b": b"{}"}
    assert link.facts()["dead"] == "2"


def test_a_redis_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable) as told:
        Link("redis://127.0.0.1:1", "togai").add(entry("a"), BASE, 10_000)
    assert not told.value.may_be_done


def test_a_dead_letter_of_a_repeated_batch_counts_once(link: Link) -> None:
    link.add(entry("a"), BASE, 10_000)
    link.add(entry("a"), BASE, 10_000)
    link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    found = [read(*each) for each in link.read("0", 10)]

    link.settle("me", [Done(each.id, each.mark, 1, each.size, {"a": b"{}"}) for each in found], 10)

    assert (link.facts()["dead"], link.length()) == ("1", 0)


@pytest.mark.parametrize("time", ["nan", "0x10", "1e3", "9" * 400])
def test_a_stranger_s_time_is_not_the_oldest(link: Link, redis_server: RedisServer, time: str) -> None:
    redis_server.client().xadd("{togai}:events", {"t": time})
    link.add(entry("a", t=7), BASE, 10_000)
    link.lease("take", "me", "", fingerprint="f", base_url=BASE)

    link.settle("me", [], 10)

    assert link.facts()["oldest"] == "7"


def test_an_entry_is_confirmed_by_the_server_that_has_it_and_by_no_other(link: Link) -> None:
    added = link.add(entry("a", "b"), BASE, 10_000)

    assert link.confirm(added, 0, 0.1) == added
    assert link.facts()["in"] == "2", "what is written for that changes nothing"
    another = attrs.evolve(added, server=Server("another", "one"))
    for wrong in (another, attrs.evolve(added, server=None)):
        with pytest.raises(Unreachable, match="another Redis answers"):
            link.confirm(wrong, 0, 0.1)


def test_replicas_that_are_not_there_are_counted_as_missing(link: Link) -> None:
    added = link.add(entry("a"), BASE, 10_000, replicas=1, patience=0.01)

    assert (added.replicas, link.length()) == (0, 1)
    assert link.confirm(added, 1, 0.01).replicas == 0


def test_how_a_relay_stands_is_told_also_before_there_is_one(link: Link) -> None:
    assert link.look() == Standing(server=link.server())
    added = link.add(entry("a", "b"), BASE, 10_000)
    assert link.look() == Standing(epoch=added.epoch, events=2, server=added.server)


class OldRedis:
    """What redis-py says of a Redis that is too old, or that lets nobody ask."""

    def __init__(self, said: object) -> None:
        self._said = said

    decode_responses = False

    def get_encoder(self) -> OldRedis:
        return self

    def set_retry(self, _: object) -> None: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...

    def execute_command(self, *_: object) -> object:
        if isinstance(self._said, Exception):
            raise self._said
        return self._said


def test_a_redis_that_is_too_old_is_told_so_and_one_that_says_nothing_is_believed() -> None:
    def check(said: object) -> None:
        Link(lambda: OldRedis(said), "togai").check()  # type: ignore[arg-type,return-value]  # as far as it is asked

    with pytest.raises(Forbidden, match=r"Redis 6\.2\.14 is too old"):
        check({"redis_version": "6.2.14", "maxmemory_policy": "noeviction"})
    check({"redis_version": "7.0.15"})
    check({"redis_version": "unstable"})
    check(redis.exceptions.NoPermissionError("NOPERM"))


def test_the_newer_protocol_of_redis_gives_the_same(redis_server: RedisServer) -> None:
    redis_server.client().flushall()
    link = Link(redis_server.url + "?protocol=3", "togai")

    added = link.add(entry("a"), BASE, 10_000)

    assert added.server == link.server()
    assert (link.facts()["events"], [read(*each).events for each in link.read("0", 9)]) == (
        "1",
        [[b'{"id":"a"}']],
    )


def test_a_user_who_may_not_ask_who_the_server_is_hands_over_without_it(redis_server: RedisServer) -> None:
    redis = redis_server.client()
    redis.flushall()
    redis.execute_command("ACL SETUSER", "blind", "on", ">blind", "~*", "+@all", "-info")
    url = redis_server.url.replace("redis://", "redis://blind:blind@")
    link = Link(url, "togai")

    assert link.add(entry("a"), BASE, 10_000).server is None
    assert link.add(entry("b"), BASE, 10_000).server is None
    asks_first = Link(url, "togai")
    assert (asks_first.server(), asks_first.server()) == (None, None)
    redis.execute_command("ACL DELUSER", "blind")


def test_a_relay_of_a_newer_format_is_left_to_newer_drainers(link: Link, redis_server: RedisServer) -> None:
    link.add(entry("a"), BASE, 10_000)
    redis_server.client().hset("{togai}:relay", "v", 2)

    with pytest.raises(Newer, match="format 2"):
        link.lease("take", "me", "", fingerprint="f", base_url=BASE)


class Odd(OldRedis):
    """What nobody knows answers so."""

    def execute_command(self, *command: object) -> object:
        if command[0] == b"INFO":
            return {"run_id": "one", "master_replid": "two"}
        return [b"odd", b"answer"]


def test_an_answer_that_nobody_knows_is_told_and_what_a_client_has_read_is_taken() -> None:
    link = Link(lambda: Odd(None), "togai")  # type: ignore[arg-type,return-value]  # as far as it is asked

    with pytest.raises(Foreign, match="the relay answers 'odd'"):
        link.lease("look", "me")
    assert link.server() == Server("one", "two")


def test_who_leads_puts_two_entries_in_the_place_of_one(link: Link) -> None:
    link.lease("take", "me", base_url="there")
    added = link.add(fields_of([b"one", b"two"], b"k" * 16, 5), "there", 10**6)
    ((entry_id, fields),) = link.read("0", 10)
    entry = read(entry_id, fields)
    parts = parted(entry, {id(entry.events[0])})

    assert not link.part("another", entry, parts)
    assert link.entry(added.id) == fields
    assert link.part("me", entry, parts)
    assert link.part("me", entry, parts)  # it is gone, and nothing is put in its place once more

    assert link.entry(added.id) is None
    found = [read(*each) for each in link.read("0", 10)]
    assert [(each.events, each.accepted_ms) for each in found] == [([b"two"], 5), ([b"one"], 5)]
    facts = link.facts()
    assert (facts["events"], facts["in"], facts["out"]) == ("2", "2", "0")
    assert int(facts["bytes"]) == sum(each.size for each in found)
