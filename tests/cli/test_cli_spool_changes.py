"""``togai-shipper spool replay`` and ``purge``, as an operator runs them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable

from spools import URL, Spool, event, letter, run

from togai_shipper._process import boot
from togai_shipper.cli.spool.change_request import ChangeRequest, ChangeState, WaitClock
from togai_shipper.spool.age import FileClock
from togai_shipper.spool.claims import Claim
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.requests import read_requests
from togai_shipper.spool.rows import CORRUPT, PAST_WINDOW

# --- replay -----------------------------------------------------------------------------------------------


def test_dead_letters_are_pending_again(spool: Spool) -> None:
    spool.file("a", letters=(letter("b"), letter("c", days=39)))

    result = run("replay", spool.path)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2 dead letters are pending again.",
        "2 of them in files without an owner: the next process that starts sends them, or this:",
        f"  togai-shipper drain {spool.path}",
    ]
    assert spool.ids() == ({"a", "b", "c"}, set())


def test_only_those_that_fit_are_replayed(spool: Spool) -> None:
    spool.file(letters=(letter("a"), letter("b"), letter("c", days=3)))

    result = run("replay", "--json", "--id", "a", "--id", "c", "--newer-than", "2d", spool.path)

    facts = json.loads(result.stdout)
    assert (facts["replayed"], facts["asked"], facts["failed"], facts["left"]) == (1, 0, 0, {})
    assert spool.ids() == ({"a"}, {"b", "c"})


def test_what_togai_may_bill_twice_or_is_damaged_is_left(spool: Spool) -> None:
    old, expired, corrupt = letter("a", days=41), letter("b", PAST_WINDOW), letter("c", CORRUPT)
    spool.file(letters=(old, expired, corrupt, letter("d")))

    result = run("replay", spool.path)

    assert "1 dead letter is pending again.\n2 left: accepted over 40 days ago." in result.stdout
    assert "1 left: damaged on disk (reason corrupt); these are never sent." in result.stdout
    assert spool.ids() == ({"d"}, {"a", "b", "c"})
    assert json.loads(run("replay", "--json", spool.path).stdout)["left"] == {
        "past dedupe window": 2,
        "damaged": 1,
    }

    run("replay", "--past-dedupe-window", spool.path)

    assert spool.ids() == ({"a", "b", "d"}, {"c"})


def left_in_1970(spool: Spool, *names: str) -> Claim:
    """Pending events of a process that is gone, accepted while the clock was not set."""
    claim = spool.file(owned=True)
    file = SpoolFile.open(claim.path)
    file.append([(60_000, False, event(name)) for name in names])
    file.close()
    claim.release()
    return claim


def asked_for(claim: Claim) -> list[bool]:
    file = SpoolFile.peek(claim.path)
    rows, damaged = file.read(0, 10)
    file.close()
    assert not damaged
    return [row.is_asked_for for row in rows]


def test_what_is_kept_since_its_age_is_not_known_is_told(spool: Spool) -> None:
    claim = left_in_1970(spool, "a", "b")
    spool.file("young")

    result = run("replay", spool.path)

    assert result.exit_code == 0
    assert (
        "2 pending, and left so: this machine's clock does not tell how old, and no process" in result.stdout
    )
    assert json.loads(run("replay", "--json", spool.path).stdout)["left"] == {"of unknown age": 2}
    assert asked_for(claim) == [False, False]


def test_what_is_kept_since_its_age_is_not_known_is_sent_if_asked_for(spool: Spool) -> None:
    claim = left_in_1970(spool, "a", "b")

    result = run("replay", "--past-dedupe-window", "--id", "b", spool.path)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "1 pending event is to be sent, however old."
    assert asked_for(claim) == [False, True]
    assert "left" not in run("replay", "--id", "b", spool.path).stdout
    assert spool.ids() == ({"a", "b"}, set())


def test_what_a_process_is_taking_over_is_asked_for_once_it_lets_go(spool: Spool) -> None:
    claim = left_in_1970(spool, "a")
    taken = Folder(str(spool.path)).claim(claim.path)
    assert taken is not None
    request = ChangeRequest(Folder(str(spool.path)), "send", owner_that(taken.release))

    assert request.run(claim.path, [1]).state == ChangeState.DONE
    assert asked_for(claim) == [True]


def test_what_a_process_does_not_let_go_of_is_not_asked_for(spool: Spool) -> None:
    claim = left_in_1970(spool, "a")
    taken = Folder(str(spool.path)).claim(claim.path)
    assert taken is not None
    request = ChangeRequest(Folder(str(spool.path)), "send", owner_that(lambda: None))

    result = request.run(claim.path, [1])

    assert (result.state, result.why) == (ChangeState.FAILED, "a process is taking it over")
    assert asked_for(claim) == [False]


def test_a_dead_letter_of_a_process_that_is_gone_is_sent_however_old(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),))

    run("replay", spool.path)

    assert asked_for(claim) == [True]


def test_what_was_accepted_since_the_machine_started_needs_nobody_to_ask(spool: Spool) -> None:
    """Its age is exact: the next process sends it, or makes it a dead letter."""
    here = Folder(str(spool.path)).new()
    now = FileClock.begun(boot.boot_id(), boot.clock(), 0.0)
    file = SpoolFile.create(here.path, {"base_url": URL}, now)
    file.append([(now.time(boot.clock()), False, event("a"))])
    file.close()
    here.release()

    result = run("replay", "--past-dedupe-window", spool.path)

    assert result.stdout == "No dead letter matches.\n"
    assert asked_for(here) == [False]


def owner_that(does: Callable[[], object]) -> WaitClock:
    """Time that passes at once; meanwhile a process does what it does."""
    now = 0.0

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds
        does()

    return WaitClock(lambda: now, pause)


def heed(claim: Claim) -> None:
    file = SpoolFile.open(claim.path)
    for request in read_requests(claim.path):
        (file.purge if request.what == "purge" else lambda numbers: file.replay(numbers, 1))(request.numbers)
        request.path.unlink()
    file.close()


def test_the_process_that_has_a_file_replays_it(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),), owned=True)

    result = run("replay", spool.path, obj=owner_that(lambda: heed(claim)))

    assert result.stdout == "1 dead letter is pending again.\n"
    assert spool.ids() == ({"a"}, set())
    claim.release()


def test_a_process_that_is_busy_is_told_of(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),), owned=True)

    result = run("replay", spool.path, obj=owner_that(lambda: None))

    assert result.exit_code == 0
    assert result.stdout == (
        f"{claim.path.name}: 1 dead letter: its process (pid {os.getpid()}) has been asked,"
        " and will do it later.\n"
    )
    assert json.loads(run("replay", "--json", spool.path, obj=owner_that(lambda: None)).stdout)["asked"] == 1
    claim.release()


def test_what_is_gone_or_fails_is_exit_status_1(spool: Spool) -> None:
    claim = spool.file(letters=(letter("a"),), owned=True)

    result = run("replay", spool.path, obj=owner_that(claim.unlink))

    assert result.exit_code == 1
    assert "has disappeared, with 1 dead letter" in result.stdout

    other = spool.file(letters=(letter("a"),))
    somebody = sqlite3.connect(other.path, isolation_level=None)
    somebody.execute("BEGIN IMMEDIATE")
    result = run("replay", spool.path)
    somebody.close()

    assert result.exit_code == 1
    assert f"{other.path.name}: 1 dead letter unchanged: another program has locked it" in result.stdout


# --- purge ------------------------------------------------------------------------------------------------


def test_purge_asks_first(spool: Spool) -> None:
    spool.file("p", letters=(letter("a"), letter("b", PAST_WINDOW)))

    result = run("purge", "--all", spool.path, stdin="n\n")

    assert result.exit_code == 1
    assert "Delete 2 dead letters for ever (1 rejected, 1 past dedupe window)? [y/N]" in result.stderr
    assert spool.ids() == ({"p"}, {"a", "b"})

    result = run("purge", "--reason", "rejected", spool.path, stdin="y\n")

    assert (result.exit_code, result.stdout) == (0, "1 dead letter is deleted.\n")
    assert spool.ids() == ({"p"}, {"b"})

    result = run("purge", "--all", "--yes", "--json", spool.path)

    assert json.loads(result.stdout)["purged"] == 1
    assert spool.ids() == ({"p"}, set())


def test_purge_does_nothing_that_is_not_chosen(spool: Spool) -> None:
    spool.file(letters=(letter("a"),))

    result = run("purge", "--yes", spool.path)

    assert result.exit_code == 2
    assert "or every dead letter with --all" in result.stderr
    assert run("purge", "--id", "z", spool.path).stdout == "No dead letter matches.\n"
    assert spool.ids() == (set(), {"a"})
