"""What an operator reads of producers in a relay: what may have been written there by anybody."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import needs_redis
from stocked import Relay, command

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.doctor import relay_checks
from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.processes import Process, remedy, word
from togai_shipper.cli.relay_processes import producing
from togai_shipper.cli.top.command import Pause
from togai_shipper.cli.top.rates import Rates
from togai_shipper.relay.errors import Foreign
from togai_shipper.relay.notes import KEPT, MISSED, MOST_PRODUCERS, Note
from togai_shipper.relay.producers import LONGEST_NAME, LONGEST_TEXT, QUIET, Producer, producers, read
from togai_shipper.relay.survey import Survey, survey

T = 1_790_000_000_000
NOTED, SAID = "{togai}:producers", "{togai}:producers:said"
REPORT = SelfReport(at_ms=T, since_ms=T - 5_000, pending=2, oldest_ms=T - 9_000)
FULL = "the relay has 5 bytes"
AT_ONCE = Pause(lambda: 0.0, lambda stop, seconds: False)


def noted(relay: Relay, **reports: SelfReport) -> None:
    for name, report in reports.items():
        assert relay.link.look(Note(name, report.as_text())).is_noted


def only(said: list[str]) -> Producer:
    (producer,) = read(["1000", "1", *said]).known
    return producer


# --- what is read -----------------------------------------------------------------------------------------


def test_moments_are_told_by_the_clock_of_who_reads() -> None:
    """The producer's clock is a day behind that of Redis, and ours an hour ahead of it."""
    redis_ms = T + 86_400_000
    found = read([str(redis_ms + 7_000), "1", "a", str(redis_ms), REPORT.as_text()])

    (here,) = found.by_clock(redis_ms + 7_000 + 3_600_000)

    now = redis_ms + 7_000 + 3_600_000
    assert here.report.oldest_ms is not None
    assert [now - at for at in (here.report.at_ms, here.report.since_ms, here.report.oldest_ms)] == [
        7_000,
        12_000,
        16_000,
    ]


@pytest.mark.parametrize(
    "said",
    [
        ("a", "nan", REPORT.as_text()),
        ("a", "1e300", REPORT.as_text()),
        ("a", "1000", "[]"),
        ("a\x1b[2J", "1000", REPORT.as_text()),
        ("a\nb", "1000", REPORT.as_text()),
    ],
)
def test_what_is_none_of_ours_is_left_out(said: tuple[str, str, str]) -> None:
    assert read(["1000", "1", *said]).known == []


def test_what_lies_in_the_future_or_before_all_time_is_as_old_as_can_be() -> None:
    future = SelfReport(at_ms=0, since_ms=10**14, pending=1, oldest_ms=10**14)
    before = SelfReport(at_ms=10**14, since_ms=0, pending=1, oldest_ms=0)

    reports = [only(["a", "9" * 15, each.as_text()]).report for each in (future, before)]

    assert [(each.at_ms, each.since_ms, each.oldest_ms) for each in reports] == [
        (1000, 1000, 1000),
        (1000, 0, 0),
    ]


def test_one_in_which_nothing_waited_is_shown_for_ten_minutes() -> None:
    calm = SelfReport(at_ms=T, since_ms=T)
    later = T + int(QUIET * 1000) + 1

    assert read([str(later - 1), "1", "a", str(T), calm.as_text()]).known
    assert not read([str(later), "1", "a", str(T), calm.as_text()]).known
    assert read([str(later), "1", "a", str(T), REPORT.as_text()]).known


TEXTS = st.text(max_size=40) | st.builds(
    lambda **facts: json.dumps(facts),
    at_ms=st.integers(),
    since_ms=st.integers(),
    pending=st.integers() | st.floats() | st.none(),
    oldest_ms=st.integers() | st.none(),
    why=st.text(max_size=20) | st.integers(),
    state=st.sampled_from(("open", "parked", "x")),
)


@given(st.lists(st.tuples(st.text(max_size=9), st.integers().map(str) | st.text(max_size=9), TEXTS)))
def test_whatever_anybody_has_written_is_read_or_left_out(said: list[tuple[str, str, str]]) -> None:
    found = read(["1000", str(len(said)), *(part for each in said for part in each)])

    for each in found.by_clock(T):
        process = Process(name=each.name, is_alive=True, report=each.report, is_producer=True)
        assert word(process, T)


# --- what Redis does --------------------------------------------------------------------------------------


@needs_redis
def test_what_is_too_long_is_not_fetched(relay: Relay) -> None:
    noted(relay, good=REPORT)
    for name, text in (("b" * (LONGEST_NAME + 1), "x"), ("c", "x" * (LONGEST_TEXT + 1)), ("d", "")):
        relay.redis.hset(NOTED, name, text)
        relay.redis.zadd(SAID, {name: 1.0})

    assert [each.name for each in producers(relay.link).known] == ["good"]


@needs_redis
@pytest.mark.parametrize("key", [NOTED, SAID])
def test_what_somebody_else_has_put_there_is_told_and_keeps_nobody_from_handing_over(
    relay: Relay, key: str
) -> None:
    relay.redis.set(key, "x")

    assert not relay.link.look(Note("me", "x")).is_noted
    with pytest.raises(Foreign, match="something else under"):
        producers(relay.link)
    assert survey(relay.link, None).producers is None
    top = command("top", "--once", relay.url, obj=AT_ONCE)
    assert "How those stand that hand over is unknown" in top.stdout
    relay.hand_over("a")
    assert "cannot be read" in command("spool", "ls", relay.url).stdout


@needs_redis
def test_redis_forgets_who_has_said_nothing_for_an_hour_and_all_of_it_an_hour_after_the_last(
    relay: Relay,
) -> None:
    noted(relay, old=REPORT, new=REPORT)
    relay.redis.zincrby(SAID, -1000 * (KEPT + 1), "old")

    noted(relay, new=REPORT)

    assert [each.name for each in producers(relay.link).known] == ["new"]
    assert relay.redis.hkeys(NOTED) == [b"new"]
    assert {relay.redis.ttl(key) for key in (NOTED, SAID)} == {int(KEPT)}


@needs_redis
def test_there_is_a_bound_and_who_is_silent_makes_room(relay: Relay) -> None:
    names = [str(number) for number in range(MOST_PRODUCERS)]
    noted(relay, **{names[0]: REPORT})
    relay.redis.hset(NOTED, mapping=dict.fromkeys(names[1:], "x"))
    now = relay.redis.zscore(SAID, names[0])
    assert now is not None
    relay.redis.zadd(SAID, dict.fromkeys(names[1:], now))

    assert not relay.link.look(Note("late", REPORT.as_text())).is_noted
    top = command("top", "--once", relay.url, obj=AT_ONCE)
    assert "more processes hand over than are shown" in " ".join(top.stdout.split())
    relay.hand_over("a")
    assert "more processes hand over than are shown" in command("spool", "ls", relay.url).stdout
    noted(relay, **{names[0]: REPORT})  # who is there stays there
    relay.redis.zincrby(SAID, -1000 * (MISSED + 1), names[1])
    noted(relay, late=REPORT)

    assert relay.redis.hlen(NOTED) == MOST_PRODUCERS
    assert not relay.redis.hexists(NOTED, names[1])


# --- what is shown ----------------------------------------------------------------------------------------


def stuck(pending: int = 3) -> SelfReport:
    now = now_ms()
    return SelfReport(
        at_ms=now, since_ms=now - 60_000, is_healthy=False, why=FULL, pending=pending, oldest_ms=now - 90_000
    )


@needs_redis
def test_top_shows_each_producer_the_worst_first_and_counts_what_waits_in_it(relay: Relay) -> None:
    relay.hand_over("a", "b")
    now = now_ms()
    parked = SelfReport(at_ms=now, since_ms=now, state="parked", pending=1, why="parked: for another URL")
    noted(relay, calm=SelfReport(at_ms=now, since_ms=now), stuck=stuck(), parked=parked)

    found = json.loads(command("top", "--once", "--json", relay.url, obj=AT_ONCE).stdout)

    assert [(each["name"], each["standing"], each["pending"]) for each in found["processes"]] == [
        ("parked", "parked", 1),
        ("stuck", "unwell", 3),
        ("relay togai", "unwell", 2),
        ("calm", "ok", 0),
    ]
    assert found["total"]["pending"] == 6
    assert found["total"]["in_per_second"] == 0.0


def test_a_producer_is_called_by_host_and_pid_and_two_shippers_of_one_process_by_all_of_it() -> None:
    names = ["web-1/7/1.5", "web-1/8/1.5", "web-1/8/1.6", "odd"]
    said = [part for name in names for part in (name, str(T), REPORT.as_text())]

    found = producing(Survey(producers=read([str(T), "4", *said])), T)

    assert [each.name for each in found] == ["web-1/7", "web-1/8/1.5", "web-1/8/1.6", "odd"]
    assert producing(Survey(), T) == []


def test_the_rates_of_a_producer_are_not_known_before_its_second_note() -> None:
    def seen(**facts: int) -> Process:
        report = attrs.evolve(REPORT, **facts)
        return Process(name="a", is_alive=True, report=report, is_producer=True)

    rates = Rates()
    first, between = (rates.rows([seen()], at)[0].coming for at in (0.0, 5.0))
    (second,) = rates.rows([seen(at_ms=T + 10_000, accepted=50)], 10.0)
    (later,) = rates.rows([seen(at_ms=T + 10_000, accepted=50)], 41.0)

    assert (first, between, second.coming, later.coming) == (None, None, 5.0, 0.0)


@needs_redis
def test_ls_and_doctor_name_the_producers_in_trouble_with_what_to_do(relay: Relay) -> None:
    relay.hand_over("a")
    noted(relay, calm=SelfReport(at_ms=1, since_ms=1), stuck=stuck())

    told = " ".join(command("spool", "ls", relay.url).stdout.split())
    as_json = json.loads(command("spool", "ls", "--json", relay.url).stdout)
    checked = command("doctor", "--no-request", "--relay", relay.url).stdout

    assert "producers 2 processes say how they stand, 1 in trouble" in told
    assert "stuck is unwell for 1 min" in told
    assert f"{FULL}; 3 events wait, the oldest for " in told, told
    assert f"togai-shipper doctor --relay {relay.url}" in told
    assert [(each["name"], each["standing"]) for each in as_json["producers"]] == [
        ("stuck", "unwell"),
        ("calm", "ok"),
    ]
    assert "warn  producer     stuck is unwell for 1 min" in checked


def test_a_parked_producer_fails_the_doctor() -> None:
    found = read([str(T), "1", "a", str(T), SelfReport(at_ms=T, since_ms=T, state="parked").as_text()])

    checks = list(relay_checks.producers(Survey(producers=found), "redis://r", T / 1000))

    assert [(check.level, check.name) for check in checks] == [("ok", "producers"), ("fail", "producer")]
    assert "togai-shipper doctor --relay redis://r" in checks[-1].advice


@pytest.mark.parametrize(
    ("change", "what", "advice"),
    [
        (lambda: SelfReport(at_ms=T, since_ms=T, is_durable=False), "not durable", "On its host|on its host"),
        (lambda: SelfReport(at_ms=T - 181_000, since_ms=T, pending=1), "silent", "If it was killed"),
        (lambda: SelfReport(at_ms=T - 100_000, since_ms=T, pending=1), "ok", "togai-shipper top redis://r"),
    ],
)
def test_what_to_do_about_a_producer_is_done_on_its_host(
    change: Callable[[], SelfReport], what: str, advice: str
) -> None:
    process = Process(name="a", is_alive=True, report=change(), is_producer=True)

    assert word(process, T) == what
    assert any(each in remedy(process, "redis://r", T) for each in advice.split("|"))
