"""The README is true: every program in it runs, in a process of its own, and delivers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper.testing import FakeTogai

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
TRACKED = re.compile(r"\.(?:track|submit|metered|measure)\(")

# The middleware makes an event of each request.
METERED = re.compile(r"^Togai\(|\.meter\(", re.MULTILINE)

# What a program needs beside itself to do its work once: a request, a task, an invocation.
USES = {
    "metered_flask.py": """
@app.before_request
def sign_in():
    g.account = "acme"
app.test_client().get("/").data
""",
    "metered_tasks.py": 'render.apply(args=["acme"])',
    "test_shop.py": """
from togai_shipper.testing import RecordedEvents
with RecordedEvents() as recorded:
    test_serving_is_metered(recorded)
serve("acme")
""",
}


def test_every_file_that_readme_and_contributing_name_is_there() -> None:
    package = README.parent / "togai_shipper"
    told = README.read_text() + (README.parent / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"\b((?:_engine|_process|_event|spool)/(?:\w+\.py)?|_\w+\.py)(?!\w)", told))

    assert len(named) > 20
    assert [name for name in sorted(named) if not (package / name).exists()] == []


def test_there_are_programs_in_the_readme() -> None:
    assert len(PROGRAMS) > 10


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_readme_runs_and_delivers_what_it_tracks(number: int, tmp_path: Path) -> None:
    program = PROGRAMS[number]
    use = next((use for word, use in USES.items() if word in program), "")
    script = tmp_path / "program.py"
    script.write_text(f"{program}\n{use}\n")

    with FakeTogai(api_key="your-secret-key") as togai:
        environment = {**os.environ, "TOGAI_API_KEY": "your-secret-key", "TOGAI_BASE_URL": togai.url}
        environment["TOGAI_FLUSH_INTERVAL"] = "0.1"  # one of them waits for a receipt
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", str(script)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        tracked = len(TRACKED.findall(program)) + len(METERED.findall(program))
        tracked *= ".testing" not in program
        assert (done.returncode, done.stderr) == (0, "")
        assert togai.ledger.metered == tracked
