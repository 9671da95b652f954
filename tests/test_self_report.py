"""How a process tells others how it stands: what it says, and when."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import WALL, Clock

from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.saying import AGAIN, AT_ONCE, EVERY, FAILED, SELDOM, Saying
from togai_shipper._engine.self_report import SelfReport, Trouble, self_report_of
from togai_shipper._outcome import State, Stats

COUNTS = [
    *("pending", "accepted", "delivered", "relayed", "rejected", "dropped", "retries", "requests"),
    *("refused_full", "dead_letters"),
]
CALM = SelfReport(at_ms=0, since_ms=0)
BUSY = attrs.evolve(CALM, pending=3, accepted=3)


class Teller:
    """A process in virtual time that tells how it stands."""

    def __init__(self, stands: SelfReport = CALM) -> None:
        self.clock = Clock()
        self.stands = stands
        self.state: State = "open"
        runtime = Runtime(clock=self.clock, wall=lambda: WALL + self.clock.now)
        self.saying = Saying(runtime, self._report, lambda: self.state)
        self.first = said(self.saying.begin(is_kept=True))

    def _report(self, now_ms: int) -> SelfReport:
        return attrs.evolve(self.stands, at_ms=now_ms, since_ms=now_ms, state=self.state)

    def next(self, *, is_sparing: bool = False) -> SelfReport | None:
        """What it says when it looks next."""
        self.clock.now = self.saying.due_at()
        text = self.saying.text(is_sparing=is_sparing)
        return None if text is None else said(text)

    def until_told(self) -> float:
        """Seconds until it says something."""
        since = self.clock.now
        while self.next() is None:
            assert self.clock.now < since + 100, "says nothing"
        return self.clock.now - since


def said(text: str) -> SelfReport:
    report = SelfReport.of_text(text)
    assert report is not None
    return report


# --- what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "trouble"),
    [
        ({}, ""),
        ({"is_healthy": False}, "unwell"),
        ({"is_healthy": False, "is_durable": False}, "not durable"),
        ({"is_durable": False, "is_refusing": True}, "refusing"),
        ({"is_refusing": True, "state": "parked"}, "parked"),
    ],
)
def test_the_worst_trouble_is_named(facts: dict[str, object], trouble: Trouble) -> None:
    assert attrs.evolve(CALM, **facts).trouble == trouble  # type: ignore[arg-type]  facts of any kind


def test_what_is_said_comes_from_the_figures_and_is_short() -> None:
    stats = Stats(
        pending=2, oldest_pending_age=3.5, dropped={"closed": 4, "corrupt": 1}, last_error="x" * 5000
    )

    report = self_report_of(stats, 10_000, is_healthy=False, is_by_key=False, is_refusing=False, keeps=True)

    assert (report.pending, report.oldest_ms, report.dropped, len(report.why)) == (2, 6_500, 5, 400)
    assert not report.is_durable
    assert self_report_of(
        Stats(), 10_000, is_healthy=True, is_by_key=False, is_refusing=False, keeps=False
    ) == SelfReport(at_ms=10_000, since_ms=10_000)


def test_a_report_is_read_as_it_was_written_also_one_of_a_newer_version() -> None:
    facts = json.loads(attrs.evolve(BUSY, why="no reply: x").as_text())

    assert said(json.dumps({**facts, "news": [1]})) == attrs.evolve(BUSY, why="no reply: x")


@given(
    st.text()
    | st.dictionaries(st.sampled_from([*attrs.asdict(CALM), "x"]), st.none() | st.integers() | st.text()).map(
        json.dumps
    )
)
def test_whatever_stands_there_is_a_report_or_none(text: str) -> None:
    report = SelfReport.of_text(text)

    if report is not None:
        assert SelfReport.of_text(report.as_text()) == report
        assert all(0 <= getattr(report, name) <= 10**15 for name in COUNTS)


def test_a_reason_that_is_longer_than_we_write_it_is_cut() -> None:
    assert len(said(json.dumps({**attrs.asdict(BUSY), "why": "x" * 5000})).why) == 400


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"at_ms": 1}',
        '{"at_ms": 1, "since_ms": true}',
        '{"at_ms": 1, "since_ms": 1e400}',
        f'{{"at_ms": 1, "since_ms": {2**60}}}',
        '{"at_ms": -1, "since_ms": 1}',
        '{"at_ms": 1, "since_ms": 253402300800000}',
        '{"at_ms": 1, "since_ms": 1, "oldest_ms": -1}',
        *(
            f'{{"at_ms": 1, "since_ms": 1, "{name}": {count}}}'
            for name in COUNTS
            for count in (-1, 10**15 + 1)
        ),
        '{"at_ms": 1, "since_ms": 1, "state": "happy"}',
        json.dumps({"at_ms": 1, "since_ms": 1, "why": "x" * 10_000}),
        "[" * 9_000,
    ],
)
def test_what_is_no_report_is_none(text: str) -> None:
    assert SelfReport.of_text(text) is None


# --- when -------------------------------------------------------------------------------------------------


def test_a_new_file_in_the_place_of_one_that_failed_is_durable_once_it_has_lasted() -> None:
    teller = Teller(BUSY)
    teller.saying.stir()
    teller.stands = attrs.evolve(BUSY, is_durable=False)
    assert teller.until_told() <= SELDOM
    teller.saying.failed()

    assert not said(teller.saying.begin(is_kept=True)).is_durable
    teller.stands = BUSY
    assert teller.until_told() <= EVERY


def test_a_new_file_says_that_it_is_durable_at_once() -> None:
    teller = Teller(attrs.evolve(BUSY, is_durable=False))

    assert teller.first.is_durable
    assert teller.first.at_ms == teller.first.since_ms == int((WALL + 1000.0) * 1000)


def test_who_is_calm_says_nothing_until_something_is_done() -> None:
    teller = Teller()

    assert teller.saying.due_at() == float("inf")
    teller.stands = BUSY
    teller.saying.stir()
    assert teller.next() is not None


def test_nothing_is_said_before_a_file_is_there() -> None:
    saying = Saying(Runtime(), lambda now_ms: CALM, lambda: "open")

    saying.stir()
    assert saying.due_at() == float("inf")
    assert saying.text() is None


def test_what_changes_is_said_once_a_second() -> None:
    teller = Teller()
    teller.saying.stir()

    for count in range(1, 4):
        teller.stands = attrs.evolve(BUSY, accepted=count)
        assert teller.until_told() == EVERY


def test_what_does_not_change_is_looked_at_less_often_and_said_again_after_10_seconds() -> None:
    teller = Teller(BUSY)
    teller.saying.stir()
    assert teller.next() is None
    looks = []
    for _ in range(3):
        before = teller.clock.now
        assert teller.next() is None or looks
        looks.append(teller.clock.now - before)

    assert looks == [2 * EVERY, SELDOM, SELDOM]
    assert AGAIN <= teller.until_told() <= AGAIN + SELDOM


def test_another_state_is_said_at_once_and_since_when() -> None:
    teller = Teller(BUSY)
    teller.saying.stir()
    teller.clock.now += 0.5
    teller.state = "parked"

    parked = teller.next()

    assert parked is not None
    assert parked.trouble == "parked"
    teller.stands = attrs.evolve(BUSY, accepted=4)
    later = teller.next()
    assert later is not None
    assert later.since_ms == parked.since_ms < later.at_ms
    assert teller.saying.due_at() == teller.clock.now + EVERY
    teller.state = "open"
    assert teller.saying.due_at() == teller.clock.now + AT_ONCE


def test_a_text_that_counts_seconds_is_no_news_each_second() -> None:
    teller = Teller(attrs.evolve(BUSY, why="the oldest pending event waits for 301 s"))
    teller.saying.stir()
    teller.stands = attrs.evolve(BUSY, why="the oldest pending event waits for 302 s")

    assert teller.next() is None


def test_who_is_in_trouble_is_not_calm_though_nothing_waits() -> None:
    teller = Teller(attrs.evolve(CALM, is_refusing=True))
    teller.saying.stir()
    assert teller.next() is None

    teller.stands = CALM
    assert teller.next() is not None
    assert teller.saying.due_at() == float("inf")


def test_where_there_is_little_room_only_another_trouble_is_said() -> None:
    teller = Teller(BUSY)
    teller.saying.stir()
    teller.stands = attrs.evolve(BUSY, accepted=9)
    assert teller.next(is_sparing=True) is None

    teller.stands = attrs.evolve(teller.stands, is_durable=False)
    assert teller.next(is_sparing=True) is not None


def test_what_could_not_be_written_is_said_again_later() -> None:
    teller = Teller(BUSY)
    teller.saying.stir()
    teller.stands = CALM
    assert teller.next() is not None
    since = teller.clock.now
    teller.saying.failed()

    assert teller.next() is not None
    assert teller.clock.now - since == FAILED
    assert teller.saying.due_at() == float("inf")


def test_the_last_word_is_said_whatever_it_is() -> None:
    teller = Teller(BUSY)
    teller.state = "closed"

    assert said(teller.saying.last()).state == "closed"
