"""What the tests of ``spool.folder`` start from: a ``Folder``, and a file in it whose process is gone."""

from __future__ import annotations

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
def path(folder: Folder) -> Path:
    """A file whose process is gone."""
    claim = folder.new()
    SpoolFile.create(claim.path, {}).close()
    claim.release()
    return claim.path
