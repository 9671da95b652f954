"""``togai-shipper spool journal``, as an operator runs it."""

from __future__ import annotations

from pathlib import Path

from spools import Spool, event, letter, run

from togai_shipper._journal import read_export, read_journals
from togai_shipper.spool.claims import Claim
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.tally import Tally

NOW_MS = 1_800_000_000_000


def with_journal(spool: Spool, *delivered: str) -> Claim:
    claim = spool.file("waits", letters=(letter("dead"),))
    file, tally = SpoolFile.open(claim.path), Tally()
    tally.add([event(name) for name in delivered], "2027-01-15", "delivered")
    file.settle([], tally, NOW_MS)
    file.close()
    return claim


def test_each_day_and_schema_is_shown_with_what_became_of_its_events(spool: Spool) -> None:
    with_journal(spool, "a", "b")

    result = run("journal", spool.path)

    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["day", "schema", "delivered", "waiting", "dead"]
    assert rows[1][1:] == ["api_call", "2", "1", "1"]
    assert "2027-01-15T08:00Z" in result.stdout
    assert run("journal", "show", spool.path).stdout == result.stdout


def test_an_export_is_read_as_the_directory_is(spool: Spool, tmp_path: Path) -> None:
    with_journal(spool, "a")

    result = run("journal", "export", spool.path)
    (tmp_path / "journal.jsonl").write_text(result.stdout)

    assert result.exit_code == 0
    (exported,) = read_export(tmp_path / "journal.jsonl")
    (read,) = read_journals(spool.path)
    assert (exported.id, exported.counts) == (read.id, read.counts)


def test_what_is_damaged_is_told_and_is_an_exit_status(spool: Spool) -> None:
    spool.damage(with_journal(spool, "a"), "UPDATE tally SET count = 7")

    result = run("journal", spool.path)

    assert result.exit_code == 1
    assert "Not complete: what is counted is damaged on disk" in result.stderr


def test_a_spool_of_which_nothing_is_counted_says_so(spool: Spool) -> None:
    spool.path.mkdir(exist_ok=True)

    assert "nothing is counted here" in run("journal", spool.path).stdout


def test_a_relay_and_what_is_no_directory_are_told(spool: Spool) -> None:
    gone = run("journal", "redis://:sesame@127.0.0.1:1").stderr
    assert "no relay" in gone
    assert "sesame" not in gone
    assert "relay: is no URL" in run("journal", "redis://localhost:port").stderr
    assert "relay_name: must" in run("journal", "--name", "{}", "redis://127.0.0.1:1").stderr
    assert run("journal", spool.path / "none").exit_code == 1
    assert "Show what was delivered" in run("journal", "--help").stdout
