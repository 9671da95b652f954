"""Whether what is read is kept on disk: where it is not, that is told, and wrong usage with ``--spool``."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from other_users import needs_root
from sending import Send, accounts, environment, line, write

from togai_shipper import FlushReport, Shipper, Stats
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.send import summary
from togai_shipper.cli.send.inputs import Input, LineFormat
from togai_shipper.cli.send.keeping import Keeping
from togai_shipper.cli.send.results import LineResults, Tally
from togai_shipper.cli.send.sending import send_all
from togai_shipper.cli.send.shipment import Shipment
from togai_shipper.testing import FakeTogai

WHY = "the spool does not work: the disk is full"


@pytest.fixture
def stats(ship: Callable[..., Shipper]) -> Stats:
    """Those of a spool that works."""
    return attrs.evolve(ship(enabled=False).stats(), durable=True)


@pytest.mark.parametrize(
    ("spool", "why"),
    [
        ("file/x", "file/x: cannot be made: Not a directory"),
        ("/proc/none/here", "/proc/none/here: cannot be made: No such file or directory"),
        pytest.param(
            *("shared", "shared: several users share it (its mode is 1777); choose a directory within it"),
            marks=needs_root,
        ),
        ("file", "Invalid value for '--spool': Directory 'file' is a file."),
    ],
)
def test_a_spool_that_cannot_be_used_is_wrong_usage_and_nothing_is_sent(
    send: Send, togai: FakeTogai, spool: str, why: str
) -> None:
    write("a.ndjson", line())
    Path("file").touch()
    Path("shared").mkdir()
    Path("shared").chmod(0o1777)

    result = send("a.ndjson", "--spool", spool, spool=True)

    assert result.exit_code == 2
    assert why in result.stderr.splitlines()[-1]
    assert not togai.requests


@needs_root
@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "why"),
    [("ro", "disk: cannot be written to"), ("size=8k", "database or disk is full")],
)
def test_a_disk_that_is_full_or_read_only_is_no_spool(
    togai: FakeTogai, tmp_path: Path, options: str, why: str
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.ndjson").write_text(f"{line()}\n")
    script = 'mount -t tmpfs -o "mode=700,$2" disk disk && exec "$0" -m togai_shipper send --spool disk "$1"'
    done = subprocess.run(
        ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, sys.executable, "a.ndjson", options],
        cwd=tmp_path,
        env={**os.environ, **environment(togai)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip("nothing can be mounted here")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: --spool disk")
    assert why in done.stderr
    assert not togai.requests


def test_where_our_own_spool_cannot_be_used_it_goes_on_and_says_so(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line())
    Path("file").touch()

    result = send("a.ndjson", "--json", spool=True, XDG_STATE_HOME="file")

    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["durable"], told["recorded"], told["delivered"]) == (False, False, 1)
    first, second = result.stderr.splitlines()
    assert first.startswith("What is read is not kept on disk (file/togai-shipper/spool/")
    assert "--spool names another place" in first
    assert second.startswith("No record of this job can be kept (")
    assert accounts(togai) == ["acme"]


def test_what_is_kept_on_disk_is_said_to_be(send: Send, togai: FakeTogai) -> None:
    write("a.ndjson", line())

    for options in ((), ("--spool", "kept")):
        result = send("a.ndjson", "--json", *options, spool=True)
        told = json.loads(result.stdout)
        assert (told["durable"], told["kept"], result.stderr) == (True, 0, "")
    assert told["spool"] == "kept"
    assert json.loads(send("a.ndjson", "--json", "--dry-run", spool=True).stdout)["durable"] is False


def test_a_spool_that_ceases_to_work_is_told_once(stats: Stats) -> None:
    said: list[str] = []
    keeping = Keeping("dir", said.append)

    keeping.look(attrs.evolve(stats, durable=False))  # it has not begun
    keeping.look(stats)
    keeping.look(attrs.evolve(stats, durable=False, state="closing"))  # it is over
    assert (keeping.is_durable, said) == (True, [])

    for _ in range(2):
        keeping.look(attrs.evolve(stats, durable=False, last_error=WHY))
    assert not keeping.is_durable
    assert len(said) == 1
    assert said[0].startswith(f"What is read is not kept on disk ({WHY}): ")


@pytest.mark.parametrize(("place", "is_durable"), [("spool", True), ("file/x", False)])
def test_at_the_end_it_is_known_whether_the_spool_worked(
    ship: Callable[..., Shipper], tmp_path: Path, place: str, *, is_durable: bool
) -> None:
    said: list[str] = []
    (tmp_path / "file").touch()
    keeping = Keeping(str(tmp_path / place), said.append)
    with closing(ship(spool=str(tmp_path / place))) as shipper:
        shipper.track("api_call", "acme")
        keeping.end(shipper)

    assert keeping.is_durable is is_durable
    assert len(said) == (not is_durable)


class Interrupted(Shipper):
    """One whose close is interrupted, if it takes its time."""

    def close(self, timeout: float | None = None) -> FlushReport:
        if timeout is None:
            raise KeyboardInterrupt
        return super().close(timeout)


class Endless(io.BytesIO):
    """A stream whose end is not reached: somebody presses Ctrl-C."""

    def read1(self, size: int | None = -1, /) -> bytes:
        found = super().read1(size)
        if not found:
            raise KeyboardInterrupt
        return found


def test_a_second_ctrl_c_ends_the_waiting_and_not_the_summary(togai: FakeTogai) -> None:
    said: list[str] = []
    results = LineResults(said.append)
    sent = Shipment(lambda **hooks: Interrupted("secret", base_url=togai.url, **hooks), results)
    stdin = Endless(f"{line()}\n".encode())
    inputs = [(Input("-", None, LineFormat(is_csv=False), stdin=stdin), "job")]
    screen, keeping = Screen(file=io.StringIO()), Keeping(None, said.append)

    tally = send_all(sent, results, inputs, screen, said.append, keeping, dry_run=False)

    assert (tally.lines, tally.undelivered, tally.complete) == (1, 1, False)
    assert [words.partition(".")[0] for words in said] == ["Stopping"]


def test_without_a_spool_there_is_nothing_to_say(stats: Stats) -> None:
    said: list[str] = []
    keeping = Keeping(None, said.append)
    keeping.fail("no reason")

    assert (keeping.is_durable, said) == (False, [])


def test_the_summary_says_where_events_are_kept() -> None:
    tally = Tally(lines=5, undelivered=3, kept=2, spool="/var/spool/x", complete=False)

    assert [*summary.lines_of(tally)][-1] == "2 events are kept until then in /var/spool/x."
