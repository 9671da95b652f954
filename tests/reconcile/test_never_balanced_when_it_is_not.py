"""Whatever happens to events: balanced is never said when the sandbox's own ledger is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Literal

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene import DAY, NOW, at, event

from togai_shipper._config import Config
from togai_shipper._journal import Counted, Journal, Listed
from togai_shipper.cli.reconcile.facts import Ours, Source, Told
from togai_shipper.cli.reconcile.proving import Proof, Question, prove
from togai_shipper.cli.reconcile.sources import source_of
from togai_shipper.cli.reconcile.verdict import MISSING, Verdict
from togai_shipper.cli.togai_asked import togai_asked
from togai_shipper.testing import FakeTogai

METERED = "INGESTION_COMPLETED_EVENT_METERED"
STATUSES = [
    "INGESTION_COMPLETED_EVENT_NOT_METERED",
    "INGESTION_FAILED_UNITS_INVALID",
    "INGESTION_FAILED_SCHEMA_NOT_DEFINED",
    "UNKNOWN",
]


@attrs.frozen
class Tracked:
    """An event: what becomes of it here, and at Togai."""

    id: str
    is_chosen: bool
    schema: str
    account: str
    day: date
    fate: Literal["metered", "lost", "unbilled", "waiting", "dead", "dropped"]
    status: str
    crosses: Literal[
        "no", "here", "there"
    ]  # midnight, before the reply is noted; before Togai has received it
    retries: int
    journal: int

    @property
    def is_delivered(self) -> bool:
        return self.fate in ("metered", "lost", "unbilled")

    @property
    def delivered_day(self) -> date:
        return self.day + timedelta(days=self.crosses != "no")

    @property
    def received_day(self) -> date:
        return self.day + timedelta(days=self.crosses == "there")


@st.composite
def tracked(draw: st.DrawFn, number: int) -> Tracked:
    chosen = draw(st.sampled_from(["", "", "", "order-1", "order-2"]))
    day = DAY + timedelta(days=draw(st.sampled_from([0, 0, 0, -1, 1])))
    crosses = draw(st.sampled_from(["no", "no", "no", "here", "there"])) if day <= DAY else "no"
    fates = ["metered"] * 6 + ["lost", "lost", "unbilled", "waiting", "dead", "dropped"]
    account = draw(st.sampled_from(["acme", "acme", "emca"]))
    return Tracked(
        f"{chosen} of {account}" if chosen else f"{number:032x}",
        bool(chosen),
        draw(st.sampled_from(["a", "a", "b"])),
        account,
        day,
        draw(st.sampled_from(fates)),
        draw(st.sampled_from(STATUSES)),
        crosses,
        draw(st.sampled_from([0, 0, 0, 1])),
        draw(st.sampled_from([0, 0, 1])),
    )


@attrs.frozen
class World:
    """All that happens, and what is asked."""

    events: list[Tracked]
    others: list[Tracked]
    keeps_ids: bool
    keeps_accounts: bool
    is_relay: bool
    counted_twice: bool
    is_file: bool
    is_sole: bool
    says_rule: bool
    switches: dict[str, Any]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    events = [draw(tracked(n)) for n in range(draw(st.integers(1, 12)))]
    others = [draw(tracked(1000 + n)) for n in range(draw(st.sampled_from([0, 0, 1, 3])))]
    return World(
        events,
        [attrs.evolve(each, id=f"others-{n}") for n, each in enumerate(others)],
        *(draw(st.booleans()) for _ in range(3)),
        counted_twice=draw(st.booleans()),
        is_file=draw(st.booleans()),
        is_sole=not others and draw(st.booleans()),
        says_rule=draw(st.booleans()),
        switches={
            "day_rule": draw(st.sampled_from(["event", "event", "receipt"])),
            "raw_statuses": draw(st.sampled_from([True, True, True, False])),
            "duplicates_count": draw(st.booleans()),
            "unknown_groups": draw(st.booleans()),
            "zero_points": draw(st.booleans()),
            "list_order": draw(st.sampled_from(["newest", "oldest", "received"])),
            "trailing_page": draw(st.booleans()),
            "unknown_event": draw(st.sampled_from([404, 400, 200])),
            "accounts": draw(st.sampled_from([None, None, ["acme"]])),
            "unknown_names": draw(st.sampled_from(["nothing", "refuse"])),
        },
    )


def happen(world: World, togai: FakeTogai) -> None:
    """Have Togai receive what it receives."""
    togai.ledger.clear()
    for name, value in world.switches.items():
        setattr(togai, name, value)
    wanted = {
        each.id: each.status for each in reversed([*world.events, *world.others]) if each.fate == "unbilled"
    }
    togai.ends_in = lambda each: wanted.get(each["id"])
    for each in [*world.events, *world.others]:
        if each.fate in ("metered", "unbilled"):
            hour = 23.99 if each.crosses != "no" else 12
            sent = event(each.id, each.schema, each.account, at(each.day, hour))
            received = at(each.received_day, 0.01 if each.crosses == "there" else hour)
            togai.clock = received.timestamp
            for _ in range(1 + each.retries):
                togai.ledger.accept([dict(sent)])
    togai.clock = NOW.timestamp


def ids_in_a_file(world: World) -> Source:
    """Return what our side says by a file of ids, whether they were delivered or not."""
    told = [
        Told(each.day, None, each.schema, Ours(certain=1), each.account, (each.id,)) for each in world.events
    ]
    return Source("file", tuple(told))


def journals(world: World) -> Iterator[Source]:
    """Return what our side says, by the journals of two processes."""
    for number in (0, 1):
        counts: Counter[Any] = Counter()
        ids: dict[Any, list[str]] = {}
        for each in world.events:
            if each.journal != number:
                continue
            fate = "delivered" if each.is_delivered else each.fate
            left = None if fate in ("waiting", "dead") else each.delivered_day
            account = each.account if world.keeps_accounts else None
            is_twice = world.is_relay and world.counted_twice and each.retries
            counts[each.day, left, each.schema, each.is_chosen, account, fate] += 2 if is_twice else 1
            if each.is_delivered:
                ids.setdefault((each.day, left, each.schema, each.is_chosen), []).extend(
                    [each.id] * (2 if is_twice else 1)
                )
        yield source_of(
            Journal(
                f"journal {number}",
                "host",
                str(number),
                at(DAY, -48),
                NOW,
                "relay" if world.is_relay else "spool",
                tuple(Counted(*key, count) for key, count in counts.items()),
                tuple(Listed(*key, tuple(found)) for key, found in ids.items()) if world.keeps_ids else None,
            ),
            [DAY],
            NOW,
        )


@pytest.fixture(scope="module")
def togai() -> Iterator[FakeTogai]:
    with FakeTogai("secret", other_rate_limit=None) as started:
        yield started


def proof(world: World, togai: FakeTogai) -> Proof:
    happen(world, togai)
    rule = world.switches["day_rule"] if world.says_rule else None
    sources = [ids_in_a_file(world)] if world.is_file else list(journals(world))
    question = Question([DAY], sources, [], world.is_sole, rule, frozenset(), NOW)
    config = Config.load({}, api_key="secret", base_url=togai.url)
    with togai_asked(config, 10, pause=lambda _: None) as asked:
        return prove(question, asked)


def is_ours(each: Tracked, world: World) -> bool:
    """Whether an event belongs to the day that is asked about, as our side counts."""
    by_receipt = not world.is_file and world.says_rule and world.switches["day_rule"] == "receipt"
    left = each.fate not in ("waiting", "dead")
    return (each.delivered_day if by_receipt and left else each.day) == DAY


def is_billed(each: Tracked, togai: FakeTogai) -> bool:
    return any(
        record.status == METERED and record.event["schemaName"] == each.schema
        for record in togai.ledger.copies(each.id)
    )


def is_of_another_schema(each: Tracked, togai: FakeTogai) -> bool:
    """Whether Togai has taken its id, and not for its schema."""
    schemas = {record.event["schemaName"] for record in togai.ledger.copies(each.id)}
    return bool(schemas) and each.schema not in schemas


def unbilled(world: World, togai: FakeTogai) -> set[str]:
    """The ids of the day that were delivered, and that the ledger does not bill."""
    return {
        each.id
        for each in world.events
        if is_ours(each, world) and (each.is_delivered or world.is_file) and not is_billed(each, togai)
    }


@given(worlds())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_balanced_is_said_only_when_it_is_and_the_ids_name_what_is_not(
    togai: FakeTogai, world: World
) -> None:
    told = proof(world, togai)

    wrong = unbilled(world, togai)
    day = [each for each in world.events if is_ours(each, world)]
    undelivered = [each for each in day if not each.is_delivered and not world.is_file]
    if wrong or undelivered or not day:
        assert told.judgement.verdict != Verdict.BALANCED
    elif world.keeps_ids or world.is_file or must_tell(world):
        assert told.judgement.verdict == Verdict.BALANCED, (told.judgement, told.not_named)
    if (
        (world.keeps_ids or world.is_file)
        and any(world.is_file or each.is_delivered for each in day)
        and not told.judgement.doubts
    ):
        named = {each.id for each in told.named}
        lost = {each for each in wrong if not togai.ledger.get(each).accepted}
        missing = {each.id for each in told.named if each.status == MISSING}
        # An id that is used for two schemas may be there for the other one alone.
        assert lost <= missing <= lost | {each.id for each in day if is_of_another_schema(each, togai)}
        assert named <= wrong
        assert {each for each in wrong if togai.ledger.get(each).statuses[:1] != ("UNKNOWN",)} <= named


def must_tell(world: World) -> bool:
    """Whether nobody else sends, the rule is known, and no event has an id that is, or may be, used twice."""
    ids = Counter(each.id for each in world.events)
    return (
        world.is_sole
        and world.says_rule
        and world.switches["raw_statuses"]
        and all(each.fate == "metered" for each in world.events)
        and max(ids.values()) == 1
        and world.switches["accounts"] is None
        and not (world.is_relay and world.counted_twice)
    )
