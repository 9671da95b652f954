from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import Scene

from togai_shipper.testing import FakeTogai


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with FakeTogai("secret", other_rate_limit=None) as togai:
        yield Scene(togai, tmp_path)
