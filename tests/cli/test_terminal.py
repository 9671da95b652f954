"""What strangers wrote is text on the terminal, whatever is in it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from togai_shipper.cli import terminal
from togai_shipper.cli.app import cli
from togai_shipper.cli.screen import Screen, styled

HOSTILE = st.text() | st.sampled_from(
    ["\x1b]0;pwned\x07", "[link=http://evil.example]here[/link]", "[/accounts/acme]", ":bomb:", "a\r\nforged"]
)


def drawn(*cells: str) -> str:
    """What a terminal without colours is sent for a line, and for a table of these cells."""
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, width=10_000, color_system=None, _environ={})
    screen.say(*cells)
    table = Table(box=None, show_header=False)
    table.add_row(*map(styled, cells))
    table.add_row(*cells)
    screen.print(table)
    return file.getvalue()


def run(arguments: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environ}
    return subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, encoding="utf-8", timeout=60, check=False
    )


def is_harmless(character: str) -> bool:
    return character == "\n" or unicodedata.category(character)[0] != "C"


@given(HOSTILE)
def test_no_control_character_and_no_direction_mark_reaches_the_terminal(text: str) -> None:
    assert all(map(is_harmless, drawn(text, "next")))


@given(HOSTILE)
def test_a_line_stays_one_line(text: str) -> None:
    @click.command()
    def command() -> None:
        terminal.print_line(text)
        terminal.print_line(text, err=True)

    told = CliRunner().invoke(command)

    assert told.stdout.count("\n") == told.stderr.count("\n") == 1
    assert all(map(is_harmless, told.output))


def test_brackets_and_names_between_colons_are_text() -> None:
    assert "[link=http://evil.example]here[/link] :bomb:" in drawn(
        "[link=http://evil.example]here[/link] :bomb:"
    )


def test_json_has_escapes_for_what_is_not_ascii() -> None:
    @click.command()
    def command() -> None:
        terminal.print_json({"a": "\x1b\u202e\x9b"})

    assert CliRunner().invoke(command).stdout == '{"a": "\\u001b\\u202e\\u009b"}\n'


def test_a_question_is_one_line() -> None:
    @click.command()
    def command() -> None:
        terminal.confirm("Delete \x1b]0;pwned\x07\nforged?")

    told = CliRunner().invoke(command, input="y\n")

    assert told.exit_code == 0
    assert "Delete  ]0;pwned  forged?" in told.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "a\x1b]0;pwned\x07.ndjson"],
        ["\x1b]0;pwned\x07"],
        ["spool", "ls", "\x1b]0;pwned\x07"],
        ["spool", "ls", "--older-than", "\x1b]0;pwned\x07", "."],
        ["drain", "--base-url", "http://\x1b]0;pwned\x07/", "."],
        ["--\x1b]0;pwned\x07"],
        ["spool", "\x1b]0;pwned\x07"],
        ["spool", "ls", "--\x1b]0;pwned\x07"],
        ["spool", "ls", ".", "\x1b]0;pwned\x07"],
        ["spool", "show", ".", "\x1b]0;pwned\x07"],
        ["spool", "export", "--output", "none\x1b]0;pwned\x07/x", "."],
        ["send", "--format", "\x1b]0;pwned\x07", "a"],
        ["send", "--map", "\x1b]0;pwned\x07", "a.csv"],
        ["send", "--rejects", ".", "\x1b]0;pwned\x07"],
        ["sandbox", "--host", "\x1b]0;pwned\x07"],
        ["sandbox", "--port", "\x1b]0;pwned\x07"],
        ["sandbox", "--fault", "\x1b]0;pwned\x07"],
        ["doctor", "\x1b]0;pwned\x07"],
        ["demo", "--seed", "\x1b]0;pwned\x07"],
    ],
)
def test_no_error_passes_an_escape_on(arguments: list[str]) -> None:
    told = CliRunner(env={"TOGAI_API_KEY": "k"}).invoke(cli, arguments)

    assert told.exit_code in (1, 2)
    assert "Error: " in told.stderr
    assert "\x1b" not in told.output
    assert all(map(is_harmless, told.output))


def test_an_error_that_names_a_file_stays_one_line(tmp_path: Path) -> None:
    told = CliRunner().invoke(cli, ["spool", "ls", str(tmp_path / "a\nError: forged\u202e\u2028")])

    assert told.exit_code == 1
    assert told.stderr == f"Error: {tmp_path}/a Error: forged  : does not exist\n"


def test_the_size_of_the_terminal_may_be_no_number() -> None:
    for size in ("²", "9" * 5000, "x", "-1", "0"):
        told = CliRunner(env={"COLUMNS": size, "LINES": size, "TOGAI_API_KEY": "k"}).invoke(
            cli, ["doctor", "--no-request", "--base-url", "http://127.0.0.1:1"]
        )
        assert "fail  TCP" in told.stdout


FAILING = """
import threading
from togai_shipper.cli.terminal import prepare_streams, print_line
prepare_streams()
def fail(text):
    raise ValueError(text)
thread = threading.Thread(target=fail, args=["thread \\x1b[2J\\nERROR forged"])
thread.start()
thread.join()
fail("\\u202emain \\x1b[2J\\nERROR forged")
"""


def test_a_traceback_of_a_command_is_printable_and_indented() -> None:
    done = run(["-c", FAILING])

    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines.count("This is a fault of togai-shipper, please report it:") == 2
    assert "  ValueError: thread  [2J" in lines
    assert lines[-2:] == ["  ValueError:  main  [2J", "  ERROR forged"]
    assert all(map(is_harmless, done.stderr))


def test_a_stream_that_takes_ascii_alone_is_given_escapes() -> None:
    done = run(
        ["-m", "togai_shipper", "doctor", "--no-request", "--base-url", "http://127.0.0.1:1"],
        PYTHONIOENCODING="ascii",
        TOGAI_É="1",
    )

    assert "warn  TOGAI_\\xc9 " in done.stdout
    assert done.stderr == ""
