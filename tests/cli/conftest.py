"""What several test modules of the command line start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from doctored import Net
from sending import Send, environment
from spools import Spool

from togai_shipper.cli.app import cli
from togai_shipper.testing import FakeTogai


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    folder = tmp_path / "spool"
    folder.mkdir()
    return Spool(folder)


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    yield made
    for end in made.ends:
        end.close()


@pytest.fixture
def send(togai: FakeTogai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Send:
    """Run it where files are to be found by their names alone, with nothing kept on disk."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes | str = b"", spool: bool = False, **variables: str) -> Result:
        options = [] if spool else ["--no-spool"]
        runner = CliRunner(env={**environment(togai), "XDG_STATE_HOME": str(tmp_path / "state"), **variables})
        return runner.invoke(cli, ["send", *options, *arguments], input=stdin, catch_exceptions=False)

    return run
