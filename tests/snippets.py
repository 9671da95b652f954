"""The snippets of a page of the documentation: found, and run in order.

As a program it runs those of one page in the current directory: ``snippets.py PAGE.md PORT``. A block with a
``title`` is a file, which is written. Python, ``>>>`` included, runs in this very process, one namespace for
the page. ``console`` is commands, each with what it prints: ``…`` in it stands for anything. A console whose
title has the word "terminal" goes on beside the page; a later one of that title which begins with ``^C``
interrupts it. Whatever the page says of port 8080 is told to ``PORT``.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import attrs

_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"\*Not run by the tests: [^*]+\*$")
RUNNABLE = ("python", "pycon", "console")
SHOWN = ("text", "sh", "json", "yaml", "ini", "csv", "dockerfile", "sql")
TIMEOUT = 60  # seconds; bounds a failure alone


@attrs.frozen
class Snippet:
    """One fenced block."""

    language: str
    title: str
    text: str
    line: int
    is_run: bool

    @property
    def is_file(self) -> bool:
        """Whether it is to be written, rather than run."""
        return bool(self.title) and self.language != "console"


def snippets(page: str) -> Iterator[Snippet]:
    """Every block of a page, in order."""
    for found in _FENCE.finditer(page):
        indent, info, text = found.groups()
        language, _, rest = info.strip().partition(" ")
        title = re.search(r'title="([^"]*)"', rest)
        text = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        before = page[: found.start()].rstrip()
        yield Snippet(
            language,
            title[1] if title else "",
            text,
            page.count("\n", 0, found.start(3)),
            is_run=not _NOT_RUN.search(before),
        )


def run(path: Path, port: str) -> None:
    """Run every snippet of a page that is to be run."""
    page = path.read_text("utf-8").replace("8080", port)
    names: dict[str, Any] = {"__name__": "__main__"}
    terminals: dict[str, Terminal] = {}
    sys.path.insert(0, "")
    try:
        for snippet in snippets(page):
            if not snippet.is_run:
                continue
            if snippet.is_file:
                Path(snippet.title).write_text(snippet.text.rstrip("\n") + "\n", "utf-8")
            elif snippet.language == "python":
                program = compile("\n" * snippet.line + snippet.text, str(path), "exec")
                exec(program, names)  # noqa: S102  that is what this is for
            elif snippet.language == "pycon":
                _doctest(snippet, path, names)
            elif "terminal" in snippet.title:
                _in_terminal(snippet, terminals)
            elif snippet.language == "console":
                for command, wanted in commands(snippet.text):
                    _command(command, wanted)
    finally:
        for terminal in terminals.values():
            terminal.process.kill()
            terminal.process.wait()
            terminal.output.close()


def _doctest(snippet: Snippet, path: Path, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(snippet.text, names, path.name, str(path), snippet.line)
    test.globs = names  # not a copy: the page goes on with what it has
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    if runner.run(test, clear_globs=False).failed:
        raise SystemExit(1)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console, and what it is to print; nothing said: whatever it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        command = [lines.pop(0)]
        while lines and lines[0].startswith("> "):
            command.append(lines.pop(0).removeprefix("> "))
        yield "\n".join(command), "\n".join(lines).strip()


def _command(command: str, wanted: str) -> None:
    if command.startswith("export "):
        os.environ.update(each.split("=", 1) for each in shlex.split(command)[1:])
        return
    status = re.search(r"# exit status (\d+)$", command)
    done = subprocess.run(
        ["bash", "-c", command],  # noqa: S607  the one on the path
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    is_so = not wanted or matches(done.stdout.strip(), wanted)
    ended = done.returncode if done.returncode >= 0 else 128 - done.returncode  # by a signal
    if ended != (int(status[1]) if status else 0) or not is_so:
        raise SystemExit(f"$ {command}\nexit status {ended}, printed:\n{done.stdout}\nnot:\n{wanted}")


def matches(printed: str, wanted: str) -> bool:
    """Whether it is that, where ``…`` stands for anything."""
    plain = "\n".join(line.rstrip() for line in printed.split("\n"))
    return re.fullmatch(".*".join(map(re.escape, wanted.split("…"))), plain, re.DOTALL) is not None


@attrs.frozen
class Terminal:
    """A command that goes on beside the page."""

    process: subprocess.Popen[str]
    output: IO[str]


def _in_terminal(snippet: Snippet, terminals: dict[str, Terminal]) -> None:
    if snippet.text.startswith("^C\n"):
        terminal = terminals[snippet.title]
        terminal.process.send_signal(signal.SIGINT)
        rest = terminal.output.read().strip()
        wanted = snippet.text.removeprefix("^C\n").strip()
        if not matches(rest, wanted):
            raise SystemExit(f"{snippet.title}: after Ctrl-C printed:\n{rest}\nnot:\n{wanted}")
        return
    [(command, wanted)] = commands(snippet.text)
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],  # noqa: S607  likewise
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    terminals[snippet.title] = Terminal(process, process.stdout)
    printed = ""
    while not matches(printed.strip(), wanted):
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{snippet.title}: {command} printed:\n{printed}\nnot:\n{wanted}")
        printed += re.sub(r"\x1b\[[0-9;]*m", "", line)  # Flask's server has colours, whoever reads


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
