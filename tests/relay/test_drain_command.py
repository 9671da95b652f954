"""``togai-shipper drain redis://...``: what is in a relay is delivered, and what is not is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filled import add, hand_over
from servers import RedisServer, needs_redis

from togai_shipper import Event
from togai_shipper.cli.app import cli
from togai_shipper.relay.entries import fields_of
from togai_shipper.relay.errors import Full
from togai_shipper.relay.letters import read
from togai_shipper.relay.link import Link
from togai_shipper.testing import FakeTogai, faults

pytestmark = needs_redis


@pytest.fixture
def link(redis_server: RedisServer) -> Iterator[Link]:
    """A relay whose last drainer has stopped, so that the next one need not wait."""
    client = redis_server.client()
    client.flushall()
    client.set("{togai}:lease", "released")
    made = Link(redis_server.url, "togai")
    yield made
    made.close()


def drain(togai: FakeTogai, url: str, *arguments: str, **environment: str) -> Result:
    environment = {
        "TOGAI_API_KEY": "secret",
        "TOGAI_BASE_URL": togai.url,
        "TOGAI_CLOSE_TIMEOUT": "20",
        **environment,
    }
    return CliRunner().invoke(cli, ["drain", "--rate-limit", "500", *arguments, url], env=environment)


def test_what_many_hosts_have_handed_over_is_delivered_in_full_requests(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    ids = hand_over(link, togai.url, 250)

    result = drain(togai, redis_server.url, "--once")

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].endswith("3,000 delivered, 0 in memory, 0 in the relay.")
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.billed_twice == set()
    assert len(togai.requests) <= 10
    assert (link.length(), link.lease("look", "me")) == (0, ("seen", "released"))


def test_what_togai_refuses_is_a_dead_letter_and_is_told_to_a_function(
    togai: FakeTogai, link: Link, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("told_here.py").write_text("told = []\ndef told_of(error, events): told.append((error, events))\n")
    hand_over(link, togai.url, 1)
    (bad,) = hand_over(link, togai.url, 1, 1, account="bad")
    togai.poison(lambda event: event["accountId"] == "bad")

    result = drain(togai, redis_server.url, "--once", "--json", "--on-error", "told_here:told_of")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    names = ("delivered", "rejected", "pending", "relay_events", "relay_dead", "foreign_entries")
    assert [told[name] for name in names] == [12, 1, 0, 0, 1, 0]
    assert "1 dead letter" in result.stderr
    (letter,) = redis_server.client().hgetall("{togai}:dead").items()
    assert read(bad, letter[1]).reason == "rejected"
    ((_, events),) = sys.modules["told_here"].told
    assert [event.id for event in events] == [bad]


def test_foreign_entries_alone_have_an_exit_status_of_their_own(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    client.xadd("{togai}:events", {"something": "else"})
    hand_over(link, togai.url, 1)
    client.xadd("{togai}:events", {"k": "0123456789abcdef", "v": "2", "n": "1", "t": "1", "c": "", "e": ""})

    result = drain(togai, redis_server.url, "--once")

    assert result.exit_code == 3
    assert "12 delivered, 0 in memory, 0 in the relay, 2 entries not ours" in result.output
    assert client.xlen("{togai}:events") == 2


def test_a_relay_without_room_for_more_dead_letters_shows_in_the_exit_status(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    redis_server.client().hset("{togai}:dead", mapping={f"{n}": "{}" for n in range(50_000)})
    hand_over(link, togai.url, 1, 1, account="bad")
    togai.poison(lambda event: event["accountId"] == "bad")

    result = drain(togai, redis_server.url, "--once")

    assert result.exit_code == 1
    assert "the relay has 50,000 dead letters, and no room for more" in result.output.splitlines()[-1]
    assert link.length() == 1


def test_a_relay_of_another_name_is_another_relay(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    other = Link(redis_server.url, "other")
    hand_over(link, togai.url, 1)
    hand_over(other, togai.url, 2)
    redis_server.client().set("{other}:lease", "released")

    result = drain(togai, redis_server.url, "--once", "--name", "other")

    assert (result.exit_code, togai.ledger.metered) == (0, 24)
    assert link.length() == 1
    other.close()


def test_another_key_is_refused_until_it_is_given_as_a_new_one(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    hand_over(link, togai.url, 1)
    assert drain(togai, redis_server.url, "--once").exit_code == 0
    hand_over(link, togai.url, 1)
    togai.set_api_key("rotated")

    result = drain(togai, redis_server.url, "--once", TOGAI_API_KEY="rotated")
    assert result.exit_code == 1
    assert "Error: another key has drained this relay (fingerprint 2bb80d53, ours is" in result.output
    assert "give --new-key once" in result.output

    assert drain(togai, redis_server.url, "--once", "--new-key", TOGAI_API_KEY="rotated").exit_code == 0
    assert togai.ledger.metered == 24


def test_a_relay_for_another_base_url_is_refused(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    hand_over(link, "https://api.togai.com", 1)

    result = drain(togai, redis_server.url)

    assert result.exit_code == 1
    assert f"Error: the relay is for https://api.togai.com, and we ship to {togai.url}" in result.output
    assert link.length() == 1


def test_a_relay_that_is_full_by_what_was_trimmed_takes_events_once_it_was_drained(
    togai: FakeTogai, link: Link, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A foreign entry stays in the stream, so that never becomes empty."""
    hand_over(link, togai.url, 3)
    client = redis_server.client()
    client.xadd("{togai}:events", {"x": "y"})
    client.xtrim("{togai}:events", maxlen=1, approximate=False)
    fields = fields_of([Event("api_call", "acme").encode()], bytes(16), int(time.time() * 1000))
    with pytest.raises(Full):
        link.add(fields, togai.url, 1000)

    result = drain(togai, redis_server.url, "--once")

    assert result.exit_code == 1
    assert "36 lost by Redis, at least" in result.output.splitlines()[-1]
    assert "the relay said that it holds 36 events, and it holds 0" in caplog.text
    facts = link.facts()
    assert (facts["events"], facts["bytes"], facts["lost"]) == ("0", "0", "36")
    assert link.add(fields, togai.url, 1000).events == 1


def test_a_redis_that_is_not_there_ends_it_where_it_is_to_run_once(togai: FakeTogai) -> None:
    result = drain(togai, "redis://127.0.0.1:1", "--once")

    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: no relay: ConnectionError")


def test_a_redis_that_throws_away_what_it_has_no_room_for_is_refused(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    redis_server.client().config_set("maxmemory-policy", "allkeys-lru")
    result = drain(togai, redis_server.url, "--once")
    redis_server.client().config_set("maxmemory-policy", "noeviction")

    assert (result.exit_code, togai.requests) == (1, ())
    assert "set maxmemory-policy noeviction" in result.output
    assert link.facts() == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["redis://", "--once"], "relay: has no host"),
        (["redis://h", "--name", "{a}"], "relay_name: must have 1 to"),
        (["redis://h", "--on-error", "nothing"], "--on-error must be PKG:FUNCTION, not nothing"),
        (["redis://h", "--on-error", "no_such:thing"], "no_such:thing: ModuleNotFoundError"),
        (["redis://h", "--on-error", "os:sep"], "os:sep is no function"),
        (["no_such.module:redis"], "DIR: no_such.module:redis: ModuleNotFoundError"),
        (["/tmp", "--name", "a"], "--name is for a relay"),  # noqa: S108  nothing is made there
    ],
)
def test_bad_input_is_an_error_of_one_line(togai: FakeTogai, arguments: list[str], told: str) -> None:
    result = drain(togai, *arguments)

    assert result.exit_code in (1, 2)
    assert told in result.output.splitlines()[-1]


def test_a_function_may_make_the_connection(
    togai: FakeTogai, link: Link, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("our_redis.py").write_text(
        f"import redis\nclass Made:\n    @staticmethod\n    def client():\n"
        f"        return redis.Redis(port={redis_server.port})\n"
    )
    hand_over(link, togai.url, 1)

    result = drain(togai, "our_redis:Made.client", "--once")

    assert result.exit_code == 0, result.output
    assert togai.ledger.metered == 12


def test_what_its_module_raises_is_told_without_a_password(
    togai: FakeTogai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_bad_redis.py").write_text("import redis\nclient = redis.from_url('redis://:sesame/open@h')\n")

    result = drain(togai, "a_bad_redis:client", "--once")

    assert result.exit_code == 1
    assert result.output.startswith("Error: DIR: a_bad_redis:client: ValueError (a_bad_redis.py:2); its text")
    assert "sesame" not in result.output


def test_events_that_may_be_too_old_stay_where_togai_does_not_say_what_time_it_is(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    add(link, "http://127.0.0.1:9", [Event("api_call", "acme").encode()], ago=41 * 86_400)

    result = drain(togai, redis_server.url, "--once", TOGAI_BASE_URL="http://127.0.0.1:9")

    assert result.exit_code == 1
    assert "1 too old to be sent, perhaps" in result.output
    assert "until Togai says what time it is" in result.output
    assert (link.length(), togai.ledger.metered) == (1, 0)


@pytest.mark.parametrize("fresh", [0, 1])
def test_once_makes_dead_letters_of_events_past_the_window_since_togai_says_what_time_it_is(
    togai: FakeTogai, link: Link, redis_server: RedisServer, fresh: int
) -> None:
    old = Event("api_call", "acme")
    add(link, togai.url, [old.encode()], ago=41 * 86_400)
    hand_over(link, togai.url, fresh)

    result = drain(togai, redis_server.url, "--once", "--json")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    names = ("delivered", "dropped", "relay_events", "relay_dead", "kept")
    assert [told[name] for name in names] == [12 * fresh, {"past dedupe window": 1}, 0, 1, 0]
    assert list(redis_server.client().hgetall("{togai}:dead")) == [old.id.encode()]
    assert link.length() == 0


def start(togai: FakeTogai, url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "togai_shipper", "drain", *arguments, url],
        env={**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_it_goes_on_until_it_is_stopped_and_the_next_one_leads_at_once(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    ids = hand_over(link, togai.url, 1)
    with start(togai, redis_server.url) as first:
        assert togai.wait(lambda: togai.ledger.metered == 12, 60)
        ids += hand_over(link, togai.url, 1)
        assert togai.wait(lambda: togai.ledger.metered == 24, 60)
        with start(togai, redis_server.url, "--once") as second:  # waits beside a leader, and ends with it
            said, _ = second.communicate(timeout=60)
        first.send_signal(signal.SIGTERM)
        output, _ = first.communicate(timeout=60)

    assert (first.returncode, second.returncode) == (0, 0), (output, said)
    assert "stands by, " in said
    assert output.splitlines()[-1].endswith("24 delivered, 0 in memory, 0 in the relay.")
    assert link.lease("look", "me") == ("seen", "released")
    assert togai.ledger.lost(ids) == set()


def test_beside_a_leader_foreign_entries_alone_have_that_exit_status_too(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    hand_over(link, togai.url, 1)
    redis_server.client().xadd("{togai}:events", {"something": "else"})
    with start(togai, redis_server.url) as leader:
        assert togai.wait(lambda: togai.ledger.metered == 12, 60)
        with start(togai, redis_server.url, "--once") as second:
            said, _ = second.communicate(timeout=60)
        leader.send_signal(signal.SIGTERM)
        leader.communicate(timeout=60)

    assert second.returncode == 3, said
    assert "1 entry not ours" in said.splitlines()[-1]


def test_once_that_is_stopped_before_it_is_empty_does_not_say_that_all_is_delivered(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    togai.script(*[faults.Html(503)] * 1000)
    hand_over(link, togai.url, 1)
    with start(togai, redis_server.url, "--once") as process:
        assert togai.wait(lambda: bool(togai.requests), 60)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 1, said
    assert link.length() == 1


def test_the_drainer_looks_up_for_the_fleet_what_togai_does_not_bill(
    togai: FakeTogai, link: Link, redis_server: RedisServer
) -> None:
    togai.schemas = ["another"]
    ids = hand_over(link, togai.url, 1)
    with start(togai, redis_server.url, "--verify", "60", "--json") as process:
        looked_up = {f"/events/{event_id}" for event_id in ids}
        assert togai.wait(lambda: looked_up & {request.path for request in togai.requests}, 60)
        assert togai.wait(lambda: all(request.status for request in togai.requests), 60)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 0, said
    assert json.loads(said[said.index("{") :])["unbilled"].keys() <= {"INGESTION_FAILED_SCHEMA_NOT_DEFINED"}


def test_how_a_drain_stands_is_one_line() -> None:
    from togai_shipper import Stats  # noqa: PLC0415
    from togai_shipper.cli.drain_relay import RelayDrained  # noqa: PLC0415
    from togai_shipper.relay.lease import Lease  # noqa: PLC0415
    from togai_shipper.relay.shelf import Passed  # noqa: PLC0415
    from togai_shipper.relay.view import View  # noqa: PLC0415

    lease = Lease("me", said="host/7/1:3")
    values: dict[str, Any] = {"length": 9, "full": 0, "is_empty": True, "failure": "", "is_refused": False}
    view = View("stands by", lease, {"events": "0"}, passed=Passed(0, 1, 5), lost=7, **values)
    drained = RelayDrained(Stats(delivered=5, pending=2, rejected=1, unbilled={"FAILED": 3}), view, 0.0)

    assert drained.line() == (
        "stands by, host/7/1 leads, 5 delivered, 2 in memory, 0 in the relay, 1 dead letter, "
        "5 too old to be sent, perhaps, 9 entries not ours, 7 lost by Redis, at least, "
        "3 of those looked up not billed"
    )
    assert drained.status == 1
