"""The journal of a relay, in a real Redis: what is counted of what leaves, and what is in doubt of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from servers import RedisServer, needs_redis
from stocked import BASE, Relay, command, letter

from togai_shipper import ConfigurationError, Event, Shipper
from togai_shipper._event import ChosenId
from togai_shipper._journal import Counted, Fate, Journal, JournalError, read_export
from togai_shipper.cli.reconcile.command import Today
from togai_shipper.relay import letters
from togai_shipper.relay.answers import Done
from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.drainer import load
from togai_shipper.relay.entries import fields_of, read
from togai_shipper.relay.journal import Counts, counted
from togai_shipper.relay.journal_reading import read_relay_journal
from togai_shipper.testing import FakeTogai

pytestmark = needs_redis
TODAY = date(2026, 9, 22)
NOW_MS = 1_790_078_400_000  # noon of that day
DAY_MS = 86_400_000
HEAD = "{togai}:journal"


def event(schema: str = "api_call", days: int = 0, event_id: str | None = None) -> bytes:
    when = f"{TODAY - timedelta(days=days)}T09:00:00Z"
    made = Event(schema, "acme", {"count": 1}, timestamp=when, id=event_id).encode()
    return ChosenId(made) if event_id else made


def hand_over(relay: Relay, *events: bytes) -> None:
    relay.link.add(fields_of(events, os.urandom(16), NOW_MS), BASE, 10**9)


def done(relay: Relay, *dead: bytes) -> list[Done]:
    """All that is in the stream; some are dead."""
    entries = [read(*each) for each in relay.link.read("0", 100)]
    return [
        Done(
            each.id,
            each.mark,
            len(each.events),
            each.size,
            {event.decode(): b"{}" for event in each.events if event in dead},
            [event for event in each.events if event not in dead],
        )
        for each in entries
    ]


def settle(
    relay: Relay, what: Sequence[Done] | None = None, *, at: int = NOW_MS, doubt: str = "", most: int = 9
) -> str:
    """Remove all, as a drainer does; return why nothing was counted."""
    relay.link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    what = done(relay) if what is None else what
    found = counted((each.delivered for each in what), "delivered", at, doubt)
    return relay.link.settle("me", what, 9, Counts(found.each, "delivered", at, doubt, most)).not_counted


def settle_as_older_versions_do(relay: Relay) -> None:
    relay.link.lease("take", "me", "", fingerprint="f", base_url=BASE)
    relay.link.settle("me", done(relay), 9)


def journal(relay: Relay, at: int = NOW_MS) -> Journal:
    return read_relay_journal(relay.link, "togai", lambda: at / 1000)


def count(
    number: int, fate: Fate = "delivered", schema: str = "api_call", days: int = 0, *, is_chosen: bool = False
) -> Counted:
    left = None if fate in ("waiting", "dead") else TODAY
    return Counted(TODAY - timedelta(days=days), left, schema, is_chosen, None, fate, number)


def test_what_is_delivered_is_counted_by_day_and_schema_and_by_who_made_the_id(relay: Relay) -> None:
    hand_over(relay, event(), event(days=1), event("storage"), event(event_id="mine"))
    hand_over(relay, event(), event())
    settle(relay)

    found = journal(relay)
    assert sorted(found.counts, key=str) == sorted(
        [count(3), count(1, is_chosen=True), count(1, days=1), count(1, schema="storage")], key=str
    )
    assert (found.host, found.kind, found.base_url) == ("togai", "relay", BASE)
    assert (found.is_complete, found.doubts) == (True, {})
    assert found.since.timestamp() * 1000 == NOW_MS


def test_what_waits_and_what_is_dead_is_told_beside_it(relay: Relay) -> None:
    hand_over(relay, event(), event())
    settle(relay)
    hand_over(relay, event("waits"))
    dead = event("dead", event_id="d")
    relay.bury(letter("d", body=dead))

    assert {(each.fate, each.schema, each.count) for each in journal(relay).counts} == {
        ("delivered", "api_call", 2),
        ("dead", "dead", 1),
        ("waiting", "waits", 1),
    }


def test_what_is_buried_is_not_counted_as_delivered_and_what_is_purged_is_counted_once(relay: Relay) -> None:
    good, bad = event(), event(event_id="bad")
    hand_over(relay, good, bad)
    settle(relay, done(relay, bad))
    assert count(1) in journal(relay).counts
    relay.redis.delete("{togai}:dead")
    relay.bury(letter("bad", body=bad))
    taken = {b"bad": letters.encode(letter("bad", body=bad)), b"gone": b"{}"}
    taken[b"bad"] = relay.redis.hget("{togai}:dead", "bad")  # type: ignore[assignment]  # it is not awaited

    assert DeadLetters(relay.link).purge(taken, NOW_MS) == 1
    assert DeadLetters(relay.link).purge(taken, NOW_MS) == 0
    assert set(journal(relay).counts) == {count(1), count(1, "purged", is_chosen=True)}


def test_an_entry_that_another_drainer_has_removed_is_not_counted_again(relay: Relay) -> None:
    hand_over(relay, event(), event())
    seen = done(relay)
    settle(relay, seen)
    hand_over(relay, event("storage"))

    settle(relay, [*seen, *done(relay)])

    assert set(journal(relay).counts) == {count(2), count(1, schema="storage")}


def test_a_journal_keeps_its_name_and_is_the_later_one_each_time_it_is_read(relay: Relay) -> None:
    hand_over(relay, event())
    settle(relay)
    first, second = journal(relay), journal(relay, NOW_MS + 1000)

    assert (first.id, len(first.id)) == (second.id, 32)
    assert first.until < second.until
    relay.redis.flushall()
    hand_over(relay, event())
    settle(relay)
    assert journal(relay).id != first.id


def test_counts_go_after_ninety_days_and_what_is_said_of_those_days_with_them(
    relay: Relay, redis_server: RedisServer
) -> None:
    hand_over(relay, event())
    settle(relay, doubt="Redis has lost something")
    assert 0 < redis_server.client().ttl(f"{HEAD}:2026-09-22") <= 91 * 86_400  # type: ignore[operator]  # likewise
    redis_server.client().delete(f"{HEAD}:2026-09-22")
    hand_over(relay, event())
    settle(relay, at=NOW_MS + 91 * DAY_MS)

    found = journal(relay, NOW_MS + 91 * DAY_MS)
    assert (len(found.counts), found.doubts) == (1, {})


def test_events_that_an_older_drainer_delivers_are_told_on_each_day_on_which_it_may_have_been(
    relay: Relay,
) -> None:
    hand_over(relay, event())
    settle(relay, at=NOW_MS - 2 * DAY_MS)
    hand_over(relay, event(), event())
    settle_as_older_versions_do(relay)
    until_now = {TODAY - timedelta(days=days) for days in range(3)}
    assert set(journal(relay).doubts) == until_now

    hand_over(relay, event())
    settle(relay)
    hand_over(relay, event())
    settle(relay, at=NOW_MS + DAY_MS)

    found = journal(relay, NOW_MS + DAY_MS)
    assert set(found.doubts) == until_now
    (why,) = found.in_doubt()
    assert why.startswith("2026-09-20 to 2026-09-22: 2 events left without being counted: by a drainer that")


def test_what_was_delivered_before_there_was_a_journal_puts_all_earlier_days_in_doubt(relay: Relay) -> None:
    hand_over(relay, event(), event())
    settle_as_older_versions_do(relay)
    with pytest.raises(JournalError, match="keeps no journal: no drainer of this version has delivered"):
        journal(relay)
    hand_over(relay, event())
    settle(relay)

    (why,) = journal(relay).in_doubt()
    assert why.startswith("2026-06-24 to 2026-09-22: 2 events left without being counted")


def test_that_redis_has_lost_what_the_relay_counted_is_a_doubt(relay: Relay) -> None:
    hand_over(relay, event())
    settle(relay)
    relay.redis.delete("{togai}:relay")
    hand_over(relay, event())
    settle(relay)
    settle(relay, [], doubt="Redis has lost 7 events")

    assert list(journal(relay).in_doubt()) == ["2026-09-22: Redis has lost what the relay had counted"]


def test_what_a_drainer_says_of_a_loss_is_a_doubt_though_nothing_leaves(relay: Relay) -> None:
    for text in ("Redis has lost 7 events", "and more"):
        settle(relay, [], doubt=text)

    assert journal(relay).doubts == {TODAY: "Redis has lost 7 events"}


def test_more_kinds_of_events_than_there_is_room_for_are_counted_without_their_names(relay: Relay) -> None:
    hand_over(relay, *(event(f"schema {n}") for n in range(6)), event("schema 0"))
    settle(relay, most=2)
    hand_over(relay, event("schema 0"), event("another"))
    settle(relay, most=2)

    found = {each.schema: each.count for each in journal(relay).counts}
    assert (sum(found.values()), len(found)) == (9, 3)
    assert found[""] > 1


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (("DEL", f"{HEAD}:2026-09-22"), "the counts are gone, or some of them"),
        (("HSET", f"{HEAD}:2026-09-22", "x", "1"), "what is counted is damaged"),
        (
            ("HSET", f"{HEAD}:2026-09-22", '["2026-01-01","a",0,"delivered"]', "x"),
            "what is counted is damaged",
        ),
        (("HSET", f"{HEAD}:2026-09-22", '["2026-01-01","a",0,"eaten"]', "1"), "what is counted is damaged"),
        (("HSET", f"{HEAD}:2026-09-22", '["soon","a",0,"delivered"]', "1"), "what is counted is damaged"),
        (("HSET", HEAD, "total never", "7", "other 2026-09-22", "1", "gone never", "1"), ""),
    ],
    ids=["deleted", "no field", "no count", "no fate", "no day", "unknown"],
)
def test_counts_that_somebody_has_spoilt_are_a_doubt(relay: Relay, spoil: tuple[str, ...], why: str) -> None:
    hand_over(relay, event())
    settle(relay)
    relay.redis.execute_command(*spoil)

    assert why in "".join(journal(relay).in_doubt())
    assert bool(journal(relay).doubts) == bool(why)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (("SADD", HEAD, "x"), "{togai}:journal is something else"),
        (("HSET", HEAD, "v", "9"), "{togai}:journal is of a newer version"),
        (("HSET", HEAD, "v", "x"), "{togai}:journal is of a newer version"),
        (("SADD", f"{HEAD}:2026-09-22", "x"), "{togai}:journal:2026-09-22 is something else"),
        (
            ("HSET", f"{HEAD}:2026-09-22", '["2026-09-22","api_call",0,"delivered"]', "x"),
            "hash value is not an integer",
        ),
    ],
    ids=["another kind", "newer", "no number", "a day of another kind", "no count"],
)
def test_nothing_that_is_wrong_with_the_journal_keeps_an_event_from_leaving(
    relay: Relay, spoil: tuple[str, ...], why: str
) -> None:
    hand_over(relay, event())
    relay.redis.execute_command(*spoil)

    assert why in settle(relay)
    assert relay.link.length() == 0


def test_a_day_that_could_not_be_counted_is_in_doubt_from_then_on(relay: Relay) -> None:
    hand_over(relay, event())
    relay.redis.sadd(f"{HEAD}:2026-09-22", "x")
    settle(relay)
    relay.redis.delete(f"{HEAD}:2026-09-22")

    assert TODAY in journal(relay).doubts


@pytest.mark.parametrize(
    ("facts", "why"),
    [({"v": 9, "id": "a"}, "has format 9, of a newer version of togai-shipper"), ({"v": 1}, "is damaged")],
)
def test_a_journal_that_cannot_be_read_says_why(relay: Relay, facts: dict[str, str], why: str) -> None:
    relay.redis.hset(HEAD, mapping=facts)  # type: ignore[arg-type]  # numbers will do
    with pytest.raises(JournalError, match=why):
        journal(relay)


def test_entries_that_cannot_be_read_may_be_events_of_any_day(relay: Relay) -> None:
    hand_over(relay, event())
    settle(relay)
    relay.redis.xadd("{togai}:events", {"x": "y"})

    found = journal(relay)
    assert (found.is_complete, found.why_not) == (False, "1 entry of the relay cannot be read")


def test_a_full_redis_is_drained_and_counted(relay: Relay, redis_server: RedisServer) -> None:
    hand_over(relay, event())
    redis_server.client().config_set("maxmemory", "1")
    try:
        assert settle(relay) == ""
    finally:
        redis_server.client().config_set("maxmemory", "0")
    assert journal(relay).counts == (count(1),)


# --- as an operator sees it ---


@pytest.fixture
def togai() -> Iterator[FakeTogai]:
    with FakeTogai("secret", other_rate_limit=None) as made:
        yield made


def deliver(relay: Relay, togai: FakeTogai, *entries: Sequence[bytes]) -> None:
    """Hand these over, and let a drainer deliver them, to Togai and to the journal."""
    day = datetime(2026, 9, 22, 12, tzinfo=timezone.utc)
    togai.clock = day.timestamp
    for events in entries:
        relay.link.add(fields_of(events, os.urandom(16), NOW_MS), togai.url, 10**9)
        togai.ledger.accept([json.loads(each) for each in events])
    relay.link.lease("take", "me", "", fingerprint="f", base_url=togai.url)
    what = done(relay)
    counts = counted((each.delivered for each in what), "delivered", NOW_MS)
    relay.link.settle("me", what, 9, counts)
    togai.clock = lambda: day.timestamp() + 5 * 86_400


def reconciled(relay: Relay, togai: FakeTogai, *more: object) -> Any:
    arguments = ("--day", TODAY, "--sole-sender", "--day-rule", "event", "--rate-limit", 10)
    environ = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    today = Today(lambda: datetime(2026, 9, 27, 12, tzinfo=timezone.utc))
    return command("reconcile", *arguments, relay.url, *more, env=environ, obj=today)


def test_a_relay_s_journal_is_shown_and_exported(relay: Relay, tmp_path: Path) -> None:
    hand_over(relay, event(), event("storage"))
    settle(relay)

    shown = relay.spool("journal")
    (tmp_path / "export").write_text(command("spool", "journal", "export", relay.url).stdout)

    assert shown.exit_code == 0
    assert [line.split() for line in shown.stdout.splitlines()][:3] == [
        ["day", "schema", "delivered"],
        ["2026-09-22", "api_call", "1"],
        ["2026-09-22", "storage", "1"],
    ]
    assert "relay togai: 2026-09-22T12:00Z to " in shown.stdout
    (read_back,) = read_export(tmp_path / "export")
    assert (read_back.id, read_back.kind) == (journal(relay).id, "relay")
    assert set(read_back.counts) == set(journal(relay).counts)


def test_a_relay_without_a_journal_says_so(relay: Relay, togai: FakeTogai) -> None:
    hand_over(relay, event())
    for result in (relay.spool("journal"), command("spool", "journal", "export", relay.url)):
        assert result.exit_code == 1
        assert "the relay togai keeps no journal: no drainer of this version" in result.stderr
    result = reconciled(relay, togai)
    assert result.exit_code == 2
    assert "keeps no journal" in result.stderr


def test_a_doubt_is_shown_and_is_an_exit_status(relay: Relay) -> None:
    settle(relay, [], doubt="Redis has lost 7 events")
    result = relay.spool("journal")

    assert result.exit_code == 1
    assert "Not complete: 2026-09-22: Redis has lost 7 events" in result.stderr
    assert result.stdout.startswith(f"{relay.url}: nothing is counted here.")


def test_what_a_relay_has_delivered_is_balanced_and_given_twice_counts_once(
    relay: Relay, togai: FakeTogai, tmp_path: Path
) -> None:
    deliver(relay, togai, [event(), event()], [event()])
    (tmp_path / "export").write_text(command("spool", "journal", "export", relay.url).stdout)

    result = reconciled(relay, togai, relay.url, tmp_path / "export")

    assert result.exit_code == 0, result.output
    assert " relay of togai" in result.stdout


def test_a_batch_that_was_handed_over_twice_explains_as_much_as_togai_has_duplicates(
    relay: Relay, togai: FakeTogai
) -> None:
    twice = [event(), event()]
    deliver(relay, togai, twice, twice, [event()])

    result = reconciled(relay, togai)

    assert result.exit_code == 3, result.output
    assert "CANNOT TELL: it is open of 2 events" in result.stdout


def test_what_a_relay_has_delivered_and_togai_does_not_have_is_missing(
    relay: Relay, togai: FakeTogai
) -> None:
    deliver(relay, togai, [event(), event()])
    togai.ledger.clear()
    deliver(relay, togai, [event()])

    result = reconciled(relay, togai)

    assert result.exit_code == 1, result.output
    assert "2 events not billed" in result.stdout


def test_events_that_an_older_drainer_has_delivered_are_never_balanced(
    relay: Relay, togai: FakeTogai
) -> None:
    deliver(relay, togai, [event()])
    relay.link.add(fields_of([event()], os.urandom(16), NOW_MS), togai.url, 10**9)
    settle_as_older_versions_do(relay)

    result = reconciled(relay, togai)

    assert result.exit_code == 3, result.output
    assert "1 event left without being counted" in " ".join(result.stdout.split())


# --- what it does not keep ---


@pytest.mark.parametrize("keeps", ["accounts", "ids"])
def test_a_journal_of_accounts_or_ids_is_refused_with_a_relay(relay: Relay, keeps: Any) -> None:
    told = f"journal: must be 'counts' with a relay, not '{keeps}'"
    with pytest.raises(ConfigurationError, match=told):
        Shipper(relay=relay.url, journal=keeps)
    with pytest.raises(ConfigurationError, match=told):
        load({"TOGAI_JOURNAL": keeps}, api_key="secret")
    assert Shipper(relay=relay.url, journal=keeps, enabled=False).stats().pending == 0
