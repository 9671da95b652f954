"""What becomes of an event after the 202: it ends in a status and its reason, never in an HTTP error.

Pure. The ledger knows repeated ids; everything else that can fail behind the endpoint is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import attrs

from . import statuses
from .catalog import Schema, account_called, schema_called
from .contract import instant

if TYPE_CHECKING:
    from .switches import Switches


@attrs.frozen
class Settled:
    """The status that an event ends in, and why it is not billed, if so."""

    status: str
    reason: str = ""


BILLED = Settled(statuses.METERED)
DUPLICATE = Settled(statuses.DUPLICATE_EVENT)

# The schemas that every organisation has: what an event of each needs, and how it ends without it.
_PREDEFINED = {
    "togai-named-license": (
        ("license_id", "name", "action"),
        Settled(
            statuses.INVALID_NAMED_LICENSE_EVENT,
            "a named licence needs license_id and name, and action 1 or -1",
        ),
    ),
    "togai-usage": (
        ("usage_meter_id", "usage"),
        Settled(statuses.SCHEMA_NOT_DEFINED, "togai-usage needs usage_meter_id and usage"),
    ),
}


def settle(event: dict[str, Any], now: float, switches: Switches) -> Settled:
    """Return how a valid event with a new id ends, if it was accepted at ``now``."""
    if "id" not in event:
        return Settled(statuses.NO_EVENT_ID, "it has no id")
    if switches.ends_in is not None and (status := switches.ends_in(event)) is not None:
        return _chosen(status)
    settled = _by_schema(event, switches)
    if settled is not BILLED and settled.status != statuses.NO_MATCHING_METERS:
        return settled
    if switches.accounts is not None and not _has_account(event["accountId"], switches):
        return Settled(statuses.ACCOUNT_NOT_FOUND, f"no account {event['accountId']!r}")
    if switches.grace_period is not None and now > _cycle_end(event) + switches.grace_period:
        return Settled(statuses.PAST_GRACE_PERIOD, "its month, and the grace period after it, are over")
    return settled


def _chosen(status: str) -> Settled:
    """Return what a test has chosen for an event."""
    if status not in statuses.STATUSES:
        raise ValueError(f"ends_in: must return a status of Togai's or None, not {status!r}")
    return BILLED if status == statuses.METERED else Settled(status, f"ends_in chose {status}")


# --- by what exists -----------------------------------------------------------------------------------------


def _by_schema(event: dict[str, Any], switches: Switches) -> Settled:
    """Return how the event ends by its schema, if nothing else is wrong with it."""
    name = event["schemaName"]
    if name in _PREDEFINED:
        needed, failed = _PREDEFINED[name]
        lacks = any(_missing(event, Schema(name, either=needed)))
        return failed if lacks or not _is_license_action(event) else BILLED
    return BILLED if switches.schemas is None else _by_own_schema(event, name, switches)


def _by_own_schema(event: dict[str, Any], name: str, switches: Switches) -> Settled:
    schema = schema_called(switches.schemas, name, is_loose=switches.loose_names)
    if not schema.is_known:
        return Settled(statuses.SCHEMA_NOT_DEFINED, f"no schema named {name!r}")
    if not schema.is_active and not switches.inactive_count:
        return Settled(statuses.SCHEMA_NOT_DEFINED, f"schema {name!r} is not active")
    if faults := _faults(event, schema, switches):
        return Settled(statuses.FAILED, f"schema {name!r} {', and '.join(faults)}")
    if not schema.has_meters:
        return Settled(statuses.NO_MATCHING_METERS, f"schema {name!r} has no usage meter")
    return BILLED


def _faults(event: dict[str, Any], schema: Schema, switches: Switches) -> list[str]:
    """Say how event and schema differ: the first fault of each kind."""
    if not schema.attributes and not schema.dimensions and not schema.either:
        return []
    foreign, missing = _foreign(event, schema, switches), _missing(event, schema)
    return [fault for fault in (next(foreign, None), next(missing, None)) if fault is not None]


def _foreign(event: dict[str, Any], schema: Schema, switches: Switches) -> Iterator[str]:
    """Say what the event has, and the schema has not."""
    for attribute in event["attributes"]:
        name, unit = attribute["name"], attribute.get("unit")
        if name not in schema.attributes and name not in schema.either:
            if switches.extra_attributes_fail:
                yield f"has no attribute {name!r}"
        elif switches.other_units_fail and unit != (due := schema.attributes.get(name)) and due is not None:
            yield f"has {due!r} as the unit of {name!r}"
    for name in event["dimensions"]:
        if switches.extra_dimensions_fail and name not in schema.dimensions and name not in schema.either:
            yield f"has no dimension {name!r}"


def _missing(event: dict[str, Any], schema: Schema) -> Iterator[str]:
    """Say what the schema has, and the event has not."""
    attributes = {attribute["name"] for attribute in event["attributes"]}
    for needed, present in (
        (schema.attributes, attributes),
        (schema.dimensions, event["dimensions"].keys()),
        (schema.either, attributes | event["dimensions"].keys()),
    ):
        yield from (f"needs {name!r}" for name in needed if name not in present)


def _is_license_action(event: dict[str, Any]) -> bool:
    """Whether each ``action`` of a named licence adds one ("1") or removes one ("-1")."""
    actions = (each["value"] for each in event["attributes"] if each["name"] == "action")
    return event["schemaName"] != "togai-named-license" or all(each in {"1", "-1"} for each in actions)


def _has_account(name: str, switches: Switches) -> bool:
    account = account_called(switches.accounts, name)
    return account.is_known and (account.is_active or switches.inactive_count)


# --- by when it happened ------------------------------------------------------------------------------------


def _cycle_end(event: dict[str, Any]) -> float:
    return cycle_end(instant(event["timestamp"]))


def cycle_end(when: datetime) -> float:
    """Return when a moment's calendar month ends in UTC, in seconds since 1970."""
    try:
        month = when.astimezone(timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (month + timedelta(days=31)).replace(day=1).timestamp()
    except OverflowError:  # the calendar's first and last month
        return when.timestamp()
