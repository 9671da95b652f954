"""What the tests of ``spool.folder`` start from: a ``Folder``, and a file in it whose process is gone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(str(tmp_path / "spool"))
    made.prepare()
    return made


@pytest.fixture
def place_for_all() -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own is not."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def path(folder: Folder) -> Path:
    """A file whose process is gone."""
    claim = folder.new()
    SpoolFile.create(claim.path, {}).close()
    claim.release()
    return claim.path
