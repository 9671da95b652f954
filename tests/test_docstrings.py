"""Every example in a docstring runs, and says what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import togai_shipper

ROOT = Path(togai_shipper.__file__).parent.parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.glob("togai_shipper/**/*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert (results.failed, results.attempted > 0) == (0, True)
