"""What Togai tells of a record: its event, status and description, and how far it came. Pure.

The sandbox has no usage meters and price plans: in their place stands a meter for each attribute, which
counts its value.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from . import statuses
from .catalog import account_called, schema_called

if TYPE_CHECKING:
    from .records import EventJson, Record
    from .switches import Switches

_NO_SCHEMA = frozenset(
    (
        statuses.IN_PROGRESS,
        statuses.UNKNOWN,
        statuses.DUPLICATE_EVENT,
        statuses.NO_EVENT_ID,
        statuses.SCHEMA_NOT_DEFINED,
    )
)
_NO_ACCOUNT = _NO_SCHEMA | {statuses.FAILED, statuses.ACCOUNT_NOT_FOUND}


def event_with_status(record: Record, status: str, switches: Switches) -> dict[str, Any]:
    """Return a record that shows this status, as a list has it."""
    account = account_called(switches.accounts, record.event["accountId"])
    is_customers = switches.accounts is not None and account.is_known
    return {
        "referenceId": record.reference,
        "eventPayload": record.event,
        "ingestionStatus": {"status": status, "statusDescription": statuses.DESCRIPTIONS[status]},
        "createdAt": moment(record.created),
        **({"customerId": account.customer} if is_customers else {}),
    }


def moment(seconds: float) -> str:
    """Return a moment as Togai writes it: in UTC, to the millisecond."""
    text = (
        datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds")
    )
    return f"{text}Z"


# --- how far it came ----------------------------------------------------------------------------------------


def pipeline_info(record: Record, shown: str, switches: Switches) -> dict[str, Any]:
    """Return the ``eventPipelineInfo`` of a record that shows this status."""
    status = record.status_before or shown
    info: dict[str, Any] = {}
    if status not in _NO_SCHEMA:
        info["eventSchema"] = _schema(record.event["schemaName"], switches)
    if status not in _NO_ACCOUNT:
        info |= _account(record.event["accountId"], switches)
    if status in (statuses.METERED, statuses.NOT_METERED):
        info["usageMeters"] = _meters(record.event, is_counted=status == statuses.METERED)
    if record.status_before:
        info["statusBeforeReverting"] = record.status_before
    return info


def _schema(name: str, switches: Switches) -> dict[str, Any]:
    schema = schema_called(switches.schemas, name, is_loose=switches.loose_names)
    return {"name": schema.name, "version": schema.version}


def _account(name: str, switches: Switches) -> dict[str, Any]:
    account = account_called(switches.accounts, name)
    alias = {} if name == account.id else {"alias": name}
    return {
        "account": {"id": account.id, "name": f"account {account.id}", **alias},
        "customer": {"id": account.customer, "name": f"customer {account.customer}"},
    }


def _meters(event: EventJson, *, is_counted: bool) -> list[dict[str, Any]]:
    meters = []
    for attribute in event["attributes"] or [{"name": "events", "value": "1"}]:
        name = f"{event['schemaName']} {attribute['name']}"
        meter: dict[str, Any] = {
            "id": f"usage_meter.{name}",
            "name": name,
            "version": 1,
            "status": "PROCESSED_FILTERED_OUT",
        }
        if is_counted:
            meter |= {"status": "PROCESSED_UNITS_COMPUTED"} | _units(attribute["value"])
        meters.append(meter)
    return meters


def _units(value: str) -> dict[str, Any]:
    units = float(value)  # of 512 digits: infinite, which JSON does not know
    return {"units": units} if math.isfinite(units) else {}
