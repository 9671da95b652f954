"""``togai-shipper drain``: what is left in a spool is shipped, and what is not is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from togai_shipper import Event, Shipper, Stats
from togai_shipper.cli.app import cli
from togai_shipper.cli.drain import Drained, DrainPicture, SpacedLines
from togai_shipper.cli.screen import Screen
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.testing import FakeTogai

DAY = 86_400  # seconds

Ship = Callable[..., Shipper]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def leave(ship: Ship, folder: Path, count: int, *, account: str = "acme", **options: object) -> list[str]:
    """Events that an application has tracked before it was gone."""
    shipper = ship(spool=str(folder), flush_interval=60, **options)
    ids = [str(shipper.track("api_call", account)) for _ in range(count)]
    assert shipper.sync()
    shipper.close(0)
    return ids


def drain(togai: FakeTogai, *arguments: str, **environment: str) -> Result:
    environment |= {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url, "TOGAI_CLOSE_TIMEOUT": "20"}
    return CliRunner().invoke(cli, ["drain", "--rate-limit", "500", *arguments], env=environment)


def test_what_several_processes_have_left_is_shipped_once(togai: FakeTogai, ship: Ship, folder: Path) -> None:
    folder.mkdir()
    ids = []
    for number in range(3):  # each in a place of its own first, where none takes over what another has left
        place = folder.parent / str(number)
        ids += leave(ship, place, 200)
        for path in place.iterdir():
            path.rename(folder / path.name)
    assert len(list(folder.glob("*.db"))) == 3

    result = drain(togai, "--once", str(folder))

    assert result.exit_code == 0, result.output
    assert "600 delivered, 0 waiting" in result.output
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.metered == 600
    assert [path.name for path in folder.iterdir()] == [NAME]


LOOKING = """
import sys
opened = []
sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "sqlite3.connect" else None)
from togai_shipper.cli.app import cli
try:
    cli(["drain", "--once", sys.argv[1]])
finally:
    print(sum("mode=ro" in each for each in opened), sum("readonly_shm" in each for each in opened))
"""


def test_it_looks_at_no_file_in_a_way_that_keeps_its_own_shipper_from_writing_there(
    togai: FakeTogai, ship: Ship, folder: Path
) -> None:
    leave(ship, folder, 3)
    done = subprocess.run(
        [sys.executable, "-c", LOOKING, str(folder)],
        env={**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url},
        capture_output=True,
        text=True,
        check=False,
    )

    looks, read_only = map(int, done.stdout.split()[-2:])
    assert (looks > 0, read_only) == (True, 0)
    assert togai.ledger.metered == 3


def test_a_spool_is_drained_to_togai_itself_where_its_application_has_a_relay(
    togai: FakeTogai, ship: Ship, folder: Path
) -> None:
    leave(ship, folder, 3)

    assert drain(togai, "--once", str(folder), TOGAI_RELAY="redis://127.0.0.1:1").exit_code == 0
    assert togai.ledger.metered == 3


def test_what_is_no_file_of_ours_neither_ends_the_drain_nor_hides_an_event_from_it(
    togai: FakeTogai, ship: Ship, folder: Path
) -> None:
    leave(ship, folder, 1)
    for name in ("a", "b", "c"):
        os.mkfifo(folder / f"{name}-1-00000000.db")
    (folder / "d-1-00000000.lock").symlink_to(folder / "elsewhere")

    result = drain(togai, "--once", str(folder))

    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("1 delivered, 0 waiting, 3 files that cannot be read")
    assert togai.ledger.metered == 1
    assert not (folder / "elsewhere").exists()


def test_a_directory_that_all_users_share_is_not_drained(togai: FakeTogai) -> None:
    result = drain(togai, "--once", "/tmp")  # noqa: S108  nothing is made there

    assert result.exit_code == 1
    assert result.output.startswith("Error: /tmp: several users share it (its mode is 1777); choose")


def test_an_empty_spool_is_drained_at_once(togai: FakeTogai, folder: Path) -> None:
    folder.mkdir()

    assert drain(togai, "--once", str(folder)).output.splitlines()[-1] == "0 delivered, 0 waiting."


def test_what_togai_refuses_is_a_dead_letter_and_shows_in_the_exit_status(
    togai: FakeTogai, ship: Ship, folder: Path
) -> None:
    leave(ship, folder, 3)
    leave(ship, folder, 1, account="bad")
    togai.poison(lambda event: event["accountId"] == "bad")

    result = drain(togai, "--once", "--json", str(folder))

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "recovered": 4,
        "delivered": 3,
        "duplicates": 0,
        "rejected": 1,
        "dropped": {},
        "pending": 0,
        "stranded": 0,
        "corrupt_rows": 0,
        "files_left": 0,
        "files_unread": 0,
        "last_error": None,
    }
    assert "1 dead letter" in result.stderr


def test_events_for_another_base_url_are_left_where_they_are(
    togai: FakeTogai, ship: Ship, folder: Path
) -> None:
    leave(ship, folder, 2, base_url="http://127.0.0.1:9")

    result = drain(togai, "--once", str(folder))

    assert result.exit_code == 1
    assert "2 not for this base URL" in result.output


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", ""])
def test_events_too_old_to_be_sent_are_dead_letters_or_stay_where_togai_does_not_say_what_time_it_is(
    togai: FakeTogai, folder: Path, url: str
) -> None:
    spool = Folder(str(folder))
    spool.prepare()
    claim = spool.new()
    file = SpoolFile.create(claim.path, {"base_url": url or togai.url})
    accepted_ms = int((time.time() - 41 * DAY) * 1000)
    file.append([(accepted_ms, False, Event("api_call", "acme").encode())] * 2)
    file.close()
    claim.release()

    result = subprocess.run(
        [sys.executable, "-m", "togai_shipper", "drain", "--once", "--json", str(folder)],
        env={**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": url or togai.url},
        capture_output=True,
        text=True,
        timeout=60,  # it ends soon, or never
        check=False,
    )

    told = json.loads(result.stdout)
    assert result.returncode == 1, result.stderr
    names = ("delivered", "dropped", "files_left", "stranded")
    if url:  # nobody is there who could say what time it is
        assert [told[name] for name in names] == [0, {}, 1, 2]
        assert "2 events on disk may have been sent before" in told["last_error"]
        assert "the clocks do not tell how long ago" in told["last_error"]
        last = result.stderr.splitlines()[-1]
        assert "0 delivered, 0 waiting, in 1 file, 2 too old to be sent, perhaps, " in last
    else:
        assert [told[name] for name in names] == [0, {"past dedupe window": 2}, 0, 0]
    assert claim.path.exists() is bool(url)


def test_events_for_another_base_url_do_not_pass_for_those_that_are_too_old() -> None:
    first = Drained(Stats(stranded=100), left=1, waiting=50, foreign=100)
    later = Drained(Stats(stranded=102), left=1, waiting=2, foreign=100)

    assert (first.is_empty, first.stranded) == (False, 100)
    assert (later.is_empty, later.stranded) == (True, 102)


def test_a_directory_that_is_not_there_is_an_error_of_one_line(togai: FakeTogai, folder: Path) -> None:
    result = drain(togai, str(folder))

    assert (result.exit_code, result.output) == (1, f"Error: {folder}: does not exist\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_until_it_is_stopped(
    togai: FakeTogai, ship: Ship, folder: Path, number: signal.Signals
) -> None:
    ids = leave(ship, folder, 10)
    with subprocess.Popen(
        [sys.executable, "-m", "togai_shipper", "drain", str(folder)],
        env={**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        has_come = togai.wait(lambda: togai.ledger.metered == 10, 60)

        process.send_signal(number)

        output, _ = process.communicate(timeout=30)
    assert (process.returncode, has_come) == (0, True), output
    assert output.endswith("10 delivered, 0 waiting.\n")
    assert togai.ledger.lost(ids) == set()


def test_on_a_terminal_a_spinner_moves_beside_the_line(togai: FakeTogai, folder: Path) -> None:
    folder.mkdir()

    result = drain(togai, "--once", str(folder), FORCE_COLOR="1", TERM="xterm", COLUMNS="80")

    assert result.exit_code == 0, result.output
    assert "\x1b[" in result.output
    assert result.output.endswith("0 delivered, 0 waiting.\n")


def test_brackets_in_a_line_are_shown_as_they_are() -> None:
    screen = Screen(record=True, width=80)
    screen.print(DrainPicture().draw("0 waiting, no such account [/]"))

    assert screen.export_text().rstrip().endswith("0 waiting, no such account [/]")


def test_how_it_goes_is_one_line() -> None:
    stats = Stats(delivered=5, pending=7, rejected=1, dropped={"past dedupe window": 1}, last_error="parked")

    assert Drained(stats, 1, 7, 3, 2).line() == (
        "5 delivered, 7 waiting, in 1 file, 2 dead letters, 3 not for this base URL, "
        "2 files that cannot be read, parked"
    )


def test_without_a_terminal_a_line_is_printed_when_it_is_new_and_not_too_often() -> None:
    now = [0.0]
    screen = Screen(record=True, width=80)
    lines = SpacedLines(screen, lambda: now[0])
    for at, line in ((0, "a"), (1, "b"), (6, "b"), (20, "b"), (21, "c")):
        now[0] = at
        lines.print(line)

    assert screen.export_text().split() == ["a", "b", "c"]
