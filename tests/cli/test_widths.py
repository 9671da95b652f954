"""How wide a command prints: what is drawn fits, and no line of text is ever broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from rich.table import Table
from spools import WELL, Spool

from togai_shipper.cli.app import cli
from togai_shipper.cli.doctor.world import World
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.terminal import print_line
from togai_shipper.cli.top.command import Pause

WHY = "every attempt of the last minute failed: no reply: the name togai.example cannot be resolved here"
LINE = f"{WHY}; and all that is said in one sentence stands in one line, however long that is"
COMMANDS: dict[str, tuple[list[str], Any]] = {
    "doctor": (["doctor", "--no-request", "--spool", "DIR"], World(pause=lambda _: None)),
    "spool ls": (["spool", "ls", "DIR"], None),
    "top": (["top", "--once", "DIR"], Pause(lambda: 0.0, lambda stop, seconds: False)),
}


def printed(name: str, directory: Path, columns: int | None) -> list[str]:
    words, obj = COMMANDS[name]
    words = [str(directory) if word == "DIR" else word for word in words]
    env = {"COLUMNS": columns and str(columns), "TOGAI_BASE_URL": "http://127.0.0.1:1", "TOGAI_API_KEY": "k"}
    return CliRunner(env=env).invoke(cli, words, obj=obj).stdout.splitlines()


@pytest.mark.parametrize("columns", [40, 80, 120, None])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_sentence_and_a_command_stand_in_one_line_each_at_every_width(
    spool: Spool, name: str, columns: int | None
) -> None:
    alive = spool.file(owned=True, report=attrs.evolve(WELL, is_healthy=False, why=WHY, pending=5))

    lines = printed(name, spool.path, columns)
    alive.release()

    assert any(f": {WHY}; 5 events wait" in line for line in lines)
    assert any(line.endswith("togai-shipper doctor --check-key") for line in lines)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_is_drawn_fits_where_columns_says_how_wide_it_is_and_80_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    def drawn() -> list[str]:
        table = Table("a", "b")
        table.add_row(LINE, LINE)
        Screen().draw(table)
        return capsys.readouterr().out.splitlines()

    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, drawn())) == columns
    Screen().say(LINE)
    Screen().say_lines([[(LINE, "")]])
    print_line(LINE)
    assert capsys.readouterr().out == f"{LINE}\n" * 3
    monkeypatch.delenv("COLUMNS")
    assert max(map(len, drawn())) == 80


def test_json_is_the_same_at_every_width(spool: Spool) -> None:
    spool.file("a")
    runner = CliRunner(env={"COLUMNS": "20"})

    found = json.loads(runner.invoke(cli, ["spool", "ls", "--json", str(spool.path)]).stdout)

    assert found["totals"]["pending"] == 1
