"""``relay.lease`` and its keeper: at most one drainer sends, whatever stops, sleeps or is lost."""

from __future__ import annotations

from typing import Any

from fake_relay import DOWN, FakeRelay
from hypothesis import given
from hypothesis import strategies as st
from virtual import Clock, VirtualBell

from togai_shipper.relay.lease import Lease, fingerprint_of
from togai_shipper.relay.lease_keeper import Keeper
from togai_shipper.relay.names import new_name

TICK = 0.25


class Contender:
    """A drainer, as far as its lease goes: frozen for a while, cut off for a while."""

    def __init__(self, relay: FakeRelay, name: str, ahead: float) -> None:
        self.clock = Clock()
        self.clock.now += ahead
        self.frozen_for = 0.0
        self.cut_for = 0.0
        self.link: Any = relay.link(lambda: self.cut_for > 0)
        self.keeper = Keeper(
            self.link,
            name,
            self.clock,
            VirtualBell(self.clock),
            fingerprint="f",
            base_url="http://127.0.0.1:1",
        )

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.frozen_for = max(0.0, self.frozen_for - seconds)
        self.cut_for = max(0.0, self.cut_for - seconds)

    def act(self) -> None:
        if not self.frozen_for:
            try:
                self.keeper.step()
            except type(DOWN):
                pass

    @property
    def sends(self) -> bool:
        return not self.frozen_for and self.keeper.may_send()


class Contest:
    """Some of them on one relay; who sent last, and when."""

    def __init__(self, count: int) -> None:
        self.relay = FakeRelay()
        self.each = [Contender(self.relay, f"drainer {n}", 1000.0 * n) for n in range(count)]
        self.now = 0.0
        self.last: tuple[Contender, float] | None = None

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / TICK)):
            self.now += TICK
            for each in self.each:
                each.pass_time(TICK)
                self.look()  # who wakes may send at once, by what it knew
                each.act()
            self.look()

    def look(self) -> None:
        sending = [each for each in self.each if each.sends]
        assert len(sending) <= 1
        for each in sending:
            if self.last and self.last[0] is not each:
                assert self.now - self.last[1] >= 1.0 - TICK, "a second lies between two that send"
            self.last = (each, self.now)

    @property
    def leader(self) -> Contender | None:
        return next((each for each in self.each if each.sends), None)


whom = st.integers(0, 2)
long = st.sampled_from([0.5, 2.0, 4.5, 6.0, 9.5, 11.0, 25.0])
happenings = st.one_of(
    st.tuples(st.sampled_from(["freeze", "cut"]), whom, long),
    st.tuples(st.sampled_from(["release", "lose answer", "empty lease", "run", "outage"]), whom, long),
)


@given(st.integers(2, 3), st.lists(happenings, max_size=25))
def test_no_two_drainers_send_at_the_same_time_and_one_does_in_the_end(
    count: int, story: list[tuple[str, int, float]]
) -> None:
    contest = Contest(count)
    for what, who, seconds in story:
        each = contest.each[who % count]
        if what == "freeze":
            each.frozen_for = seconds
        elif what == "cut":
            each.cut_for = seconds
        elif what == "release" and not each.frozen_for and not each.cut_for:
            each.keeper.release()
            contest.each[who % count] = Contender(contest.relay, f"next {contest.now}", 5.0)
        elif what == "lose answer":
            each.link.lose_answers += 1
        elif what == "empty lease":
            contest.relay.lease = ""
        elif what == "outage":
            for other in contest.each:
                other.cut_for = max(other.cut_for, seconds)
        contest.run(seconds if what == "run" else 1.0)

    contest.run(60.0)
    assert contest.leader is not None


def test_a_lease_that_was_released_is_taken_at_once_and_used_a_second_later() -> None:
    contest = Contest(2)
    contest.run(15.0)
    before = contest.leader
    assert before
    before.keeper.release()
    assert not before.sends
    contest.each.remove(before)

    contest.run(1.0)
    assert contest.leader is None
    contest.run(1.0)
    assert contest.leader is contest.each[0]


def test_a_lease_that_is_empty_is_taken_after_ten_seconds() -> None:
    contest = Contest(2)

    contest.run(10.0)
    assert contest.leader is None
    contest.run(2.0)
    assert contest.leader is not None


def test_a_holder_that_cannot_reach_redis_sends_nothing_after_five_seconds() -> None:
    contest = Contest(1)
    contest.run(20.0)
    (only,) = contest.each
    only.cut_for = 60.0

    contest.run(2.0)
    assert only.sends
    contest.run(5.0)
    assert not only.sends
    contest.run(60.0)
    assert only.sends, "nobody has taken it"


def test_a_drainer_whose_take_was_not_answered_finds_that_it_has_the_lease() -> None:
    contest = Contest(1)
    contest.run(9.5)
    (only,) = contest.each
    only.link.lose_answers = 4
    contest.run(4.0)

    assert only.sends


def test_a_drainer_that_was_blind_for_a_while_begins_to_wait_anew() -> None:
    contest = Contest(1)
    contest.relay.lease = "somebody:7"
    contest.run(8.0)
    contest.each[0].cut_for = 5.0
    contest.run(8.0)
    assert contest.relay.lease == "somebody:7"
    contest.run(10.0)
    assert contest.leader is not None


def test_a_renewal_counts_from_when_it_began_however_long_its_answer_took() -> None:
    lease = Lease("me").answered(0.0, 1.0, is_held=True, said="me:1")
    lease = lease.answered(2.0, 6.0, is_held=True, said="me:2")

    assert lease.may_send(6.9)
    assert not lease.may_send(7.0)


def test_who_drains_is_named_by_host_process_and_start() -> None:
    host, process, start = new_name(lambda: 1.5).split("/")

    assert host
    assert process.isdigit()
    assert start == "1.500000"
    assert fingerprint_of("secret") == "2bb80d53"
