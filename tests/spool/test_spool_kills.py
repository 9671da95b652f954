"""Processes that are killed: what was said to be safe is billed once, or is a dead letter, by Togai's ledger.

``TOGAI_TEST_KILLS`` says how many times the random ones are killed (20 by default).
"""

from __future__ import annotations

import os
import random
import signal

import pytest
from herd import KILLED, POISON, Herd, Judgement, behave, herd, is_poison, judged, misbehave, show

from togai_shipper.spool.merging import FEWEST
from togai_shipper.testing import FakeTogai, Received, faults

pytestmark = pytest.mark.processes

__all__ = ["herd"]  # a fixture

KILLS = int(os.environ.get("TOGAI_TEST_KILLS", "20"))


# --- killed at random ------------------------------------------------------------------------------------


def right(togai: FakeTogai, herd: Herd) -> Judgement:
    """The judgement on a herd, which has to be good: nothing lost or billed twice, all of it counted."""
    judgement = judged(togai, herd)
    assert judgement.is_right, judgement
    assert judgement.is_counted, judgement
    return judgement


@pytest.mark.parametrize("many", [1, 4])
def test_what_is_safe_survives_kills_at_random_times(togai: FakeTogai, herd: Herd, many: int) -> None:
    chance = random.Random(many)
    misbehave(togai, many)
    for _ in range(max(1, KILLS // many)):
        herd.killed_at_random(chance, many, "produce")
    behave(togai)
    herd.drained()

    judgement = judged(togai, herd)
    show(judgement, togai)
    assert judgement.is_right, judgement
    assert judgement.is_counted, judgement
    assert judgement.safe > KILLS
    assert herd.words("unsafe") == []
    assert herd.complaints == []
    assert herd.left_behind == []


def test_what_is_safe_survives_kills_of_parents_and_of_children_forked_in_the_middle(
    togai: FakeTogai, herd: Herd
) -> None:
    chance = random.Random(5)
    misbehave(togai, 5)
    for _ in range(max(1, KILLS // 2)):
        herd.killed_at_random(chance, 2, "fork")
    herd.bury()
    behave(togai)
    herd.drained()

    judgement = judged(togai, herd)
    show(judgement, togai)
    assert judgement.is_right, judgement
    assert judgement.is_counted, judgement
    assert len(herd.words("child")) >= KILLS // 4
    assert herd.words("unsafe") == []
    assert herd.complaints == []
    assert herd.left_behind == []


# --- killed at a named point -----------------------------------------------------------------------------

BEFORE_COMMIT = ("ours", "INSERT INTO event")
POINTS = {
    "before its file is made": ("event", "open .lock", 1),
    "before its file has anything in it": ("ours", "PRAGMA journal_mode", 1),
    "before its file is of its kind": ("ours", "CREATE TABLE event", 1),
    "before its file has its tables": ("ours", "COMMIT", 1),
    "before its file says whose it is": ("ours", "INSERT INTO meta", 1),
    "before the first commit": (*BEFORE_COMMIT, 1),
    "before a later commit": (*BEFORE_COMMIT, 5),
    "after the reply, before the row is deleted": ("reply", "", 2),
    "before the rows are deleted": ("ours", "DELETE FROM event", 1),
    "after the rows were deleted": ("ours", "DELETE FROM event", 3),
    "before the move of a dead letter": ("ours", "BEGIN IMMEDIATE", 2),
    "in the move of a dead letter, before it is there": ("ours", "INSERT INTO dead", 1),
    "in the move of a dead letter, before it is gone from where it was": ("ours", "DELETE FROM event", 2),
    "in the move of a dead letter, before the commit": ("ours", "COMMIT", 2),
}


@pytest.mark.parametrize("point", POINTS)
def test_what_is_safe_survives_a_kill_at(togai: FakeTogai, herd: Herd, point: str) -> None:
    togai.poison(is_poison)
    where, what, nth = POINTS[point]
    herd.killed("produce", "--die", where, what, str(nth))
    herd.drained()

    judgement = right(togai, herd)
    assert judgement.dead >= len([name for name in herd.safe if int(name.rsplit(".")[-1]) % POISON == 0])
    assert herd.complaints == []
    assert herd.left_behind == []


def killed_after_the_request(
    togai: FakeTogai, herd: Herd, ingest: faults.Ingest, *arguments: str
) -> Judgement:
    producer = herd.start("produce", *arguments)

    def kill(received: Received) -> faults.Fault:
        if not {*received.ids} & {*herd.safe.values()}:  # it has not said so yet
            return faults.Refuse(503)
        producer.kill()
        return faults.Reset(ingest=ingest)

    togai.on_request = kill
    assert producer.wait(60) == KILLED
    behave(togai)
    herd.drained()
    return judged(togai, herd)


@pytest.mark.parametrize("ingest", ["none", "all"])
def test_what_is_safe_survives_a_kill_after_the_request_was_sent(
    togai: FakeTogai, herd: Herd, ingest: faults.Ingest
) -> None:
    """Would notice rows that are deleted before the request."""
    judgement = killed_after_the_request(togai, herd, ingest)

    assert judgement.is_right, judgement
    assert judgement.is_counted, judgement
    assert judgement.safe > 0
    assert herd.complaints == []


def test_rows_deleted_before_the_request_would_be_noticed(togai: FakeTogai, herd: Herd) -> None:
    assert killed_after_the_request(togai, herd, "none", "--mutant", "delete before the request").lost


def retried(togai: FakeTogai, herd: Herd, *arguments: str) -> Judgement:
    togai.script(faults.Refuse(503, ingest="all"), faults.Reset(ingest="all"))
    herd.start("hold", "--events", "20", *arguments)
    assert togai.wait(lambda: len(togai.requests) == 3 and togai.requests[2].status)
    return judged(togai, herd)


def test_what_is_sent_again_is_billed_once(togai: FakeTogai, herd: Herd) -> None:
    """Would notice a new id on a retry."""
    judgement = retried(togai, herd)

    assert judgement.is_right, judgement
    assert judgement.metered == 20


def test_a_new_id_on_a_retry_would_be_noticed(togai: FakeTogai, herd: Herd) -> None:
    assert retried(togai, herd, "--mutant", "a new id on retry").twice


ADOPTION = {
    "before anything is copied": ("ours", "INSERT INTO event", 1),
    "after the copy, before the delete": ("theirs", "DELETE FROM event", 1),
    "in the middle, after the copy": ("theirs", "DELETE FROM event", 2),
    "in the middle, before the copy": ("ours", "INSERT INTO event", 2),
    "before the dead letters are copied": ("theirs", "FROM dead", 1),
    "in the middle of the dead letters": ("ours", "COMMIT", 2),
    "before the file is removed": ("event", "os.remove .db", 1),
    "before its WAL is removed": ("event", "os.remove .db-wal", 1),
    "before its lock is removed": ("event", "os.remove .lock", 1),
}


@pytest.mark.parametrize("point", ADOPTION)
def test_what_is_safe_survives_a_kill_in_the_middle_of_an_adoption(
    togai: FakeTogai, herd: Herd, point: str
) -> None:
    unavailable = faults.Refuse(503)
    togai.poison(is_poison)
    herd.left("hold", "--events", "360", "--flush", word="flushed")
    togai.on_request = lambda received: unavailable
    herd.left("hold", "--events", "2500", word="tracked")
    where, what, nth = ADOPTION[point]
    herd.killed("drain", "--die", where, what, str(nth))
    behave(togai)
    herd.drained()

    judgement = right(togai, herd)
    assert judgement.safe == 2860
    assert judgement.dead == 360 // POISON + 2500 // POISON
    assert herd.complaints == []
    assert herd.left_behind == []


HANDFUL = {
    "before anything is copied": ("ours", "INSERT INTO event", 1),
    "before the copy is there": ("ours", "COMMIT", 2),
    "before their journals are kept": ("event", "open .kept", 1),
    "before the first is removed": ("event", "os.remove .db", 1),
    "once some are removed": ("event", "os.remove .db", 3),
    "before the WAL of one is removed": ("event", "os.remove .db-wal", 2),
    "before the lock of one is removed": ("event", "os.remove .lock", 2),
}


def left_apart(herd: Herd, *arguments: str, word: str) -> None:
    """One more process, killed once it has said this word, which has taken over nothing of the others'."""
    apart = herd.spool.with_name("apart")
    process = herd.start(*arguments, TOGAI_SPOOL=str(apart))
    herd.hear(process, word)
    process.kill()
    assert process.wait() == KILLED, herd.errors
    herd.spool.mkdir(mode=0o700, exist_ok=True)
    for path in apart.iterdir():
        path.rename(herd.spool / path.name)


@pytest.mark.parametrize("point", HANDFUL)
def test_what_is_safe_survives_a_kill_as_several_small_files_are_moved(
    togai: FakeTogai, herd: Herd, point: str
) -> None:
    unavailable = faults.Refuse(503)
    togai.poison(is_poison)
    left_apart(herd, "hold", "--events", "120", "--flush", word="flushed")
    togai.on_request = lambda received: unavailable
    for _ in range(4):
        left_apart(herd, "hold", "--events", "20", word="tracked")
    where, what, nth = HANDFUL[point]
    herd.killed("drain", "--die", where, what, str(nth))
    behave(togai)
    herd.drained()

    judgement = right(togai, herd)
    assert judgement.safe == 200
    assert judgement.dead == 1
    assert herd.complaints == []
    assert herd.left_behind == []


MERGE = {
    "before their heir is named": ("theirs", "INTO meta", 1),
    "once some name their heir": ("theirs", "INTO meta", 3),
    "before the copy": ("ours", "INSERT INTO event", 2),
    "before the copy is there": ("ours", "COMMIT", 2),
    "before the first is removed": ("event", "os.remove .db", 1),
    "once some are removed": ("event", "os.remove .db", 3),
    "before the WAL of one is removed": ("event", "os.remove .db-wal", 2),
    "before the lock of one is removed": ("event", "os.remove .lock", 2),
    "before their records are forgotten": ("ours", "DELETE FROM meta", 1),
}


IN_CI = {"before the copy is there"}  # some take a minute; all do at night


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=[pytest.mark.night] * (each not in IN_CI)) for each in MERGE]
)
def test_what_is_safe_survives_a_kill_as_processes_that_end_at_once_merge_what_others_left(
    togai: FakeTogai, herd: Herd, point: str
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    where, what, nth = MERGE[point]
    assert herd.run("end", "--events", "12", "--die", where, what, str(nth)) == 0, herd.errors
    behave(togai)
    herd.drained()

    judgement = right(togai, herd)
    assert 0 < judgement.safe < 3 * 12  # some were killed
    assert herd.words("unsafe") == []
    assert herd.complaints == []
    assert herd.left_behind == []


def test_a_crash_loop_of_processes_that_end_at_once_leaves_few_files(togai: FakeTogai, herd: Herd) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    assert herd.run("end", "--events", "60") == 0, herd.errors
    assert max(map(int, herd.words("files"))) <= 3 * FEWEST  # one with a slow disk leaves it to the next
    behave(togai)
    herd.drained()

    judgement = right(togai, herd)
    assert judgement.safe == 3 * 60
    assert herd.words("unsafe") == []
    assert herd.left_behind == []


# --- forks -----------------------------------------------------------------------------------------------


def outlived(togai: FakeTogai, herd: Herd, *arguments: str) -> bool:
    """Whether all that a killed parent has left is delivered while its child lives."""
    togai.on_request = lambda received: faults.Refuse(503)
    dead = herd.left("outlive", "--events", "20", *arguments, word="child")
    # A request of the dead may still wait for the server to look at it: it does not count as adopted.
    togai.on_request = lambda received: faults.Refuse(503) if received.headers["x-process"] == dead else None
    adopter = herd.start("drain", *arguments)
    is_adopted = togai.wait(lambda: not togai.ledger.lost(herd.safe.values()), 5.0)
    adopter.kill()
    os.kill(int(herd.words("child")[0]), signal.SIGKILL)
    herd.bury()
    return is_adopted


def test_what_a_parent_has_left_is_adopted_while_a_child_that_it_has_forked_lives(
    togai: FakeTogai, herd: Herd
) -> None:
    """Would notice ``flock``, which children inherit, and a child that takes itself for its parent."""
    assert outlived(togai, herd)
    herd.drained()

    judgement = right(togai, herd)
    assert judgement.safe == 40
    assert herd.words("unsafe") == []
    assert herd.complaints == []
    assert herd.left_behind == []


def test_flock_would_be_noticed(togai: FakeTogai, herd: Herd) -> None:
    assert not outlived(togai, herd, "--mutant", "flock for lockf")


def test_a_child_that_takes_itself_for_its_parent_would_be_noticed(togai: FakeTogai, herd: Herd) -> None:
    outlived(togai, herd, "--mutant", "no pid check", "--patience", "2")
    assert len(herd.words("unsafe")) == 20
