"""What the last word on a delivered event means: how it is counted, whether it is told, and what helps. Pure.

=========================================  ===================================================
the last word                              what happens
=========================================  ===================================================
COMPLETED_EVENT_METERED                    counted
another COMPLETED_*                        counted; a warning, for that may be intended
FAILED_ACCOUNT_NOT_FOUND                   counted; a warning
another FAILED_*                           counted, and as unbilled; an error, and ``on_unbilled``
no more than repetitions of our own event  counted, and as unbilled; a warning, and ``on_unbilled``
no more than repetitions of another's      counted
IN_PROGRESS, no record, or another status  counted
=========================================  ===================================================
"""

from __future__ import annotations

import attrs

from togai_shipper._outcome import Finding

from .look_ups import (
    ACCOUNT_NOT_FOUND,
    COMPLETED,
    DUPLICATE,
    FAILED,
    METERED,
    NO_MATCHING_METERS,
    NOT_METERED,
)
from .sampling import Ended

DUPLICATE_ALONE, REPEATED = "duplicate_alone", "duplicate"  # our own words for how an event stands
# To have an event processed again, Togai's call has to name the account and the event: with the account
# alone it corrects everything that the account has.
REDO = "POST /events/correction?action=REDO with account_id and event_id"
_AGAIN = f"then have Togai process the events again ({REDO})"
_REMEDIES = {
    "INGESTION_FAILED_SCHEMA_NOT_DEFINED": (
        f"no event schema has this name: correct it in the code, or define it in Togai; {_AGAIN}"
    ),
    "INGESTION_FAILED": (
        f"it lacks an attribute or a dimension of its schema: correct the code, or the schema; {_AGAIN}"
    ),
    "INGESTION_FAILED_ENRICHMENT_FAILED": f"correct the schema's enrichment in Togai; {_AGAIN}",
    "INGESTION_FAILED_UNITS_INVALID": (
        "the usage meter cannot compute with it: correct the meter's formula, or the amounts in the code"
    ),
    "INGESTION_FAILED_PAST_GRACE_PERIOD": (
        "it came after the grace period of its pricing cycle: bill it by hand, and send sooner"
    ),
    "INGESTION_FAILED_NO_EVENT_ID": (
        "Togai makes the ids of this schema itself (eventIdTemplate), and could not: correct the template"
    ),
    "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT": (
        "a named licence needs the attributes that Togai asks for: correct the code"
    ),
    "INGESTION_FAILED_INSUFFICIENT_CREDITS": "the account has too few credits: grant it more in Togai",
    ACCOUNT_NOT_FOUND: (
        "no account has this id or alias: create it, or give the account the alias; Togai takes the event up"
        " again within 24 hours. Never send it again under a new id"
    ),
    NOT_METERED: "where it should be billed, look at the account's price plan and at the meter's filters",
    NO_MATCHING_METERS: f"where it should be billed, make a usage meter for its schema; {_AGAIN}",
    DUPLICATE: "another event has its id, which Togai bills once: give each an id of its own in the code",
    DUPLICATE_ALONE: "Togai shows only a repetition of it: look for another event with this id in Togai",
}


def remedy_of(status: str) -> str:
    """Say what helps an event with this status."""
    return _REMEDIES.get(status, "look at the event in Togai, and ask its support")


@attrs.frozen
class Meaning:
    """What the last word on an event means.

    Attributes:
        finding: the event, and what helps.
        is_unbilled: Togai does not bill it.
        is_failure: that is an error.
        is_told: there is something to be told.

    """

    finding: Finding
    is_unbilled: bool = False
    is_failure: bool = False
    is_told: bool = False

    @property
    def subject(self) -> tuple[str, str]:
        """What is told only once: a status of one schema, or that one account is missing."""
        of = self.finding
        return of.status, of.account_id if of.status == ACCOUNT_NOT_FOUND else of.schema_name


def meaning(ended: Ended) -> Meaning:
    """Say what the last word on a sample means."""
    sample, found = ended.sample, ended.found
    status = found.status
    if status == DUPLICATE:
        status = DUPLICATE_ALONE if sample.is_original else REPEATED
    finding = Finding(
        sample.event_id,
        sample.schema_name,
        sample.account_id,
        sample.timestamp,
        status,
        found.description,
        remedy_of(status),
    )
    is_failure = status.startswith(FAILED) and status != ACCOUNT_NOT_FOUND
    is_unbilled = is_failure or status == DUPLICATE_ALONE
    is_in_doubt = status == ACCOUNT_NOT_FOUND or (status.startswith(COMPLETED) and status != METERED)
    return Meaning(finding, is_unbilled, is_failure, is_told=is_unbilled or is_in_doubt)
