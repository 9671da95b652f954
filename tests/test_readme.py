"""The README is true: its program prints what it shows, and its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from togai_shipper.testing import FakeTogai

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^\$ python first\.py\n(.+)\n", re.MULTILINE)


def test_every_file_that_the_map_of_the_code_and_contributing_name_is_there() -> None:
    package = README.parent / "togai_shipper"
    told = (README.parent / "docs" / "explanation" / "how-it-works.md").read_text()
    told += (README.parent / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"\b((?:_engine|_process|_event|spool)/(?:\w+\.py)?|_\w+\.py)(?!\w)", told))

    assert len(named) > 20
    assert [name for name in sorted(named) if not (package / name).exists()] == []


def test_the_readme_is_a_front_page() -> None:
    assert README.read_text().count("\n") <= 130


def test_what_the_readme_leads_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README.read_text())

    assert [each for each in links if "://" not in each and not (README.parent / each).exists()] == []


def test_the_first_program_prints_what_the_readme_shows(tmp_path: Path) -> None:
    [program] = PROGRAMS
    [shown] = SHOWN.findall(README.read_text())
    script = tmp_path / "first.py"
    script.write_text(program)

    with FakeTogai(api_key="your-secret-key") as togai:
        environment = {**os.environ, "TOGAI_API_KEY": "your-secret-key", "TOGAI_BASE_URL": togai.url}
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", str(script)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, shown, "")
        assert togai.ledger.metered == 1
