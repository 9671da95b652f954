"""Docstrings as Markdown: what stands below ``::``, after ``>>>`` or in a table of equal signs stays so."""

from __future__ import annotations

import re
from typing import Any

import griffe

_BLOCK = re.compile(r"^(.*)::\n\n((?:(?:    .*)?\n)+)", re.MULTILINE)
_EXAMPLE = re.compile(r"^(>>> .*\n(?:.+\n)*)", re.MULTILINE)
_TABLE = re.compile(r"^(=+ +=.*\n(?:.+\n)+=+ +=.*)$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Turns each docstring into what Markdown knows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that is documented."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
        for parameter in obj.parameters if isinstance(obj, griffe.Function) else ():
            if str(parameter.default) == "UNSET":  # its text says what it is
                parameter.default = "..."


def as_markdown(text: str) -> str:
    """``text`` with fences around what is to stay as it is."""
    fenced = _BLOCK.sub(_fenced, text + "\n")
    parts = re.split(r"(?ms)(^```.*?^```$)", fenced)  # the odd ones are fenced already
    parts[::2] = [_EXAMPLE.sub(r"```pycon\n\1```\n", part) for part in parts[::2]]
    text = "".join(parts)
    return _TABLE.sub(lambda found: "```text\n" + found[1].replace("``", "  ") + "\n```", text).rstrip()


def _fenced(found: re.Match[str]) -> str:
    said, block = found.groups()
    lines = "\n".join(line.removeprefix("    ") for line in block.rstrip().split("\n"))
    language = "pycon" if ">>> " in block else "python" if re.search(r"\b(import|=) ", block) else "text"
    return f"{said + ':' if said else ''}\n\n```{language}\n{lines}\n```\n\n"
