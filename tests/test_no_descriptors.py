"""A first shipper in a process that may open no more files: an error that says so, and one later works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper.testing import FakeTogai

BEGIN = """
import os, resource, shutil, sys
import togai_shipper
from togai_shipper import ConfigurationError, Shipper

options = {"spool": os.environ["FOLDER"]} if "spool" in sys.argv else {}
if "fcntl" in sys.argv:
    import fcntl

def take_all(but=0):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(but):
            os.close(taken.pop())
        return taken
"""

EXPLICIT = """
taken = take_all(int(sys.argv[1]))
try:
    Shipper(**options)
except ConfigurationError as error:
    print("Too many open files" in str(error))
for each in taken:
    os.close(each)
shipper = Shipper(**options)
print(shipper.track("api_call", "acme"))
assert shipper.close(20)
"""

DEFAULT = """
import time

taken = take_all()
assert togai_shipper.track("api_call", "acme") is None
print("Too many open files" in togai_shipper.stats().last_error)
for each in taken:
    os.close(each)
while not (event_id := togai_shipper.track("api_call", "acme")):
    time.sleep(0.05)
print(event_id)
assert togai_shipper.close(20)
assert togai_shipper.stats().refused["misconfigured"] > 0
"""

NO_DIRECTORY = """
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
try:
    Shipper(spool="spool")
except ConfigurationError as error:
    print(error)
"""


def said(program: str, togai: FakeTogai, folder: Path, *arguments: str) -> list[str]:
    environment = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url, "FOLDER": str(folder / "spool")}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *arguments],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("options", [[], ["spool"], ["spool", "fcntl"]], ids=" ".join)
def test_a_shipper_made_without_descriptors_is_a_configuration_error_and_one_made_later_works(
    togai: FakeTogai, tmp_path: Path, options: list[str]
) -> None:
    told, event_id = said(EXPLICIT, togai, tmp_path, "0", *options)

    assert told == "True"
    assert togai.ledger.ids == {event_id}


@pytest.mark.parametrize("left", ["1", "2", "3"])
def test_a_shipper_made_with_the_last_descriptors_works_later(
    togai: FakeTogai, tmp_path: Path, left: str
) -> None:
    event_id = said(EXPLICIT, togai, tmp_path, left)[-1]

    assert togai.ledger.ids == {event_id}


def test_the_default_shipper_refuses_events_meanwhile_and_is_made_later(
    togai: FakeTogai, tmp_path: Path
) -> None:
    told, event_id = said(DEFAULT, togai, tmp_path)

    assert told == "True"
    assert togai.ledger.ids == {event_id}


def test_a_relative_spool_needs_a_current_directory(togai: FakeTogai, tmp_path: Path) -> None:
    assert said(NO_DIRECTORY, togai, tmp_path) == [
        "spool: must be an absolute path, for there is no current directory, not 'spool'"
    ]
