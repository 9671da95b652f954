"""What a command does when it cannot print."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest

from togai_shipper.cli.screen import Screen
from togai_shipper.cli.streams import GuardedStream, OutputLost, why_lost
from togai_shipper.cli.terminal import output_checked, print_json, print_line, print_outcome
from togai_shipper.cli.watching import SpacedLines


@contextmanager
def standard_output(descriptor: int) -> Iterator[None]:
    with redirect_stdout(io.TextIOWrapper(io.BufferedWriter(GuardedStream(descriptor)))):
        yield


@pytest.fixture
def full() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def unread() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_what_cannot_be_written_is_given_up(full: int) -> None:
    stream = io.BufferedWriter(GuardedStream(full))

    stream.write(b"lost")
    stream.flush()
    stream.write(b"x" * 100_000)
    stream.flush()

    assert isinstance(stream.raw, GuardedStream)
    assert stream.raw.failure is not None
    assert stream.raw.failure.errno == errno.ENOSPC


def test_what_is_written_after_a_loss_is_gone_too(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    descriptor = os.open(path, os.O_RDONLY)
    stream = GuardedStream(descriptor)
    stream.write(b"lost")
    writable = os.open(path, os.O_WRONLY)
    os.dup2(writable, descriptor)  # as if there were room again: half a result would be taken for a whole one

    assert stream.write(b"gone") == 4
    assert path.read_bytes() == b""
    os.close(writable)
    os.close(descriptor)


TAKEN = """
import os, sys
from togai_shipper.cli.terminal import prepare_streams
prepare_streams()
sys.exit(os.open(os.devnull, os.O_RDONLY))
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_stream_that_is_closed(closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, TAKEN], timeout=60, check=False
    )

    assert done.returncode > 2


def test_a_stream_that_somebody_has_made_non_blocking_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    read: list[bytes] = []

    def read_all() -> None:
        while block := os.read(reading, 4096):
            read.append(block)

    reader = threading.Thread(target=read_all)
    stream = io.BufferedWriter(GuardedStream(writing))
    with suppress(BlockingIOError):  # until there is no room for more
        while True:
            os.write(writing, b"x" * 4096)
    reader.start()
    stream.write(b"y" * 1_000_000)
    stream.flush()
    os.close(writing)
    reader.join(10)
    os.close(reading)

    assert b"".join(read).count(b"y") == 1_000_000


def test_where_standard_output_is_lost_what_prints_to_it_ends_the_command(full: int) -> None:
    with standard_output(full):
        for print_something in (
            lambda: print_line("a"),
            lambda: print_json({}),
            lambda: Screen().say("a"),
            lambda: Screen().say_lines([[("a", "")]]),
            lambda: Screen().draw("a"),
        ):
            with pytest.raises(OutputLost) as lost:
                print_something()
            assert lost.value.exit_code == 1


def test_what_is_said_on_the_way_ends_nothing(full: int) -> None:
    said = io.StringIO()
    with standard_output(full), redirect_stderr(said):
        SpacedLines(Screen()).print("progress")
        print_line("a", err=True)
        Screen(stderr=True).say("b")

        assert why_lost() is not None
    assert said.getvalue() == "a\nb\n"


@pytest.mark.parametrize("value", [None, {"lines": 1}])
def test_the_outcome_goes_to_standard_error_where_standard_output_is_lost(full: int, value: object) -> None:
    said = io.StringIO()
    with standard_output(full), redirect_stderr(said):
        print_outcome(["one", "two"], value)

    assert said.getvalue() == "one\ntwo\n"


def ended(descriptor: int | None, status: int | None) -> tuple[object, str]:
    """Print something, and end with this status; return the status that it is in fact, and what was said."""
    said = io.StringIO()
    lost = nullcontext() if descriptor is None else standard_output(descriptor)
    with lost, redirect_stderr(said):
        try:
            with output_checked():
                sys.stdout.write("in the buffer still")
                sys.exit(status)
        except SystemExit as end:
            return end.code, said.getvalue()


@pytest.mark.parametrize(("status", "then"), [(None, 1), (0, 1), (1, 1), (2, 2), (3, 3)])
def test_the_exit_status_tells_that_standard_output_was_lost(
    full: int, status: int | None, then: int
) -> None:
    why = "Error: standard output: cannot be written: No space left on device\n"

    assert ended(full, status) == (then, why)


def test_where_its_reader_has_seen_enough_nothing_is_said(unread: int) -> None:
    assert ended(unread, 0) == (1, "")


def test_where_all_was_printed_the_exit_status_is_the_command_s() -> None:
    assert ended(None, 3) == (3, "")


def test_what_somebody_has_made_non_blocking_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    full = 0
    with suppress(BlockingIOError):
        while True:
            full += os.write(writer, bytes(65536))

    class Stream(GuardedStream):
        def fileno(self) -> int:
            os.read(reader, full)  # it is asked for once somebody is about to wait
            return super().fileno()

    assert Stream(writer).write(b"more") == 4

    assert os.read(reader, full).strip(b"\0") == b"more"
    os.close(reader)
    os.close(writer)
