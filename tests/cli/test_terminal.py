"""What strangers wrote is text on the terminal, whatever is in it."""

from __future__ import annotations

import io
import unicodedata

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from togai_shipper.cli import terminal
from togai_shipper.cli.app import cli
from togai_shipper.cli.terminal import Screen, styled

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
    ],
)
def test_no_error_passes_an_escape_on(arguments: list[str]) -> None:
    told = CliRunner(env={"TOGAI_API_KEY": "k"}).invoke(cli, arguments)

    assert told.exit_code in (1, 2)
    assert "Error: " in told.stderr
    assert "\x1b" not in told.output
