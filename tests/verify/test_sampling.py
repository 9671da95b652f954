"""Which delivered events are looked up, and when: decided in virtual time, without threads."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.verify import fleet, peak
from togai_shipper._engine.look_ups import (
    DUPLICATE,
    IN_PROGRESS,
    METERED,
    UNSEEN,
    Found,
    KeyRefused,
    NotAnswered,
    NoWord,
)
from togai_shipper._engine.sampling import DAY, MAX_ACCOUNTS, MOST, Ended, Sample, Sampler, heads_of
from togai_shipper._event import ChosenId, encode, fresh_id

TODAY = datetime(2026, 3, 5, 12, tzinfo=timezone.utc)
GOOD = Found(METERED)
FAILED = Found("INGESTION_FAILED_SCHEMA_NOT_DEFINED")


def event(
    schema: str = "api_call",
    account: str = "acme",
    event_id: str | None = None,
    timestamp: str = "2026-03-05T11:00:00.000Z",
) -> bytes:
    return encode(schema, account, {"n": 1}, {}, timestamp, event_id or fresh_id())


class World:
    """One process: what it delivers, and what it looks up."""

    def __init__(self, per_minute: float = 0.1, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.now = 1000.0
        self.sampler = Sampler(per_minute, chance)
        self.looked_at: list[tuple[float, Sample]] = []

    def deliver(self, *events: bytes, first: bool = True) -> bool:
        wanted = self.sampler.may_want(heads_of(events), self.now)
        return wanted and self.sampler.take(events, self.now, TODAY, first=first)

    def look(self) -> Sample:
        """Let time pass until a look is due."""
        while not isinstance(due := self.sampler.next(self.now), Sample):
            assert due is not None, "nothing waits"
            self.now += due
        self.looked_at.append((self.now, due))
        return due

    def note(self, answer: Any = GOOD) -> Ended | None:
        return self.sampler.note(answer, self.now)

    def drain(self, answer: Any = GOOD) -> list[str]:
        """Look at all that waits; return the schemas, in order."""
        schemas = []
        while self.sampler.next(self.now - 10**9) is not None:
            schemas.append(self.look().schema_name)
            self.note(answer)
        return schemas


def between(world: World) -> list[float]:
    """Seconds between the looks."""
    times = [at for at, _ in world.looked_at]
    return [after - before for before, after in itertools.pairwise(times)]


# --- which -------------------------------------------------------------------------------------------------


def test_the_first_event_of_each_schema_is_taken_and_no_second_one_while_it_waits() -> None:
    world = World()

    assert world.deliver(first := event("a"), event("a"), event("b"))
    assert not world.deliver(event("a"), event("b"))
    assert sorted(world.drain()) == ["a", "b"]
    assert any(sample.event_id.encode() in first for _, sample in world.looked_at)


def test_a_sample_says_what_its_event_is() -> None:
    world = World()
    world.deliver(event('api "call" ü,"id":', "acme", "order-7"))

    sample = world.look()
    assert (sample.schema_name, sample.account_id) == ('api "call" ü,"id":', "acme")
    assert (sample.event_id, sample.timestamp) == ("order-7", "2026-03-05T11:00:00.000Z")


def test_each_schema_is_looked_at_again_after_a_day() -> None:
    world = World()
    world.deliver(event("a"), event("b"))
    world.drain()
    world.deliver(event("a"))  # of an account that is known: the newest, since nothing waits
    world.drain()
    world.now += DAY
    assert world.deliver(event("a"), event("b"))
    assert not world.sampler.may_want(heads_of([event("a"), event("b")]), world.now)
    assert sorted(world.drain()) == ["a", "b"]


def test_the_schema_that_was_looked_at_longest_ago_goes_first() -> None:
    world = World()
    for schema in ("a", "b", "c"):
        world.deliver(event(schema))
        world.drain()
    world.now += 2 * DAY
    world.deliver(event("c"), event("a"), event("b"))

    assert world.drain() == ["a", "b", "c"]


def test_a_new_schema_goes_before_one_that_was_looked_at_a_day_ago() -> None:
    world = World()
    world.deliver(event("old"))
    world.drain()
    world.now += 2 * DAY
    world.deliver(event("old"), event("new"))

    assert world.drain() == ["new", "old"]


def test_chance_decides_which_of_several_new_schemas_is_looked_at_first() -> None:
    first = Counter()
    for seed in range(200):
        world = World(chance=random.Random(seed).random)
        world.deliver(*(event(schema) for schema in "abcd"))
        first[world.look().schema_name] += 1

    assert set(first) == set("abcd")
    assert min(first.values()) > 20


def test_once_each_schema_is_looked_at_an_account_that_was_not_goes_before_the_newest() -> None:
    world = World()
    world.deliver(event("a", "one"))
    world.drain()

    assert world.deliver(event("a", "one"), event("a", "two"), event("a", "one"))
    assert world.look().account_id == "two"


def test_then_a_backdated_event_goes_once_and_then_the_newest() -> None:
    world = World()
    old = event(timestamp="2026-03-01T00:00:00.000Z", event_id="old")
    world.deliver(event())
    world.drain()

    for expected in ("old", "new"):
        assert world.deliver(event(), old, event(event_id="new"))
        assert world.look().event_id == expected
        world.note()


def test_nothing_of_the_last_kind_is_taken_while_something_waits() -> None:
    world = World()
    world.deliver(event("a", "one"))

    assert not world.deliver(event("a", "two"))


def test_at_most_twenty_wait_and_the_others_have_their_turn_later() -> None:
    world = World()
    schemas = [f"schema {n}" for n in range(MOST + 5)]
    everything = [event(schema) for schema in schemas]
    world.deliver(*everything)
    assert not world.sampler.may_want(heads_of(everything), world.now)
    found = world.drain()
    assert len(found) == MOST

    world.deliver(*everything)
    assert set(found) | set(world.drain()) == set(schemas)


def test_samples_that_are_looked_at_again_leave_room_for_new_ones() -> None:
    world = World()
    world.deliver(*(event(f"schema {n}") for n in range(MOST)))
    for _ in range(MOST):
        world.look()
        world.note(Found(UNSEEN))

    assert world.deliver(event("quite new"))
    assert world.look().schema_name == "quite new"


@pytest.mark.parametrize("event_id", [".", "..", "...", "x" * 51])
def test_an_id_that_togai_cannot_look_up_is_not_asked_for(event_id: str) -> None:
    world = World()
    askable = event(event_id="askable")

    assert not world.deliver(event(event_id=event_id))
    assert world.deliver(event(event_id=event_id), askable)
    assert world.look().event_id == "askable"


@pytest.mark.parametrize(
    ("made", "first", "is_original"),
    [(bytes, True, True), (bytes, False, True), (ChosenId, True, True), (ChosenId, False, False)],
)
def test_whose_first_delivery_it_is_known_but_for_a_chosen_id_that_was_sent_before(
    made: type[bytes],
    first: bool,  # noqa: FBT001  a case
    is_original: bool,  # noqa: FBT001  likewise
) -> None:
    world = World()
    world.deliver(made(event()), first=first)

    assert world.look().is_original is is_original


def test_what_is_remembered_is_bounded() -> None:
    world = World()
    for n in range(1500):
        world.deliver(event(f"schema {n}", f"account {n}"))
        world.look()
        world.note()

    held = world.sampler
    assert max(len(held._settled), len(held._ended_at)) <= 1001  # noqa: SLF001  that is the scenario


def test_more_accounts_than_are_remembered_are_looked_at_all_the_same() -> None:
    world = World()
    for n in range(MAX_ACCOUNTS + 5):
        world.deliver(event(account=f"account {n}"))
        assert world.look().account_id == f"account {n}"
        world.note()

    assert len(world.sampler._accounts) == 5  # noqa: SLF001  that is the scenario


# --- when --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_minute", "chance", "seconds"),
    [
        (0.1, 0.0, 30),
        (0.1, 0.999999, 600),
        (0.01, 0.999999, 600),
        (1, 0.999999, 60),
        (60, 0.5, 1),
        (20, 0.9, 3),
    ],
)
def test_the_first_look_comes_by_chance_so_many_seconds_after_the_delivery(
    per_minute: float, chance: float, seconds: float
) -> None:
    world = World(per_minute, lambda: chance)
    world.deliver(event())
    world.look()

    assert world.now - 1000 == pytest.approx(seconds, abs=0.01)


def test_there_is_one_look_in_ten_minutes_by_default() -> None:
    world = World()
    world.deliver(*(event(f"schema {n}") for n in range(5)))
    world.drain()

    assert between(world) == [600.0] * 4


@pytest.mark.parametrize("status", [IN_PROGRESS, UNSEEN, DUPLICATE])
def test_what_is_not_settled_is_looked_at_again_after_1_5_and_30_minutes_and_6_hours(status: str) -> None:
    world = World(per_minute=60)
    world.deliver(event())
    ends = []
    for _ in range(5):
        world.look()
        ends.append(world.note(Found(status)))

    assert between(world) == [60, 300, 1800, 21600]
    assert ends[:4] == [None] * 4
    assert ends[4] is not None
    assert ends[4].found.status == status
    assert world.sampler.next(world.now) is None


def test_what_is_looked_at_again_comes_behind_new_schemas_and_before_the_newest_event() -> None:
    world = World()
    world.deliver(event("a"))
    world.look()
    world.note(Found(IN_PROGRESS))
    world.deliver(event("b"))
    world.now += 3600

    assert world.drain() == ["b", "a"]


def test_a_later_word_ends_it() -> None:
    world = World()
    world.deliver(event())
    world.look()
    assert world.note(Found(IN_PROGRESS)) is None
    world.look()

    ended = world.note(FAILED)
    assert ended is not None
    assert ended.found is FAILED


def test_without_a_word_it_is_looked_at_later_as_if_it_had_not_been() -> None:
    world = World()
    world.deliver(event("a"))
    for _ in range(50):
        assert world.look().looks == 0
        assert world.note(NoWord("timed out")) is None

    assert between(world) == [600.0] * 49


def test_each_429_doubles_the_time_between_looks_up_to_an_hour_and_each_answer_halves_it() -> None:
    world = World()
    world.deliver(*(event(f"schema {n}") for n in range(20)))
    answers = [NoWord("HTTP 429", throttled=True)] * 4 + [GOOD] * 4
    for answer in answers:
        world.look()
        world.note(answer)
    world.look()

    assert between(world) == [1200, 2400, 3600, 3600, 3600, 1800, 900, 600]


def test_a_429_that_says_for_how_long_is_followed() -> None:
    world = World(per_minute=60)
    world.deliver(event())
    world.look()
    before = world.now
    world.note(NoWord("HTTP 429", throttled=True, after=250.0))
    world.look()

    assert world.now - before == 250


def test_after_a_401_what_waits_still_waits() -> None:
    world = World()
    world.deliver(event())
    sample = world.look()
    assert world.note(KeyRefused()) is None

    assert world.look().event_id == sample.event_id


def test_where_look_ups_are_not_answered_nothing_waits_any_more() -> None:
    world = World()
    world.deliver(event("a"), event("b"))
    world.look()
    assert world.note(NotAnswered("HTTP 403")) is None

    assert world.sampler.next(world.now + DAY) is None


# --- what it promises --------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.integers(0, 10**6))
def test_a_single_schema_that_never_works_is_found_within_ten_minutes_whenever_it_begins(
    chance: random.Random, begins: int
) -> None:
    world = World(chance=chance.random)
    world.deliver(event("good"))
    world.look()
    world.note()
    world.now += 600 + begins  # nothing else is new
    begun = world.now
    world.deliver(event("mistyped"))

    assert world.look().schema_name == "mistyped"
    assert world.now - begun <= 600


ANSWERS = [GOOD, FAILED, Found(IN_PROGRESS), Found(UNSEEN), NoWord("no"), NoWord("429", throttled=True)]


@given(st.integers(0, 10**6))
def test_whatever_comes_and_is_found_no_look_is_too_early_and_no_more_than_twenty_wait(seed: int) -> None:
    chance = random.Random(seed)
    world, delivered = World(chance=chance.random), {}
    for _ in range(200):
        world.now += chance.choice((0.1, 30, 600, 7200))
        events = [event(f"s{chance.randrange(40)}", f"a{chance.randrange(5)}") for _ in range(5)]
        delivered.update({json.loads(each)["id"]: world.now for each in events})
        world.deliver(*events)
        due = world.sampler.next(world.now)
        if isinstance(due, Sample):
            assert world.now - delivered[due.event_id] >= 30
            world.looked_at.append((world.now, due))
            world.note(chance.choice(ANSWERS))

    assert all(seconds > 599.9 for seconds in between(world))
    assert len(world.drain()) <= MOST


def test_a_thousand_processes_that_start_at_once_make_less_than_four_look_ups_a_second() -> None:
    times = list(fleet(1000, 1.5, random.Random(7), "abc"))

    assert 8_000 < len(times) < 9_500
    assert peak(times) < 4
