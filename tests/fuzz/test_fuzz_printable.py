"""Whatever text a stranger has written: a command, or the log, has it as a line of plain characters."""

from __future__ import annotations

import io
import logging
import time
import unicodedata
from typing import Any

import click
from click.testing import CliRunner
from hypothesis import strategies as st
from rich.table import Table

from togai_shipper._engine.log import Log
from togai_shipper.cli.screen import Screen, styled
from togai_shipper.cli.terminal import print_json, print_line, print_lines

odd = st.sampled_from(
    [
        "\x1b[2J",
        "\x1b]0;x\x07",
        "\x9b31m",
        "\r",
        "\n",
        "\x0b",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\u200f",
        "\ufeff",
        "\ud800",
        "\U000e0041",
        "[red]",
        "[/]",
        "[link=x]",
        ":bomb:",
        "{0}",
        "%s",
        "\t",
        "\x08",
    ]
)
texts = st.text(max_size=30) | st.lists(odd | st.text(max_size=4), max_size=6).map("".join)


def is_harmful(character: str) -> bool:
    """A control, an escape, a direction mark, a half of a character, or an end of a line."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_a_line_of_any_text_is_one_line_of_plain_characters(fuzz: Any) -> None:
    @fuzz(texts, few=100, many=20_000)
    def holds(text: str) -> None:
        @click.command()
        def command() -> None:
            print_line(text)
            print_lines([text, text], err=True)

        told = CliRunner().invoke(command, catch_exceptions=False)

        assert (told.stdout.count("\n"), told.stderr.count("\n")) == (1, 2)
        assert not any(map(is_harmful, told.output.replace("\n", "")))


def test_what_a_screen_draws_of_any_text_is_plain_characters(fuzz: Any) -> None:
    @fuzz(st.lists(texts, min_size=1, max_size=3), few=60, many=5_000)
    def holds(cells: list[str]) -> None:
        file = io.StringIO()
        screen = Screen(file=file, force_terminal=True, width=10_000, color_system=None, _environ={})
        table = Table(box=None, show_header=False)
        table.add_row(*map(styled, cells))
        screen.print(table)
        screen.say(*cells)

        drawn = file.getvalue()
        assert drawn.count("\n") == 2
        assert not any(map(is_harmful, drawn.replace("\n", "")))


def test_json_of_any_text_is_ascii_and_has_nobodys_controls(fuzz: Any) -> None:
    @fuzz(st.dictionaries(texts, texts, max_size=3), few=60, many=10_000)
    def holds(value: dict[str, str]) -> None:
        @click.command()
        def command() -> None:
            print_json(value)

        told = CliRunner().invoke(command, catch_exceptions=False).stdout

        assert told.isascii()
        assert told.endswith("\n")
        assert not any(map(is_harmful, told[:-1]))


def test_a_log_line_of_any_text_is_one_line_of_plain_characters(fuzz: Any) -> None:
    @fuzz(texts, few=100, many=20_000)
    def holds(text: str) -> None:
        said: list[str] = []

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                said.append(record.getMessage())

        logger, handler = logging.getLogger("togai_shipper"), Handler()
        logger.addHandler(handler)
        try:
            Log(time.monotonic).write(logging.WARNING, "%s: said %s", text, text)
        finally:
            logger.removeHandler(handler)
        assert len(said) == 1
        assert not any(map(is_harmful, said[0]))
