"""Events that may be older than Togai's memory of ids: sent, given up, or kept, as the clocks say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from spooled import DAY, DOWN, die, files, letters, stats
from virtual import OK, WALL, Clock, World

from togai_shipper._engine.verdict import Reply
from togai_shipper._event import ChosenId, encode
from togai_shipper._outcome import FlushReport
from togai_shipper.spool.file import SpoolFile

YEAR = 365 * DAY


@attrs.define
class Wall:
    """A wall clock that may be wrong."""

    wrong: float = 0.0
    clock: Clock = attrs.field(factory=Clock)

    def __call__(self) -> float:
        return WALL + self.clock.now + self.wrong


@attrs.define
class Machine:
    """Makes worlds, each with a wall clock; and between two of them the machine may start anew."""

    worlds: Any
    boots: int = 0

    def world(self, wrong: float = 0.0, replies: Any = ()) -> tuple[World, Wall]:
        wall, boot = Wall(wrong), f"boot {self.boots}"
        w = self.worlds(replies, wall=wall, boot=lambda: boot)
        wall.clock = w.clock
        return w, wall

    def leave(self, wrong: float = 0.0) -> list[str]:
        """A process tracks two events, and is killed."""
        w, _ = self.world(wrong)
        ids = w.put(2)
        w.pipeline.sync(1.0)
        die(w)
        return ids

    def after(self, days: float, wrong: float = 0.0, *, boot: bool = True) -> World:
        """So much later; ``boot``: the machine has started anew."""
        self.boots += boot
        w, _ = self.world(wrong)
        w.clock.now += days * DAY
        return w


@pytest.fixture
def machine(worlds: Any) -> Machine:
    return Machine(worlds)


def dated(w: World, wrong: float = 0.0) -> None:
    """The server says what time it is, rightly or wrong by so much."""
    w.server.answer = lambda sent: Reply(202, OK.body, date=WALL + w.clock.now + wrong)


def later(w: World) -> None:
    """Some minutes, in which the writer looks around as often as it does."""
    for _ in range(5):
        w.clock.now += 100
        w.pipeline.flush(0.0)


def tell_the_time(w: World) -> None:
    """An event of the process itself is sent, so that Togai says what time it is."""
    w.put(1)
    w.pipeline.flush(10)
    later(w)
    w.pipeline.flush(10)


# --- within one boot ---


@pytest.mark.parametrize("server", [0.0, 60 * DAY, -60 * DAY, YEAR])
@pytest.mark.parametrize("wall", [0.0, 60 * DAY, -60 * DAY, -56 * YEAR])
def test_within_one_boot_no_clock_that_can_be_set_keeps_an_event_from_being_sent(
    machine: Machine, wall: float, server: float
) -> None:
    ids = machine.leave()
    w = machine.after(1, wall, boot=False)
    dated(w, server)

    tell_the_time(w)

    assert set(ids) < set(w.server.metered)
    assert (stats(w).pending, stats(w).dropped, stats(w).stranded) == (0, {}, 0)


@pytest.mark.parametrize("server", [None, -40 * DAY])
def test_within_one_boot_what_is_too_old_is_a_dead_letter_whatever_the_wall_clocks_say(
    machine: Machine, server: float | None, folder: Path
) -> None:
    ids = machine.leave()
    w = machine.after(41, -40 * DAY, boot=False)
    if server is not None:
        dated(w, server)

    tell_the_time(w)

    assert {letter.id for letter in letters(folder)} == set(ids)
    assert stats(w).dropped == {"past dedupe window": 2}
    assert not set(ids) & set(w.server.metered)


def test_a_wall_clock_that_is_set_while_a_process_lives_changes_no_age(machine: Machine) -> None:
    w, wall = machine.world(-56 * YEAR)
    ids = w.put(2)
    w.pipeline.sync(1.0)
    wall.wrong = 0.0
    w.clock.now += 10
    w.put(1)
    w.pipeline.sync(1.0)
    die(w)

    second = machine.after(1, boot=False)
    dated(second)
    second.pipeline.flush(0.0)

    assert stats(second).oldest_pending_age == DAY
    assert second.pipeline.flush(10) == FlushReport(delivered=3)
    assert set(ids) < set(second.server.metered)


def test_what_waits_on_disk_alone_is_sent_though_togai_says_that_a_year_has_passed(worlds: Any) -> None:
    """Its ids are the application's own, so that Togai may know them."""
    w = worlds([DOWN], max_queue_size=2, batch_size=1)
    for number in range(4):
        event = encode("api_call", "acme", {"n": 1}, {}, "2026-01-01T00:00:00.000Z", f"own-{number}")
        w.pipeline.put(ChosenId(event))
        w.pipeline.sync(1.0)
    dated(w, YEAR)

    assert w.pipeline.flush(10) == FlushReport(delivered=4)
    assert stats(w).dropped == {}


# --- beyond it ---


def test_an_event_past_the_window_is_a_dead_letter_if_both_clocks_say_so(
    machine: Machine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = machine.leave()
    w = machine.after(41)
    dated(w)

    later(w)
    assert (stats(w).recovered, stats(w).pending) == (0, 0)  # nobody has said what time it is
    assert "the clocks do not tell how long ago" in str(w.pipeline.health.complaint())
    tell_the_time(w)

    assert {letter.id for letter in letters(folder)} == set(ids)
    assert {letter.reason for letter in letters(folder)} == {"past dedupe window"}
    assert stats(w).dropped == {"past dedupe window": 2}
    assert len(w.server.metered) == 1
    assert "2 events of" in caplog.text


@pytest.mark.parametrize(
    ("was", "wall", "server"),
    [
        (0.0, 0.0, -40 * DAY),  # Togai says that it is young
        (0.0, -40 * DAY, 0.0),  # we do
        (YEAR, 0.0, 0.0),  # accepted in what is the future
        (-56 * YEAR, 0.0, 0.0),  # accepted in 1970
        (-56 * YEAR, -56 * YEAR, 0.0),  # and it is still 1970
        (0.0, -56 * YEAR, 0.0),  # it is now
    ],
)
def test_an_event_of_which_the_clocks_do_not_tell_the_age_is_kept_and_told(
    machine: Machine, folder: Path, was: float, wall: float, server: float, caplog: pytest.LogCaptureFixture
) -> None:
    ids = machine.leave(was)
    w = machine.after(41, wall)
    dated(w, server)

    tell_the_time(w)

    assert not set(ids) & set(w.server.metered)
    assert (stats(w).dropped, stats(w).stranded, letters(folder)) == ({}, 2, [])
    complaint = w.pipeline.health.complaint()
    assert complaint is not None
    assert "2 events on disk may have been sent before, and the clocks do not tell how long ago" in complaint
    assert stats(w).last_error == complaint
    assert "2 events may have been sent before, and the clocks do not agree how long ago" in caplog.text


def test_togai_is_asked_what_time_it_is_where_nothing_else_would_make_it_say_so(
    machine: Machine, folder: Path
) -> None:
    ids = machine.leave()
    w = machine.after(41)
    w.server.look_up_answer = lambda: Reply(200, b"{}", date=WALL + w.clock.now)

    for _ in range(10):
        w.clock.now += 1.0
        w.pipeline.flush(0.1)

    assert (len(w.server.looked_up), w.server.sent) == (1, [])
    assert stats(w).dropped == {"past dedupe window": 2}
    assert {letter.id for letter in letters(folder)} == set(ids)
    assert stats(w).stranded == 0


def test_while_the_answer_is_awaited_what_was_kept_is_not_called_stranded(machine: Machine) -> None:
    machine.leave()
    w = machine.after(41)
    w.server.look_up_answer = lambda: Reply(503)

    w.pipeline.flush(0.0)
    assert (stats(w).stranded, w.server.looked_up) == (0, [])

    w.pipeline.flush(0.1)
    assert (stats(w).stranded, len(w.server.looked_up)) == (2, 1)


def test_what_was_kept_is_sent_once_the_clocks_agree(machine: Machine) -> None:
    ids = machine.leave()
    machine.boots += 1
    w, wall = machine.world(-56 * YEAR)
    w.clock.now += 39 * DAY
    dated(w)
    tell_the_time(w)
    assert stats(w).stranded == 2

    wall.wrong = 0.0
    later(w)
    w.pipeline.flush(10)

    assert set(ids) < set(w.server.metered)
    assert stats(w).stranded == 0
    assert w.pipeline.health.complaint() is None


def test_a_clock_that_was_set_rightly_while_the_process_lived_is_believed_for_what_came_before(
    machine: Machine,
) -> None:
    w, wall = machine.world(-56 * YEAR)
    ids = w.put(2)
    w.pipeline.sync(1.0)
    wall.wrong = 0.0
    w.clock.now += 100
    w.pipeline.flush(0.0)
    die(w)

    second = machine.after(1)
    dated(second)
    tell_the_time(second)

    assert set(ids) < set(second.server.metered)


def test_a_clock_that_was_set_from_one_year_to_another_is_believed_in_neither(machine: Machine) -> None:
    w, wall = machine.world(-YEAR)
    w.put(2)
    w.pipeline.sync(1.0)
    wall.wrong = 0.0
    w.put(1)
    w.pipeline.sync(1.0)
    die(w)

    second = machine.after(1)
    dated(second)
    tell_the_time(second)

    assert stats(second).stranded == 3
    assert len(second.server.metered) == 1


def test_an_event_within_the_window_is_sent(machine: Machine) -> None:
    ids = machine.leave()
    w = machine.after(39)
    dated(w)

    w.pipeline.flush(0.0)
    assert stats(w).oldest_pending_age == 39 * DAY
    assert w.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(w.server.metered) == set(ids)


def test_the_age_that_was_found_once_is_kept_from_process_to_process(machine: Machine, folder: Path) -> None:
    """By then the wall clock is wrong; the machine has not started anew since the age was found."""
    ids = machine.leave()
    w = machine.after(39)
    w.server.answer = lambda sent: DOWN
    w.pipeline.flush(0.0)
    die(w)
    third = machine.after(0, -60 * DAY, boot=False)
    third.clock.now = w.clock.now + 2 * DAY
    dated(third, -60 * DAY)

    tell_the_time(third)

    assert {letter.id for letter in letters(folder)} == set(ids)


def test_a_file_that_says_nothing_of_its_clock_is_read_by_the_wall_clocks(
    machine: Machine, folder: Path
) -> None:
    """As written by an earlier version."""
    w, _ = machine.world()
    w.put(1)
    w.pipeline.sync(1.0)
    die(w)
    (path,) = files(folder)
    folder.rename(folder.parent / "aside")
    left = folder.parent / "aside" / path.name
    (row,) = rows(left)
    left.unlink()
    made = SpoolFile.create(left, {"base_url": "http://127.0.0.1:1"})
    made.append([(row.accepted_ms, False, row.body)])
    made.close()
    left.parent.rename(folder)

    second = machine.after(1, boot=False)
    dated(second)

    assert second.pipeline.flush(10) == FlushReport(delivered=1)


def rows(path: Path) -> list[Any]:
    file = SpoolFile.peek(path)
    try:
        return file.read(0, 10)[0]
    finally:
        file.close()


# --- what an operator asks ---


def test_what_an_operator_has_asked_for_is_sent_though_the_clocks_do_not_tell_its_age(
    machine: Machine, folder: Path
) -> None:
    ids = machine.leave(-56 * YEAR)
    (path,) = files(folder)
    file = SpoolFile.open(path)
    file.ask_for(rows(path)[:1])
    file.close()

    w = machine.after(41)
    dated(w)
    tell_the_time(w)

    assert ids[0] in w.server.metered
    assert ids[1] not in w.server.metered
    assert stats(w).stranded == 1


def test_a_dead_letter_replayed_in_a_file_whose_process_is_gone_is_sent_whatever_the_clocks_say(
    machine: Machine, folder: Path
) -> None:
    w, _ = machine.world(-56 * YEAR, [Reply(400, b'{"error": "no"}')])
    (event_id,) = w.put(1)
    w.pipeline.flush(10)
    later(w)
    die(w)
    (path,) = files(folder)
    file = SpoolFile.open(path)
    ((number, _),) = file.dead()
    file.replay([number], int(WALL * 1000), is_left=True)
    file.close()

    second = machine.after(41)
    dated(second, -40 * DAY)
    tell_the_time(second)

    assert event_id in second.server.metered
