"""The page on frameworks names the versions that are run by night, and every program that it has is run."""

from __future__ import annotations

import re

from running import HERE, MOD_WSGI, PAGE, pinned
from snippets import snippets

TEXT = PAGE.read_text("utf-8")
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| .*\d+\.\d+\.\d+", line)]


def test_each_version_in_the_table_is_the_one_that_is_run() -> None:
    named = {
        (name, version) for row in ROWS for name, version in re.findall(r"([a-z_-]+) (\d+\.\d+\.\d+)", row)
    }

    assert named == {*pinned().items(), ("mod_wsgi", MOD_WSGI)}


def test_each_row_says_how_much_it_takes() -> None:
    words = re.compile(r"as it is|two lines|recipe|`track\(\)`|^$")

    assert len(ROWS) == 18
    for row in ROWS:
        *_, event, stop, _ = (cell.strip() for cell in row.split("|"))
        assert words.match(event), row
        assert re.match("as it is|two lines", stop), row


def test_each_program_of_the_page_is_run() -> None:
    tests = "".join(path.read_text("utf-8") for path in HERE.glob("test_*.py"))

    for snippet in snippets(TEXT):
        assert snippet.title.removesuffix(".py") in tests, snippet.title
