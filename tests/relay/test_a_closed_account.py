"""One account that Togai refuses does not hold up the events of others in a relay, however many there are.

Virtual time, on a relay in memory: what the drainer has no room for waits in the stream.
"""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from drained import Drained, World
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import OK, Sent

from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode
from togai_shipper.relay.answers import Server
from togai_shipper.relay.entries import Entry, read
from togai_shipper.relay.shelf import MOST_WAITING, Shelf

STAMP = "2026-01-01T00:00:00.000Z"
IN_MEMORY = (
    1_000  # events of a drainer, a quarter of them of a known cause; with usually 20,000 all takes longer
)
EVENTS = 50  # of an entry


@attrs.define
class Fleet:
    """Producers on one relay, who drains it, and a Togai that has closed one of their accounts."""

    world: World = attrs.field(factory=World)
    closed: set[str] = attrs.field(factory=lambda: {"closed"})
    account_of: dict[str, str] = attrs.field(factory=dict)  # by id
    added_at: dict[str, float] = attrs.field(factory=dict)
    taken_at: dict[str, float] = attrs.field(factory=dict)  # as Togai saw it first
    billed: Counter[str] = attrs.field(factory=Counter)  # how often a request with it was accepted
    refused: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.world.relay.lease = "released"
        self.world.server.answer = self._answer

    def _answer(self, sent: Sent) -> Reply:
        if any(self.account_of[each] in self.closed for each in sent.ids):
            if len(sent.ids) == 1:
                self.refused.update(sent.ids)
            return Reply(400, b'{"message": "the account is closed"}')
        self.billed.update(sent.ids)
        for each in sent.ids:
            self.taken_at.setdefault(each, self.world.clock.now)
        return OK

    def drainer(self, in_memory: int = IN_MEMORY) -> Drained:
        return self.world.drainer(rate_limit=45, in_memory=in_memory)

    def hand_over(self, entries: int, bad: int) -> None:
        """Hand over so many entries; ``bad``: how many events of each are of the closed account."""
        for _ in range(entries):
            ids = [f"{len(self.account_of) + number}" for number in range(EVENTS)]
            accounts = [f"open-{number}" for number in range(EVENTS - bad)] + ["closed"] * bad
            self.account_of.update(zip(ids, accounts, strict=True))
            self.added_at.update(dict.fromkeys(ids, self.world.clock.now))
            events = [encode("call", self.account_of[each], {"n": 1}, {}, STAMP, each) for each in ids]
            self.world.relay.add(events, at=self.world.now_ms())

    def run(self, drained: Drained, seconds: int, *, entries: int = 0, bad: int = 0) -> None:
        for _ in range(seconds):
            self.hand_over(entries, bad)
            drained.run(1.0)

    def learn(self, drained: Drained) -> None:
        """Let the drainer learn that one account is closed."""
        self.run(drained, 2, entries=4)
        self.run(drained, 2, entries=1, bad=5)
        assert drained.stats.in_lane or self.refused

    @property
    def good(self) -> set[str]:
        return {each for each, account in self.account_of.items() if account != "closed"}

    @property
    def bad(self) -> set[str]:
        return self.account_of.keys() - self.good

    def waiting(self) -> set[str]:
        """The ids of what is in the stream."""
        found = [read(each, fields) for each, fields in self.world.relay.stream.items()]
        return {
            str(event).partition('"id":"')[2].partition('"')[0] for entry in found for event in entry.events
        }


def test_events_of_others_do_not_wait_though_more_are_refused_than_fit_in_memory() -> None:
    fleet = Fleet()
    drained = fleet.drainer()
    fleet.learn(drained)
    fleet.run(drained, 20, entries=8, bad=25)  # 200 a second, of which some ten are tried
    drained.run(3.0)

    assert fleet.taken_at.keys() == fleet.good
    assert max(at - fleet.added_at[each] for each, at in fleet.taken_at.items()) < 4.0
    assert drained.stats.in_lane <= IN_MEMORY // 4
    dead = set(fleet.world.relay.dead)
    assert dead <= fleet.refused  # nothing is rejected that Togai did not reject
    assert fleet.bad - dead <= fleet.waiting()
    facts = fleet.world.relay.facts
    assert int(facts["events"]) == sum(len(read(*entry).events) for entry in fleet.world.relay.stream.items())
    assert not drained.drainer.view().is_empty


def test_once_the_account_is_open_again_all_that_waited_in_the_relay_is_delivered_once() -> None:
    fleet = Fleet()
    drained = fleet.drainer()
    fleet.learn(drained)
    fleet.run(drained, 10, entries=8, bad=25)
    assert len(fleet.waiting()) > IN_MEMORY

    fleet.closed.clear()
    fleet.run(drained, 60)

    assert fleet.billed == Counter(fleet.account_of.keys() - fleet.refused)
    assert fleet.world.relay.stream == {}
    assert drained.drainer.view().is_empty
    assert fleet.world.relay.facts["events"] == fleet.world.relay.facts["bytes"] == "0"
    assert sum(fleet.world.relay.journal.values()) == len(fleet.billed)


def test_another_drainer_takes_over_what_waits_and_is_refused_no_good_event() -> None:
    fleet = Fleet()
    first, second = fleet.drainer(), fleet.drainer()
    fleet.learn(first)
    fleet.run(first, 10, entries=8, bad=25)
    fleet.world.cut.add(id(first.link))
    fleet.hand_over(8, 25)
    fleet.run(second, 40)

    assert second.drainer.view().role == "leads"
    assert fleet.taken_at.keys() == fleet.good
    assert fleet.bad - set(fleet.world.relay.dead) <= fleet.waiting()


def test_what_somebody_has_removed_while_it_waited_is_forgotten() -> None:
    fleet = Fleet()
    drained = fleet.drainer()
    fleet.learn(drained)
    fleet.run(drained, 5, entries=8, bad=EVENTS)  # entries with nothing else
    fleet.world.relay.stream.clear()
    fleet.closed.clear()
    fleet.run(drained, 60, entries=1)

    assert fleet.world.relay.stream == {}
    assert drained.drainer.view().is_empty


def test_a_user_of_redis_who_may_not_append_is_told_and_drains_as_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet = Fleet()
    fleet.world.relay.may_not_part = True
    drained = fleet.drainer()
    fleet.learn(drained)
    fleet.run(drained, 5, entries=8, bad=25)
    fleet.closed.clear()
    fleet.run(drained, 60)

    assert fleet.billed == Counter(fleet.account_of.keys() - fleet.refused)
    assert [each for each in caplog.messages if "may not write to the relay's stream (XADD)" in each]


def test_a_drainer_that_begins_with_more_of_it_than_fits_in_memory_looks_for_others_behind() -> None:
    fleet = Fleet()
    fleet.hand_over(40, EVENTS)  # entries with nothing else, 2,000 events
    fleet.hand_over(4, 25)
    drained = fleet.drainer()
    fleet.run(drained, 60)

    assert fleet.taken_at.keys() == fleet.good
    assert drained.stats.pending <= IN_MEMORY + 2 * EVENTS
    fleet.closed.clear()
    fleet.run(drained, 200)
    assert fleet.billed.keys() == fleet.account_of.keys() - set(fleet.world.relay.dead)
    assert fleet.world.relay.stream == {}


def test_an_entry_that_is_larger_than_the_lane_goes_in_parts() -> None:
    fleet = Fleet()
    drained = fleet.world.drainer(rate_limit=45, in_memory=IN_MEMORY, max_queue_bytes=16_000)
    fleet.learn(drained)
    fleet.hand_over(2, EVENTS)
    fleet.run(drained, 30)

    assert drained.stats.pending == 0
    assert set(fleet.world.relay.dead) == fleet.bad


def test_of_a_togai_that_rejects_everybody_a_drainer_holds_no_more_than_twice_what_it_may() -> None:
    fleet = Fleet()
    fleet.closed.update(f"another {number}" for number in range(100))
    for number in range(100):
        ids = [f"{number}-{place}" for place in range(500)]
        accounts = [f"another {number}"] + ["closed"] * 499
        fleet.account_of.update(zip(ids, accounts, strict=True))
        events = [encode("call", fleet.account_of[each], {"n": 1}, {}, STAMP, each) for each in ids]
        fleet.world.relay.add(events, at=fleet.world.now_ms())
    drained = fleet.drainer()
    drained.run(5 * 3600, step=10.0)

    assert drained.stats.pending <= 2 * IN_MEMORY + 500
    assert len(fleet.world.relay.stream) == 100


def test_what_was_parted_while_another_redis_is_read_is_not_told_as_lost() -> None:
    fleet = Fleet()
    drained = fleet.world.drainer(rate_limit=45, in_memory=IN_MEMORY, max_queue_bytes=16_000)
    fleet.learn(drained)
    fleet.hand_over(6, EVENTS)
    fleet.run(drained, 1)
    for number in range(2, 9):
        fleet.world.relay.server = Server(f"run {number}", f"replication {number}")
        fleet.run(drained, 6)

    assert drained.stats.pending == drained.drainer.view().lost == 0
    assert set(fleet.world.relay.dead) == fleet.bad


def test_a_relay_is_not_empty_while_it_is_read_once_more_for_those_of_which_too_many_wait() -> None:
    fleet = Fleet()
    drained = fleet.drainer()
    fleet.run(drained, 5, entries=1)
    assert drained.drainer.view().is_empty

    stream = drained.drainer.stream
    reader, shelf = stream._reader, stream._shelf  # noqa: SLF001  a moment that no test can time
    shelf._has_more_waiting = True  # noqa: SLF001  likewise
    reader.due_at = fleet.world.clock.now + 10
    reader._read_waiting()  # noqa: SLF001  likewise

    assert not drained.drainer.view().is_empty
    fleet.run(drained, 1)
    assert drained.drainer.view().is_empty


def test_a_stream_of_entries_that_wait_is_read_in_goes_between_which_the_lease_is_kept() -> None:
    fleet = Fleet()
    drained = fleet.drainer()
    fleet.learn(drained)
    fleet.hand_over(30, EVENTS)  # 1,500 events: more than the lane holds
    drained.run(2.0)
    fleet.hand_over(600, EVENTS)
    before = len(drained.link.reads)
    fleet.world.clock.now += 1.0

    drained.drainer.stream.step(0.0)

    assert 1 <= len(drained.link.reads) - before <= 3


def test_what_waits_comes_in_goes_too_once_the_account_is_open() -> None:
    fleet = Fleet()
    drained = fleet.drainer(in_memory=8_000)
    fleet.learn(drained)
    fleet.hand_over(120, EVENTS)  # 6,000 events, of which the lane holds 2,000
    drained.run(5.0)
    assert drained.stats.in_lane <= 2_000

    fleet.closed.clear()
    fleet.run(drained, 60)

    assert fleet.billed == Counter(fleet.account_of.keys() - fleet.refused)
    assert fleet.world.relay.stream == {}


def test_who_has_lost_the_lease_parts_nothing() -> None:
    fleet = Fleet()
    drained = fleet.drainer()
    fleet.learn(drained)
    fleet.hand_over(8, EVENTS)
    drained.run(2.0)
    fleet.hand_over(1, 25)
    before = dict(fleet.world.relay.stream)
    fleet.world.clock.now += 0.5

    def lose_the_lease() -> None:
        fleet.world.relay.lease = "another/1/1:7"

    fleet.world.relay.raising.append(lose_the_lease)  # as it looks at the stream
    drained.drainer.stream.step(0.0)

    assert fleet.world.relay.lease == "another/1/1:7"
    assert fleet.world.relay.stream == before


def test_of_very_many_entries_that_wait_some_are_found_once_the_others_are_gone() -> None:
    shelf = Shelf(lambda: 0)
    entries = [Entry(f"1-{number}", b"mark", [b"{}"], 0, 100) for number in range(MOST_WAITING + 1)]
    for entry in entries:
        shelf.read_up_to(entry.id, 1, 100)
        shelf.leave(entry)
    assert len(shelf) == MOST_WAITING + 1

    for entry in entries[:-1]:
        waiting = shelf.next_waiting()
        assert waiting is not None
        assert waiting.place == (entry.id, b"mark")
        shelf.note_gone(waiting)

    assert (shelf.stock.entries, shelf.cursor) == (1, entries[-1].id)
    assert shelf.next_waiting() is None
    assert len(shelf) == 1
    assert shelf.forget_more_waiting()  # all is read again
    assert len(shelf) == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("close", "open", "hand over", "hand over", "another", "lose an answer")),
            st.integers(1, 8),
            st.sampled_from((0, 1, 25, 49, EVENTS)),
        ),
        max_size=12,
    )
)
def test_whatever_is_closed_and_opened_each_event_ends_once_by_togais_word(
    life: list[tuple[str, int, int]],
) -> None:
    fleet = Fleet(closed=set())
    drained = fleet.drainer()
    fleet.run(drained, 2, entries=2)
    for what, entries, bad in life:
        match what:
            case "close":
                fleet.closed.add("closed")
            case "open":
                fleet.closed.clear()
            case "another":
                fleet.world.cut.add(id(drained.link))
                drained = fleet.drainer()
                drained.run(15.0)
            case "lose an answer":
                drained.link.lose_answers += 1
        fleet.run(drained, 3, entries=entries, bad=bad)
    fleet.closed.clear()
    drained.run(400.0, step=0.5)

    assert fleet.world.relay.stream == {}
    assert fleet.billed.keys() | set(fleet.world.relay.dead) == fleet.account_of.keys()
    assert set(fleet.world.relay.dead) <= fleet.refused
    assert not fleet.billed.keys() & fleet.world.relay.dead.keys()
    assert drained.drainer.view().is_empty
