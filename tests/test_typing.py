"""What type checkers say to a user: nothing of typing/use.py, something at each marked line of misuse.py."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from togai_shipper import Shipper, _default

ROOT = Path(__file__).parent.parent
USERS = Path("tests", "typing")
MISUSE = (ROOT / USERS / "misuse.py").read_text().splitlines()

Complaint = tuple[str, int]


def run(module: str, *arguments: str) -> str:
    pytest.importorskip(module)  # the extra "test" alone brings no type checker
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},  # that there is a newer one
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not done.stderr
    return done.stdout


def by_mypy() -> set[Complaint]:
    settings = ("--strict", "--python-version=3.10", "--config-file=", "--cache-dir=.mypy_cache/users")
    output = run("mypy", *settings, str(USERS / "use.py"), str(USERS / "misuse.py"))
    assert "checked 2 source files" in output
    return complaints(r"^tests/typing/(\w+\.py):(\d+): error", output)


def by_pyright() -> set[Complaint]:
    output = run("pyright", "--project", str(USERS), "--pythonpath", sys.executable)  # not that of the path
    assert re.search(r"^\d+ errors, 0 warnings", output, re.MULTILINE)
    return complaints(r"^ .*/tests/typing/(\w+\.py):(\d+):\d+ - ", output)


def complaints(pattern: str, output: str) -> set[Complaint]:
    return {(file, int(line)) for file, line in re.findall(pattern, output, re.MULTILINE)}


@pytest.mark.parametrize("check", [by_mypy, by_pyright])
def test_a_type_checker_tells_misuse_from_use(check: Callable[[], set[Complaint]]) -> None:
    marked = {("misuse.py", number) for number, line in enumerate(MISUSE, 1) if line.endswith("# E")}

    assert len(marked) > 50
    assert check() == marked


def test_what_the_type_checkers_find_right_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / USERS / "use.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_an_editor_shows_the_true_defaults(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from togai_shipper import Shipper\nreveal_type(Shipper.__init__)\n")
    shown = run("pyright", "--pythonpath", sys.executable, str(program))

    for parameter in (
        'base_url: str = "https://api.togai.com"',
        "batch_size: int = 500",
        "strict: bool = False",
    ):
        assert f" {parameter}, " in shown
    assert "Unset" not in shown


def test_the_function_of_the_module_takes_what_the_method_takes() -> None:
    assert inspect.signature(_default.track) == inspect.signature(Shipper(enabled=False).track)
