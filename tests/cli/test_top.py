"""``togai-shipper top``, as an operator runs it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from click.testing import CliRunner, Result
from spools import WELL, Spool, letter

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.app import cli
from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.processes import Process
from togai_shipper.cli.top.command import APART, Pause
from togai_shipper.cli.top.looking import SpoolLook
from togai_shipper.cli.top.rates import STILL, Rates, Row
from togai_shipper.spool.claims import Claim
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder


class Looks:
    """Time between looks, in which something happens; at the end of it, the signal that ends the command."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self._happens = list(happens)
        self._now = 0.0

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self._now += seconds
        if self._happens:
            self._happens.pop(0)()
        else:
            stop.set()
        return stop.is_set()

    @property
    def pause(self) -> Pause:
        return Pause(lambda: self._now, self.wait)


def top(*arguments: object, looks: Looks | None = None, columns: int = 100) -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns)})
    return runner.invoke(
        cli, ["top", *map(str, arguments)], obj=(looks or Looks()).pause, catch_exceptions=False
    )


def says(claim: Claim, **facts: Any) -> None:
    """Write in a file what its process says of itself now."""
    report = attrs.evolve(WELL, **{"at_ms": now_ms(), "since_ms": now_ms(), **facts})
    file = SpoolFile.open(claim.path)
    file.say(report.as_text())
    file.close()


def test_each_process_has_a_line_the_worst_first_and_all_have_one(spool: Spool) -> None:
    well, parked = spool.file(owned=True), spool.file(owned=True)
    gone = spool.file("a", "b", letters=(letter("c"),))
    says(well, pending=7, oldest_ms=now_ms() - 3000, accepted=100, dead_letters=2)
    says(parked, state="parked", is_by_key=True, why="parked: no such key (HTTP 401)", pending=50)

    result = top("--once", spool.path)
    well.release()
    parked.release()

    names, total, *rows = result.stdout.splitlines()
    assert total.split("  ")[0] == "all"
    assert " ".join(total.split()) == "all 3 processes 0 0 59 3 h 2 in trouble, 3 dead letters"
    assert names.split() == ["state", "process", "in/s", "out/s", "pending", "oldest", "why"]
    assert [row.split()[0] for row in rows[:3]] == ["parked", "gone", "ok"]
    assert rows[0].split()[1:6] == ["pid", str(os.getpid()), "0", "0", "50"]
    assert gone.path.name[:20] in rows[1]
    assert f"pid {os.getpid()} is parked for 0 s: no such key (HTTP 401); 50 events wait" in result.stdout
    assert "togai-shipper doctor --check-key" in result.stdout
    assert f"togai-shipper drain {spool.path}" in " ".join(result.stdout.split())
    assert result.exit_code == 0


def test_the_rates_come_from_two_looks(spool: Spool) -> None:
    alive = spool.file(owned=True)
    then = now_ms()
    says(alive, at_ms=then - 2000, accepted=100, delivered=90)
    looks = Looks(lambda: says(alive, at_ms=then, accepted=300, delivered=110, rejected=1))

    result = top("--once", "--json", spool.path, looks=looks)
    alive.release()

    found = json.loads(result.stdout)
    (process,) = found["processes"]
    assert (process["in_per_second"], process["out_per_second"]) == (100.0, 10.5)
    assert found["total"] == {
        "processes": 1,
        "in_per_second": 100.0,
        "out_per_second": 10.5,
        "pending": 0,
        "oldest": None,
        "dead": 0,
    }


def test_a_process_that_says_nothing_more_has_no_rate(spool: Spool) -> None:
    alive = spool.file(owned=True)
    says(alive, accepted=100)

    text = top("--once", spool.path).stdout
    alive.release()

    assert "all 1 process 0 0 0" in " ".join(text.split())
    assert APART >= STILL


def test_it_is_drawn_again_until_a_signal_comes(spool: Spool) -> None:
    alive = spool.file(owned=True)
    looks = Looks(lambda: says(alive, pending=1, oldest_ms=now_ms()), lambda: says(alive, pending=2))

    text = top(spool.path, looks=looks).stdout
    lines = top("--json", spool.path, looks=Looks(lambda: None)).stdout.splitlines()
    alive.release()

    assert text.count("state") == 3
    assert [json.loads(line)["total"]["pending"] for line in lines] == [2, 2]


def test_it_fits_80_columns(spool: Spool) -> None:
    alive = spool.file(owned=True)
    says(alive, state="parked", why="parked: " + "x" * 390, pending=1_234_567, oldest_ms=now_ms() - 10**8)

    lines = top("--once", spool.path, columns=80).stdout.splitlines()
    alive.release()

    assert max(map(len, lines[: lines.index("")])) <= 80
    assert lines[2].startswith("parked")
    assert [line.strip()[-3:] for line in lines[3:7]] == ["xxx", "xxx", "...", ""]


def test_an_empty_directory_has_no_process(spool: Spool) -> None:
    assert "all 0 processes 0 0 0" in " ".join(top("--once", spool.path).stdout.split())


def test_what_cannot_be_read_is_named(spool: Spool) -> None:
    broken, foreign = spool.file("a"), spool.file("b")
    broken.path.write_bytes(b"garbage" * 1000)
    foreign.path.unlink()
    foreign.path.symlink_to(broken.path)

    found = json.loads(top("--once", "--json", spool.path).stdout)

    assert found["processes"] == []
    assert [str(foreign.path) in found["problems"][0], str(broken.path) in found["problems"][1]] == [
        True,
        True,
    ]


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = top("--once", tmp_path / "none")

    assert (result.exit_code, "does not exist" in result.stderr) == (1, True)


def test_what_waits_in_a_living_file_is_not_counted_and_in_another_only_once(spool: Spool) -> None:
    alive, gone = spool.file("a", "b", owned=True), spool.file("c")
    look = SpoolLook(Folder(str(spool.path)))
    before = {process.is_alive: process.pending for process in look.look().processes}
    spool.damage(alive, "UPDATE event SET body = 1")
    file = SpoolFile.open(gone.path)
    file.append([(1, False, b"{}")])
    file.close()

    after = [{process.is_alive: process.pending for process in look.look().processes} for _ in range(2)]
    alive.release()

    assert (before, *after) == ({True: 0, False: 1}, {True: 0, False: 2}, {True: 0, False: 2})


def test_a_file_that_disappears_while_it_is_looked_at_is_no_problem(spool: Spool) -> None:
    class Leaving(Folder):
        def owner(self, path: Path) -> int | None:
            path.unlink()
            return super().owner(path)

    spool.file("a")

    assert SpoolLook(Leaving(str(spool.path))).look().processes == ()
    assert SpoolLook(Leaving(str(spool.path))).look().problems == ()


# --- rates ------------------------------------------------------------------------------------------------


def process(at: float, accepted: int = 0, delivered: int = 0) -> Process:
    report = SelfReport(at_ms=int(at * 1000), since_ms=0, accepted=accepted, delivered=delivered)
    return Process(name="pid 1", is_alive=True, report=report)


def test_a_report_that_is_seen_twice_keeps_the_rate_until_it_is_old() -> None:
    rates = Rates()
    rates.rows([process(10, 0, 0)], 0.0)
    rates.rows([process(11, 50, 40)], 1.0)

    (row,) = rates.rows([process(11, 50, 40)], 2.0)
    (still,) = rates.rows([process(11, 50, 40)], 3.5)

    assert (row.coming, row.going) == (50.0, 40.0)
    assert (still.coming, still.going) == (0.0, 0.0)


def test_counts_that_begin_anew_give_no_rate_below_nothing() -> None:
    rates = Rates()
    rates.rows([process(10, 500, 500)], 0.0)

    (row,) = rates.rows([process(10, 500, 500)], 0.5)
    (anew,) = rates.rows([process(11, 5, 1)], 1.0)

    assert (row.coming, row.going) == (None, None)
    assert (anew.coming, anew.going) == (0.0, 0.0)


def test_a_process_whose_clock_was_set_back_has_no_rates_for_a_moment() -> None:
    rates = Rates()
    rates.rows([process(11, 5, 1)], 0.0)

    (row,) = rates.rows([process(10, 500, 500)], 1.0)

    assert (row.coming, row.going) == (None, None)


def test_a_process_that_is_gone_has_no_rates() -> None:
    gone = attrs.evolve(process(10), is_alive=False)

    assert Rates().rows([gone], 0.0) == [Row(gone)]
