"""What `.ci/release` refuses before it does anything, and that it leaves no tag then."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes
SCRIPT = Path(__file__).parent.parent / ".ci" / "release"
COMMITTER = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.invalid")
CHANGELOG = """# Changelog

## [Unreleased]

## [9.8.7] - 2026-01-31

- It works.

## [9.8.6] - 2026-01-01
"""
READY = {  # all but a Source, which is asked for last
    "togai_shipper/_version.py": '__version__ = "9.8.7"\n',
    "CHANGELOG.md": CHANGELOG,
    "pyproject.toml": '[project.urls]\nTogai = "https://www.togai.com/"\n',
}

if shutil.which("git") is None:
    pytest.skip("git is not here", allow_module_level=True)


def git(within: Path, *words: str) -> str:
    command = ["git", *COMMITTER, *words]
    return subprocess.run(command, cwd=within, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a repository on main, which lacks one thing alone: where its code can be seen."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main", ".")
    for name, text in READY.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def refusal(project: Path, version: str = "9.8.7") -> str:
    done = subprocess.run([SCRIPT, version], cwd=project, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.removeprefix("release: ").rstrip()


def change(project: Path, name: str, text: str) -> None:
    (project / name).write_text(text)
    git(project, "commit", "--quiet", "--all", "--message", "Changed")


def test_a_release_is_refused_with_what_is_missing_and_leaves_no_tag(project: Path) -> None:
    assert refusal(project, "9.8") == "the version is three numbers, as 0.2.0: 9.8"
    assert refusal(project, "9.8.8") == "togai_shipper/_version.py has another version than 9.8.8"
    assert (
        refusal(project)
        == "pyproject.toml names no Source below [project.urls]: where can people see the code?"
    )
    assert git(project, "tag") == ""


def test_a_release_is_refused_where_something_is_not_committed(project: Path) -> None:
    (project / "new").touch()

    assert refusal(project) == "something is not committed: git status says what"


def test_a_release_is_refused_from_another_branch(project: Path) -> None:
    git(project, "switch", "--quiet", "--create", "other")

    assert refusal(project) == "a release is made from the branch main"


def test_a_release_is_refused_where_its_tag_is_there(project: Path) -> None:
    git(project, "tag", "v9.8.7")

    assert refusal(project) == "the tag v9.8.7 is there already"


def test_a_release_is_refused_where_the_changelog_has_not_got_it(project: Path) -> None:
    change(project, "CHANGELOG.md", CHANGELOG.replace(" - 2026-01-31", ""))

    assert refusal(project) == "CHANGELOG.md has no line: ## [9.8.7] - YYYY-MM-DD"


def test_a_release_is_refused_where_changes_are_not_below_it(project: Path) -> None:
    change(project, "CHANGELOG.md", CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- New.\n"))

    assert refusal(project) == "CHANGELOG.md has changes below [Unreleased]: they belong below [9.8.7]"
