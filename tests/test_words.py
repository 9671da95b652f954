"""The project is written in plain English: words that a reader has to look up, or read twice, are not used.

Looked at are the README, CONTRIBUTING, SECURITY, the pages of the documentation, and every text of the
package: docstrings, messages, and what commands say with ``--help``. The changelog is history.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: What is not said, and what is said in its place. A space may be the end of a line.
INSTEAD = {
    "albeit": "although",
    "amongst": "among",
    "attend(?:s|ed)?": "start, wake, or serve",
    "by the way": "as a side effect",
    "dress": "the name of the thing",
    "easily": "nothing, or a figure",
    "effortless(?:ly)?": "nothing, or a figure",
    "errands?": "request, or job",
    "ere": "before",
    "for naught": "without effect",
    "for want of": "because there is no",
    "forthwith": "at once",
    "glances?": "snapshot",
    "had better": "should",
    "hastens?": "shorten",
    "heeds?": "follow, or read",
    "hence": "so",
    "henceforth": "from then on",
    "herein": "here",
    "hereby": "by this",
    "hitherto": "until now",
    "hurry": "begin at once",
    "in earnest": "in production",
    "in vain": "without success",
    "in its stead": "in its place",
    "is never the code's affair": "does not affect the code",
    "leverages?": "use",
    "lest": "so that not",
    "logbook": "log",
    "naught": "nothing",
    "nobody's": "belongs to no one, or is not needed",
    "obviously": "nothing",
    "perchance": "perhaps",
    "seamless(?:ly)?": "nothing, or how",
    "shall": "will, or must",
    "simply": "nothing",
    "thence": "from there",
    "thereby": "by that",
    "therein": "in it",
    "thereof": "of it",
    "thus": "so",
    "to no avail": "without success",
    "unto": "to",
    "upon": "on",
    "utili[sz]es?": "use",
    "weather": "faults",
    "well again": "works again",
    "whence": "from where",
    "whereby": "by which",
    "wherein": "in which",
    "whilst": "while",
    "would rather": "want",
}
_WORDS = re.compile(rf"(?<![\w`/-])(?:{'|'.join(INSTEAD)})(?![\w`/-])".replace(" ", r"\s+"), re.IGNORECASE)


def texts() -> Iterator[tuple[str, str]]:
    """What people read, and where it stands."""
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        yield name, (ROOT / name).read_text("utf-8")
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page.name != "changelog.md":
            yield str(page.relative_to(ROOT)), page.read_text("utf-8")
    for module in sorted((ROOT / "togai_shipper").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield f"{module.relative_to(ROOT)}:{node.lineno}", node.value


def used(text: str) -> list[str]:
    """The words of the list that a text has."""
    return [" ".join(found[0].split()) for found in _WORDS.finditer(text)]


def test_words_that_have_a_plainer_one_are_not_used() -> None:
    assert [f"{where}: {word}" for where, text in texts() for word in used(text)] == []


def test_a_word_is_found_over_the_end_of_a_line_and_in_any_case_but_not_within_another_or_as_code() -> None:
    assert used("Hence it waits for\nwant of a thread") == ["Hence", "for want of"]
    assert used("whether; `hasten`; addressed; where; /weather") == []
