"""The page of twelve faults: what is printed beside a fault is what the page shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations/faults.md").read_text("utf-8")

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("faults", DOCS / "tools/faults.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(section: str) -> str:
    """What it says, whatever the figures, the columns, the file system and the versions."""
    text = section.partition("\nAlerts:\n")[0]
    text = re.sub(r"^ok +packages .*$|(?<=can be written to) .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<=its process is gone).*", "", text)  # cut, by the length of the machine's name
    text = re.sub(r"\d+(\.\d+)*( (s|min|[kMG]?B)\b)?", "#", text)
    return " ".join(re.sub(r"\bevents? waits?\b", "events wait", text).split())


@pytest.mark.parametrize("name", ["key-revoked", "dead-process"])
def test_a_fault_looks_as_the_page_shows_it(tool: Any, name: str) -> None:
    sections = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)}

    printed = tool.seen(name, None, 0)

    assert words(printed.removeprefix("## ")) == words(sections[tool.FAULTS[name].title])
