"""What is remembered of earlier events."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

from event_facts import encoded


def memory_that(remembers: Callable[[], None]) -> int:
    """The bytes that are left once something is done."""
    gc.collect()
    tracemalloc.start()
    try:
        remembers()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_remembered_of_earlier_events_is_bounded() -> None:
    def ever_other_names() -> None:
        for n in range(6000):
            name = f"{n:#<50}"
            encoded(schema_name=name, account_id=name, attributes={name: (1, name)}, dimensions={name: name})

    assert memory_that(remembers=ever_other_names) < 2_000_000  # 1,000 of each kind; all would be 5 MB


def test_what_is_remembered_is_the_same_the_second_time() -> None:
    for n in [*range(1500), *range(1500)]:
        name = f'"{n}"'
        event = encoded(
            schema_name=name, account_id=name, attributes={name: (1, name)}, dimensions={name: name}
        )
        assert (event["schemaName"], event["accountId"], event["dimensions"]) == (name, name, {name: name})
        assert event["attributes"] == [{"name": name, "value": "1", "unit": name}]


def test_a_long_text_is_not_remembered() -> None:
    def long_accounts() -> None:
        for n in range(900):
            account = f"{n:*<500}"
            assert encoded(account_id=account)["accountId"] == account

    assert memory_that(remembers=long_accounts) < 200_000  # all would be 1 MB
