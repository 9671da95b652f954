"""What several test modules of the command line start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doctored import Net
from spools import Spool


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
