"""Walks through the ledger's records, and lets other requests have their turn meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .records import place_of

if TYPE_CHECKING:
    from .ledger import BillingLedger
    from .records import ListOrder, Place, Record

_AT_ONCE = 2_000  # records that are looked at before other requests have their turn; sorting is slower
_SORTED_AT_ONCE = 1_000


async def first_wanted(
    ledger: BillingLedger,
    is_wanted: Callable[[Record], bool],
    most: int,
    order: ListOrder,
    after: Place | None = None,
) -> list[Record]:
    """Return the first records after a place of an order that are wanted: at most so many."""
    is_sorted = order == "received"
    while not is_sorted:
        is_sorted = ledger.sort_some(_SORTED_AT_ONCE)
        await asyncio.sleep(0)
    found: list[Record] = []
    while len(found) < most and (records := ledger.listed(after, _AT_ONCE, order)):
        found += [record for record in records if is_wanted(record)]
        after = place_of(records[-1])
        await asyncio.sleep(0)
    return found[:most]
