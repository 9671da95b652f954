"""The sandbox's architecture: each module imports only from those before it."""

from __future__ import annotations

import pytest
from test_import_direction import MODULES, ours

ORDER = [
    "sandbox.contract",
    "sandbox.event_time",
    "sandbox.statuses",
    "sandbox.records",
    "sandbox.catalog",
    "sandbox.catalog_reading",
    "sandbox.periods",
    "sandbox.switches",
    "sandbox.faults",
    "sandbox.script",
    "sandbox.credentials",
    "sandbox.quota",
    "sandbox.event_ids",
    "sandbox.event_outcome",
    "sandbox.journal",
    "sandbox.settlement",
    "sandbox.bill",
    "sandbox.known_ids",
    "sandbox.tally",
    "sandbox.books",
    "sandbox.ledger",
    "sandbox.scanning",
    "sandbox.paging",
    "sandbox.record_view",
    "sandbox.event_lists",
    "sandbox.organisation",
    "sandbox.metrics_contract",
    "sandbox.metric_groups",
    "sandbox.metrics",
    "sandbox.correction",
    "sandbox.replies",
    "sandbox.lookups",
    "sandbox.wire",
    "sandbox.fault_replies",
    "sandbox.lookup_faults",
    "sandbox.ingestion",
    "sandbox.feed",
    "sandbox.fault_desk",
    "sandbox.page",
    "sandbox.origin",
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
