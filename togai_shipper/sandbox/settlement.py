"""What becomes of an event after the 202: it ends in a status, never in an HTTP error.

Pure. The ledger knows repeated ids; everything else that can fail behind the endpoint is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

from .contract import instant

if TYPE_CHECKING:
    from .switches import Switches

IN_PROGRESS = "INGESTION_IN_PROGRESS"
METERED = "INGESTION_COMPLETED_EVENT_METERED"
FAILED = "INGESTION_FAILED"
SCHEMA_NOT_DEFINED = "INGESTION_FAILED_SCHEMA_NOT_DEFINED"
ACCOUNT_NOT_FOUND = "INGESTION_FAILED_ACCOUNT_NOT_FOUND"
PAST_GRACE_PERIOD = "INGESTION_FAILED_PAST_GRACE_PERIOD"
DUPLICATE_EVENT = "INGESTION_FAILED_DUPLICATE_EVENT"
NO_EVENT_ID = "INGESTION_FAILED_NO_EVENT_ID"
INVALID_NAMED_LICENSE_EVENT = "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT"

STATUSES = frozenset(
    (
        IN_PROGRESS,
        METERED,
        FAILED,
        SCHEMA_NOT_DEFINED,
        ACCOUNT_NOT_FOUND,
        PAST_GRACE_PERIOD,
        DUPLICATE_EVENT,
        NO_EVENT_ID,
        INVALID_NAMED_LICENSE_EVENT,
        "INGESTION_FAILED_ENRICHMENT_FAILED",
        "INGESTION_FAILED_UNITS_INVALID",
        "INGESTION_FAILED_INSUFFICIENT_CREDITS",
        "INGESTION_COMPLETED_NO_MATCHING_METERS",
        "INGESTION_COMPLETED_EVENT_NOT_METERED",
        "REVERTED",
        "UNKNOWN",
    )
)

# The schemas that every organisation has: what an event of each needs, and its status without it.
_PREDEFINED = {
    "togai-named-license": (("license_id", "name", "action"), INVALID_NAMED_LICENSE_EVENT),
    "togai-usage": (("usage_meter_id", "usage"), SCHEMA_NOT_DEFINED),
}


def settle(event: dict[str, Any], now: float, switches: Switches) -> str:  # noqa: PLR0911  one return for each status
    """Return the status that a valid event with a new id ends in, if it was accepted at ``now``."""
    if "id" not in event:
        return NO_EVENT_ID
    present = {attribute["name"] for attribute in event["attributes"]} | event["dimensions"].keys()
    schema = event["schemaName"]
    schemas = switches.schemas
    if schema in _PREDEFINED:
        needed, otherwise = _PREDEFINED[schema]
        if not present.issuperset(needed) or not _is_license_action(event):
            return otherwise
    elif schemas is not None and schema not in schemas:
        return SCHEMA_NOT_DEFINED
    elif isinstance(schemas, Mapping) and not present.issuperset(schemas[schema]):
        return FAILED
    if switches.accounts is not None and event["accountId"] not in switches.accounts:
        return ACCOUNT_NOT_FOUND
    if switches.grace_period is not None and now > _cycle_end(event) + switches.grace_period:
        return PAST_GRACE_PERIOD
    return METERED


def _is_license_action(event: dict[str, Any]) -> bool:
    """Whether each ``action`` of a named licence adds one ("1") or removes one ("-1")."""
    actions = (each["value"] for each in event["attributes"] if each["name"] == "action")
    return event["schemaName"] != "togai-named-license" or all(each in {"1", "-1"} for each in actions)


def _cycle_end(event: dict[str, Any]) -> float:
    """Return when the event's calendar month ends in UTC, in seconds since 1970."""
    happened = instant(event["timestamp"])
    try:
        month = happened.astimezone(timezone.utc).replace(day=1, hour=0, minute=0, second=0)
        return (month + timedelta(days=31)).replace(day=1).timestamp()
    except OverflowError:  # the calendar's first and last month
        return happened.timestamp()
