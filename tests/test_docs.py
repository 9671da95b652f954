"""The documentation is true: the snippets of a page run, in order, each page in a process of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from snippets import RUNNABLE, SHOWN, Snippet, commands, matches, snippets

from togai_shipper import Shipper
from togai_shipper.contrib.prometheus import ShipperCollector
from togai_shipper.testing import FakeTogai

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path for path in sorted(DOCS.rglob("*.md"))}
SNIPPETS = {name: tuple(snippets(path.read_text("utf-8"))) for name, path in PAGES.items()}
RUN = [name for name, found in SNIPPETS.items() if any(each.is_run for each in found)]
KEY = "your-secret-key"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def delivers(page: tuple[Snippet, ...]) -> bool:
    """Whether its programs are to deliver to the Togai of their environment."""
    if all(each.is_file or not each.is_run for each in page):
        return False
    text = "".join(each.text for each in page if each.is_run)
    is_elsewhere = "export TOGAI_BASE_URL" in text or "fake_togai" in text
    return not is_elsewhere and ("Shipper()" in text or "TogaiMiddleware" in text)


def test_there_are_snippets_in_the_documentation() -> None:
    assert len(RUN) > 15


def test_every_block_is_run_or_only_shown() -> None:
    languages = {each.language for found in SNIPPETS.values() for each in found}

    assert languages <= {*RUNNABLE, *SHOWN}


@pytest.mark.servers
@pytest.mark.parametrize("name", RUN)
def test_a_page_does_what_it_says(name: str, tmp_path: Path) -> None:
    with FakeTogai(api_key=KEY) as togai:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOGAI_")}
        environment |= {"TOGAI_API_KEY": KEY, "TOGAI_BASE_URL": togai.url, "COLUMNS": "100"}
        environment["XDG_STATE_HOME"] = str(tmp_path / "state")
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "snippets.py", PAGES[name], str(free_port())],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert togai.ledger.billed_twice == set()
        assert togai.ledger.metered > 0 or not delivers(SNIPPETS[name])


def test_a_block_is_not_run_where_the_page_says_why() -> None:
    page = "*Not run by the tests: it needs the sea.*\n\n```console\n$ sail\n```\n\n```python\n1\n```\n"

    sail, one = snippets(page)

    assert (sail.is_run, one.is_run) == (False, True)


def test_a_console_is_its_commands_with_what_they_print() -> None:
    assert [*commands("$ echo 1\n1\n$ cat <<END\n> a\n> END\na\n\n$ true\n")] == [
        ("echo 1", "1"),
        ("cat <<END\na\nEND", "a"),
        ("true", ""),
    ]


def test_an_ellipsis_stands_for_anything_and_the_rest_for_itself() -> None:
    assert matches("took 3 ms\nok", "took … ms\nok")
    assert not matches("took 3 ms\nfailed", "took … ms\nok")


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page() -> None:
    [nav] = re.findall(r"^nav:\n(?: .*\n)+", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    entries = [*_pages(yaml.safe_load(nav)["nav"])]
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    written = {name.removeprefix("docs/") for name in ignored if re.fullmatch(r"docs/.+\.md", name)}

    assert sorted(entries) == sorted({*PAGES, *written})


def _pages(entry: object) -> Iterator[str]:
    match entry:
        case str():
            yield entry
        case dict():
            for each in entry.values():
                yield from _pages(each)
        case list():
            for each in entry:
                yield from _pages(each)


def test_the_page_on_metrics_names_every_metric() -> None:
    named = re.findall(
        r"^\| `(togai_shipper_\w+)`", PAGES["operations/metrics.md"].read_text("utf-8"), re.MULTILINE
    )

    with Shipper(enabled=False) as shipper:
        families = list(ShipperCollector(shipper).collect())

    counted = {each.name + "_total" * (each.type == "counter") for each in families}
    assert sorted(named) == sorted(counted)


def test_the_page_on_alerts_names_every_alert() -> None:
    rows = re.findall(r"^\| (`Togai.*?) \|", PAGES["operations/alerts.md"].read_text("utf-8"), re.MULTILINE)
    rules = (DOCS / "alerts" / "togai-shipper.rules.yml").read_text("utf-8")

    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(re.findall(r"- alert: (\w+)", rules))


def test_a_figure_is_drawn_from_the_text_beside_it() -> None:
    figures = sorted(DOCS.glob("figures/*.svg"))

    assert figures
    for figure in figures:
        source = figure.with_suffix(".mmd").read_text("utf-8")
        assert source in figure.read_text("utf-8"), f"{figure.name}: python docs/tools/figures.py"
