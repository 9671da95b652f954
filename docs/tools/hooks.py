"""What a page takes from elsewhere while the site is built, so that it is written down once.

A line ``{{ README: Options }}`` becomes that section of the README, ``{{ SECURITY }}`` all of SECURITY.md,
and ``{{ commands }}`` what the command line says of itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.pages import Page

from togai_shipper.cli.app import cli

README = Path(__file__).parents[2] / "README.md"
SECURITY = README.with_name("SECURITY.md")

#: Where the README's links to its own sections lead here.
PAGES = {
    "#how-many-workers-one-account-carries": "explanation/sizing.md",
    "#many-hosts-one-account": "operations/relay.md",
    "#what-it-costs": "explanation/sizing.md",
    "#durability": "explanation/durability.md",
    "#working-with-the-spool": "operations/dead-letters.md",
}


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill a page in."""
    here = posixpath.dirname(page.file.src_uri)
    markdown = re.sub(
        r"^\{\{ README: (.+) \}\}$", lambda found: section(found[1], here), markdown, flags=re.MULTILINE
    )
    markdown = re.sub(r"^\{\{ SECURITY \}\}$", lambda _: policy(here), markdown, flags=re.MULTILINE)
    return re.sub(r"^\{\{ commands \}\}$", lambda _: "\n".join(commands()), markdown, flags=re.MULTILINE)


def section(title: str, here: str) -> str:
    """A section of the README, without its heading, as it stands in a page of the folder ``here``."""
    # A line of code may begin with a single #.
    found = re.search(rf"(?ms)^##+ {re.escape(title)}\n+(.+?)(?=^##+ |\Z)", README.read_text("utf-8"))
    if not found:
        raise ValueError(f"README.md has no section {title!r}, or it is empty")

    def link(anchor: re.Match[str]) -> str:
        return f"]({posixpath.relpath(PAGES[anchor[1]], here or '.')})"

    return re.sub(r"\]\((#[^)]+)\)", link, found[1].strip())


def policy(here: str) -> str:
    """SECURITY.md without its heading, as it stands in a page of the folder ``here``."""
    _, _, text = SECURITY.read_text("utf-8").partition("\n")
    return text.strip().replace("](docs/", f"]({posixpath.relpath('.', here or '.')}/")


def commands() -> Iterator[str]:
    """Every command, with its ``--help``."""
    with click.Context(cli, info_name="togai-shipper", terminal_width=80, **cli.context_settings) as context:
        yield from _told(context)


def _told(context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(context.command, click.Group):
        for name, command in sorted(context.command.commands.items()):
            yield from _told(click.Context(command, info_name=name, parent=context, terminal_width=80))
