"""The sandbox's architecture: each module imports only from those before it."""

from __future__ import annotations

import pytest
from test_import_direction import MODULES, ours

ORDER = [
    "sandbox.contract",
    "sandbox.switches",
    "sandbox.faults",
    "sandbox.script",
    "sandbox.credentials",
    "sandbox.quota",
    "sandbox.journal",
    "sandbox.settlement",
    "sandbox.ledger",
    "sandbox.lookup",
    "sandbox.replies",
    "sandbox.wire",
    "sandbox.fault_replies",
    "sandbox.ingestion",
    "sandbox.app",
    "sandbox.server",
    "sandbox.fake",
]


def test_the_order_is_complete() -> None:
    modules = {name.removesuffix(".py").replace("/", ".") for name in MODULES if name.startswith("sandbox/")}

    assert set(ORDER) == modules - {"sandbox.__init__"}


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_from_those_before_it(module: str) -> None:
    assert ours(module) <= set(ORDER[: ORDER.index(module)])
