"""Writes the pages that say what stands elsewhere, so that it is written down once.

``python docs/tools/pages.py`` makes, in ``docs/``, the pages of SECURITY.md, CHANGELOG.md and
CONTRIBUTING.md, and the one of what each command says with ``--help``. Git ignores them. Run it before
``zensical build`` or ``zensical serve``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import click

from togai_shipper.cli.app import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: The files of the repository that are pages, and where.
COPIED = {
    "SECURITY.md": "explanation/security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
COMMANDS = """\
# Command line

The extra `cli` brings the command `togai-shipper`; `python -m togai_shipper` is the same. Each command says
this of itself with `--help`.

Your shell can complete commands, options and file names:

```text
eval "$(_TOGAI_SHIPPER_COMPLETE=bash_source togai-shipper)"     # in ~/.bashrc
eval "$(_TOGAI_SHIPPER_COMPLETE=zsh_source togai-shipper)"      # in ~/.zshrc
_TOGAI_SHIPPER_COMPLETE=fish_source togai-shipper | source      # in ~/.config/fish/config.fish
```

"""


def main() -> None:
    """Write them all."""
    for source, page in COPIED.items():
        (DOCS / page).write_text(copied((ROOT / source).read_text("utf-8"), page), "utf-8")
    (DOCS / "reference" / "cli.md").write_text(COMMANDS + "\n".join(commands()), "utf-8")


def copied(text: str, page: str) -> str:
    """Return a text of the repository's root with its links as they lead from a page."""

    def link(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        to = COPIED.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(to, posixpath.dirname(page) or '.')}{anchor})"

    return re.sub(r"\]\(((?:docs/)?[\w./-]+)(#[\w-]+)?\)", link, text)


def commands() -> Iterator[str]:
    """Return every command, with its ``--help``."""
    with click.Context(cli, info_name="togai-shipper", terminal_width=80, **cli.context_settings) as context:
        yield from _told(context)


def _told(context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(context.command, click.Group):
        for name in sorted(context.command.list_commands(context)):
            command = context.command.get_command(context, name)
            assert command  # noqa: S101  it is in the list
            yield from _told(click.Context(command, info_name=name, parent=context, terminal_width=80))


if __name__ == "__main__":
    main()
