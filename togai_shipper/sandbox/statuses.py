"""The statuses in which an event ends at Togai: their groups, and what each of them says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

IN_PROGRESS = "INGESTION_IN_PROGRESS"
METERED = "INGESTION_COMPLETED_EVENT_METERED"
NOT_METERED = "INGESTION_COMPLETED_EVENT_NOT_METERED"
NO_MATCHING_METERS = "INGESTION_COMPLETED_NO_MATCHING_METERS"
FAILED = "INGESTION_FAILED"
SCHEMA_NOT_DEFINED = "INGESTION_FAILED_SCHEMA_NOT_DEFINED"
ACCOUNT_NOT_FOUND = "INGESTION_FAILED_ACCOUNT_NOT_FOUND"
ENRICHMENT_FAILED = "INGESTION_FAILED_ENRICHMENT_FAILED"
UNITS_INVALID = "INGESTION_FAILED_UNITS_INVALID"
PAST_GRACE_PERIOD = "INGESTION_FAILED_PAST_GRACE_PERIOD"
DUPLICATE_EVENT = "INGESTION_FAILED_DUPLICATE_EVENT"
NO_EVENT_ID = "INGESTION_FAILED_NO_EVENT_ID"
INVALID_NAMED_LICENSE_EVENT = "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT"
INSUFFICIENT_CREDITS = "INGESTION_FAILED_INSUFFICIENT_CREDITS"
REVERTED = "REVERTED"
UNKNOWN = "UNKNOWN"

#: What Togai says of each. It documents the first two texts; the others are short for its page of statuses.
DESCRIPTIONS: Mapping[str, str] = {
    METERED: "Ingestion completed successfully",
    NOT_METERED: (
        "Event ingestion completed successfully but the event is not associated with any bill plan."
    ),
    NO_MATCHING_METERS: "Event ingestion completed but no usage meter was found for the event.",
    IN_PROGRESS: "Event ingestion is in progress",
    FAILED: "Attributes or dimensions of the event schema are missing in the event.",
    SCHEMA_NOT_DEFINED: "The event schema is not defined.",
    ACCOUNT_NOT_FOUND: "The account of the event was not found.",
    ENRICHMENT_FAILED: "The enrichment of the event failed.",
    UNITS_INVALID: "The usage units of the event could not be computed.",
    PAST_GRACE_PERIOD: "The event was ingested after the grace period of its pricing cycle.",
    DUPLICATE_EVENT: "An event with the same id was ingested before.",
    NO_EVENT_ID: "The event has no id.",
    INVALID_NAMED_LICENSE_EVENT: "The named license event is not valid.",
    INSUFFICIENT_CREDITS: "The account has insufficient credits for the event.",
    REVERTED: "The event was reverted by a correction.",
    UNKNOWN: "The status of the event is not known.",
}

STATUSES = frozenset(DESCRIPTIONS)

PROCESSED = frozenset((METERED, NOT_METERED, NO_MATCHING_METERS))
UNPROCESSED = frozenset(status for status in STATUSES if status.startswith(FAILED))

#: The groups that ``GET /events`` and ``POST /metrics`` know; REVERTED and UNKNOWN are in none of them.
GROUPS: Mapping[str, frozenset[str]] = {
    "PROCESSED": PROCESSED,
    "UNPROCESSED": UNPROCESSED,
    "IN_PROGRESS": frozenset((IN_PROGRESS,)),
}


def group_of(status: str) -> str:
    """Return the group of a status; of one that is in none, the status itself."""
    return next((group for group, members in GROUPS.items() if status in members), status)
