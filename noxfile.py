"""The tests on every Python that the library is for, if it is here; ``sid`` has those of Debian, too."""

from __future__ import annotations

import subprocess

import nox

nox.options.error_on_missing_interpreters = False  # a missing one is skipped, and named

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]
CANNOT = 77  # how tests/in_sid.sh ends where it has said why it cannot


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the default suite; what stands behind -- goes to pytest."""
    session.install("--quiet", "-e", ".[test]")
    session.run("python", "-m", "pytest", "--quiet", *session.posargs)


@nox.session(python=PYTHONS)
def processes(session: nox.Session) -> None:
    """Run the tests that end, fork and kill real processes by the dozen."""
    session.install("--quiet", "-e", ".[test]")
    session.run("python", "-m", "pytest", "--quiet", "-m", "processes and not night", *session.posargs)


@nox.session(python=False, default=False)
@nox.parametrize("version", ["3.14", "3.15"])
def sid(session: nox.Session, version: str) -> None:
    """Run the default suite on a Python of Debian sid, in a chroot; what stands behind -- goes to pytest."""
    ended = subprocess.run(["bash", "tests/in_sid.sh", version, *session.posargs], check=False)  # noqa: S603, S607  our own
    if ended.returncode == CANNOT:
        session.skip("it is said above why")
    if ended.returncode != 0:
        session.error(f"the suite ended with {ended.returncode}")
