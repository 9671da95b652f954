"""How a process ends, and what SQLite does, differs with the Python: tests of that, on each that is here."""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False  # a missing one is skipped, and named


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def ends(session: nox.Session) -> None:
    """Exits, signals, forks, re-entrancy and the spool, by real processes."""
    session.install("--quiet", "-e", ".[test]")
    session.run(
        "python",
        "-m",
        "pytest",
        "--quiet",
        "-m",
        "not servers",  # those marked "processes" too, which pyproject.toml leaves out
        "tests/test_ends.py",
        "tests/test_exits.py",
        "tests/test_forks.py",
        "tests/test_lifecycle.py",
        "tests/test_odd_ends.py",
        "tests/test_reentrancy.py",
        "tests/test_sigterm.py",
        "tests/test_spool.py",
        "tests/test_spool_adoption.py",
        "tests/test_spool_disks.py",
        "tests/test_spool_file.py",
        "tests/test_spool_folder.py",
        "tests/test_spool_kills.py",
    )
