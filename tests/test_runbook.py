"""The runbook has a section for every line of the log from WARNING on, ``last_error`` and alert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from runbook_messages import Message, UnresolvedError, logged, sources, told

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "operations/runbook.md").read_text("utf-8")
(_GROUP,) = yaml.safe_load((DOCS / "alerts/togai-shipper.rules.yml").read_text("utf-8"))["groups"]
RULES: list[dict[str, Any]] = _GROUP["rules"]
HEADING = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)
PRINTED = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PARTS = re.compile(r"^```text$|^\*\*(?:Type|It means|Do)\*\*", re.MULTILINE)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, str]:
    """What stands under each heading of the third level, by its anchor."""
    found, at = {}, ""
    for part in re.split(r"^(?=##)", PAGE, flags=re.MULTILINE):
        level, heading = HEADING.match(part).groups() if HEADING.match(part) else ("", "")  # type: ignore[union-attr]
        at = anchor(heading) if level == "###" else ""
        if at:
            found[at] = part
    return found


SECTIONS = sections()
SAID = " ".join(" ".join(PRINTED.findall(PAGE)).split())


def module(line: str, *, before: str = "") -> dict[str, str]:
    """A module of the library with one more line that logs."""
    return {"one.py": f"class One:\n    def go(self, given):\n        {before}\n        {line}\n"}


MESSAGES = sorted({each.longest: each for each in (*logged(sources()), *told(sources()))}.values())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: f"{each.at} {each.longest}")
def test_a_section_shows_what_is_printed(message: Message) -> None:
    assert message.longest in SAID, f"{message.at}: no section of docs/operations/runbook.md has this"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_section_of_an_alert_names_it(rule: dict[str, Any]) -> None:
    _, _, where = rule["annotations"]["runbook_url"].partition("#")

    assert rule["alert"] in (SECTIONS[where] if where else PAGE.partition("\n## What you see\n")[0])


@pytest.mark.parametrize("where", SECTIONS)
def test_a_section_says_what_is_printed_what_to_type_what_it_means_and_what_to_do(where: str) -> None:
    assert PARTS.findall(SECTIONS[where]) == ["```text", "**Type**", "**It means**", "**Do**"]


def test_the_table_leads_to_every_section_and_nowhere_else() -> None:
    table = PAGE.partition("\n## What you see\n")[2].partition("\n## ")[0]

    assert re.findall(r"\]\(#([\w-]+)\) \|$", table, re.MULTILINE) == [*SECTIONS]


def test_links_within_the_page_lead_somewhere() -> None:
    anchors = {anchor(heading) for _, heading in HEADING.findall(PAGE)}

    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= anchors


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('self._log.complain("kind", "one %s is amiss", given)', {"is amiss"}),
        ('self._news.loss(f"{given} of the two are amiss")', {"of the two are amiss"}),
        (
            'self._log.recovered("kind", "all is well" if given else "nearly all")',
            {"all is well", "nearly all"},
        ),
        ('self._log.write(logging.INFO, "of no concern")', set()),
    ],
)
def test_a_line_of_the_log_is_found(line: str, said: set[str]) -> None:
    assert {message.longest for message in logged(module(line))} == said


def test_a_name_is_what_was_assigned_to_it_last_and_what_was_added() -> None:
    before = 'text = "not this"; text = "this one"; text += f" and {given} of another"'

    found = {
        message.longest for message in logged(module("self._log.write(logging.ERROR, text)", before=before))
    }

    assert found == {"this one", "of another"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('self._log.complain("kind", given)', "one.py:4: who gives given?"),
        ('self._log.complain("kind", given.text())', "one.py:4: what does given.text() say?"),
        ('self._log.complain("kind", "%s", given)', "one.py:4: what does '%s' say?"),
        ('self._logger.warning("kind")', "one.py:4: does self._logger.warning() log?"),
        ("given(self._log.complain)", "one.py:4: who calls self._log.complain, and how?"),
    ],
)
def test_a_line_that_cannot_be_found_is_named_by_file_and_line(line: str, why: str) -> None:
    with pytest.raises(UnresolvedError, match=re.escape(why)):
        list(logged(module(line)))
