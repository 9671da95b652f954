"""Options are named alike everywhere: one name, one metavar and one help for one meaning.

A new option has its line in ``TABLE``. Before that, look whether there is one already for what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from togai_shipper.cli.app import cli

FLAG = ""  # in place of a metavar
REPEATED = r"\(may be repeated\)\.$"
# Each option: its metavar, and what its help has to match, whichever command has it.
TABLE: dict[str, tuple[str, str]] = {
    "--account": ("ID", ""),
    "--all": (FLAG, ""),
    "--allow-remote": (FLAG, ""),
    "--api-key": ("KEY", ""),
    "--base-url": ("URL", r"^Togai, or a stand-in for it\.  \[default: TOGAI_BASE_URL, or Togai\]$"),
    "--catalog": ("FILE", ""),
    "--check-key": (FLAG, ""),
    "--complete": (FLAG, ""),
    "--day": ("D", ""),
    "--day-rule": ("", ""),
    "--dead": (FLAG, ""),
    "--dedupe": (FLAG, ""),
    "--delimiter": ("CHARACTER", ""),
    "--dry-run": (FLAG, ""),
    "--events": ("N", ""),
    "--expect": ("FILE", ""),
    "--fail": ("SHARE", ""),
    "--fail-lookups": ("SHARE", ""),
    "--fault": ("", ""),
    "--faults": (FLAG, ""),
    "--follow": (FLAG, ""),
    "--for": ("SECONDS", ""),
    "--format": ("", ""),
    "--free": ("SCHEMA", ""),
    "--group": ("NAME", REPEATED),
    "--host": ("ADDRESS", ""),
    "--id": ("ID", REPEATED),
    "--ids": ("FILE", ""),
    "--ignore-unknown": (FLAG, ""),
    "--job": ("NAME", ""),
    "--jobs": (FLAG, ""),
    "--json": (FLAG, r"^Print JSON(: [^.]*)?\.$"),
    "--keep-going": (FLAG, ""),
    "--latency": ("SECONDS", ""),
    "--limit": ("N", "^Print N [a-z ]* at most"),
    "--map": ("FIELD=SOURCE", ""),
    "--month": ("M", ""),
    "--name": (
        "NAME",
        r"^The relay's name, if a relay's URL is given\.  \[default: TOGAI_RELAY_NAME, or togai\]$",
    ),
    "--new-key": (FLAG, ""),
    "--newer-than": ("AGE", "for less time than this"),
    "--no-request": (FLAG, ""),
    "--no-spool": (FLAG, ""),
    "--null": ("TEXT", ""),
    "--older-than": ("AGE", "for at least this time"),
    "--on-error": ("PKG:FUNCTION", ""),
    "--once": (FLAG, ""),
    "--others": ("FILE", ""),
    "--output": ("FILE", ""),
    "--past-dedupe-window": (FLAG, ""),
    "--pending": (FLAG, ""),
    "--port": ("N", ""),
    "--probe-lookups": (FLAG, ""),
    "--quiet": (FLAG, ""),
    "--quota": (FLAG, ""),
    "--rate": ("N", "^Events a second"),
    "--rate-limit": ("N", "^Requests a second, at most"),
    "--reason": ("REASON", "(?i)this reason"),
    "--rejects": ("FILE", ""),
    "--relay": ("URL", ""),
    "--same-events": (FLAG, ""),
    "--schema": ("NAME", ""),
    "--seed": ("N", "^With the same seed, "),
    "--sole-sender": (FLAG, ""),
    "--spool": ("DIR", ""),
    "--switch": ("NAME=VALUE", ""),
    "--unprocessed": (FLAG, ""),
    "--verbose": (FLAG, ""),
    "--verify": ("N", ""),
    "--yes": (FLAG, r"^Do not ask\.$"),
}
# One that says more than the others: the attributes of a schema that the stand-in has.
MORE = {("sandbox", "--schema"): "NAME[:ATTRIBUTE,…]"}
ARGUMENTS = {
    "directory": ("DIR", ["TOGAI_SPOOL", "TOGAI_RELAY"]),
    "event_id": ("ID", None),
    "event_ids": ("[ID]...", None),
    "files": ("FILE...", None),
    "places": ("[DIR|URL|JOURNAL]...", None),
}


def commands(
    command: click.Command = cli, ctx: click.Context | None = None, name: str = ""
) -> Iterator[tuple[str, click.Command]]:
    """Walk the tree of all commands."""
    here = click.Context(command, ctx, info_name=name)
    if name:
        yield name, command
    if isinstance(command, click.Group):
        for each in command.list_commands(here):
            found = command.get_command(here, each)
            assert found is not None
            yield from commands(found, here, f"{name} {each}".strip())


PARAMETERS = [(name, each) for name, command in commands() for each in command.params]
OPTIONS = [(name, each) for name, each in PARAMETERS if isinstance(each, click.Option)]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{n} {o.opts[0]}" for n, o in OPTIONS])
def test_an_option_is_named_and_explained_as_everywhere(name: str, option: click.Option) -> None:
    long = option.opts[0]
    metavar, phrase = TABLE[long]

    assert len(option.opts) == 1, "no short forms: what is typed at night is read by others later"
    assert (option.metavar or "") == MORE.get((name, long), metavar)
    assert re.search(phrase, option.help or ""), option.help
    assert (option.help or "").strip().endswith((".", "]", "?", ")"))


@pytest.mark.parametrize(("name", "argument"), [each for each in PARAMETERS if each not in OPTIONS])
def test_an_argument_is_named_as_everywhere(name: str, argument: click.Parameter) -> None:
    assert argument.name is not None
    shown = argument.metavar or argument.make_metavar(click.Context(click.Command(name)))

    assert (shown, argument.envvar) == ARGUMENTS[argument.name]


def test_every_line_of_the_table_is_of_an_option() -> None:
    assert {option.opts[0] for _, option in OPTIONS} == set(TABLE)


def test_what_switches_off_is_named_no() -> None:
    for _, option in OPTIONS:
        assert option.secondary_opts in ([], [f"--no-{option.opts[0].removeprefix('--')}"])
