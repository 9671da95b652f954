"""What servers say of an event that they know already, and what merely sounds like it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._engine.duplicates import MAX_TEXT, names_another, says_duplicate

ID = "0192ab3c-7e55-7000-8000-1234567890ab"
KNOWN_ALREADY = [
    "event.id: must be unique, {id} already exists",
    "An event already exists with identifier {id}.",
    "Event with same id already exists for this account",
    "The event id you supplied has been used before",
    "Event with id {id} already exists",
    "Event {id} was already ingested",
    "duplicate event {id}",
    "Duplicate event",
    "id {id} is not unique",
    "event id '{id}' already exists",
    "Event with id '{id}' is a duplicate",
    "Duplicate event id",
    "Duplicate Id",
    "Duplicate eventId",
    "duplicate event-id",
    "the request holds a duplicate event_id",
    "INGESTION_FAILED_DUPLICATE_EVENT",
    "DUPLICATE_EVENT",
    "DUPLICATE_EVENT_ID",
    "DUPLICATE_ID",
    "id already exists",
    "Id already used",
    "id is already in use",
    "ID has already been used",
    "Event id already exists",
    "eventId already exists",
    "event_id was already used",
    "Event with this id already exists",
    "Event with the same id already exists",
    "Conflict: id already exists",
    "duplicate_event",
    "event already exists",
    "EventAlreadyExistsException",
    "EventAlreadyExists: id {id}",
    "id already existed",
    "Event {id} has already been processed",
    "The event has already been received.",
    "This event was already recorded",
    "Event ID {id} has been used before",
    "Event {id}: duplicate",
    "Event {id} is a duplicate of an earlier event",
    "{id} already exists",
    "Duplicate: {id}",
    "Event [{id}] already exists",
    "Event (id: {id}) already exists",
    "Event with id={id} already exists",
    "Event with id: {id} already exists for account acme",
    "Rejected: event {id} already exists in this organisation",
    "Key (id)=({id}) already exists.",
    "There is already an event with id {id}",
    "Already ingested event {id}",
    "We already have an event with id {id}",
    "Event rejected as duplicate",
    "A record with id {id} already exists",
    "Idempotency key {id} has already been used",
    "Duplicate idempotency key",
    "Event not ingested because id already exists",
    "EVENT_ID_NOT_UNIQUE",
    "The id {id} has already been taken",
    "event id is not unique",
    "Duplicate event detected",
    "Duplicate event ID detected: {id}",
    'Event "{id}" already exists',
    "DuplicateEventError",
    "duplicateEvent",
    "event.id already exists",
    "The event with the id {id} was previously ingested",
    "event id must be unique: {id} is already known",
    "Event {id} already exists, it will not be ingested again",
    "Duplicate event: an event with this id was already received",
    "This event id has been seen before",
    "An event with ID {id} has already been ingested in the last 45 days",
    "Event {id} already present",
    "Event was already processed successfully",
    "Event already ingested.",
    "Duplicate event. Event with this ID was ingested on 2026-01-01.",
    "Event with the id '{id}' exists.",
    "Event ({id}) is a duplicate and was ignored",
    "Duplicate request: event {id} already processed",
    "Duplicate event found with id {id}",
    "Request contains duplicate event {id}",
    "Event {id} has been ingested already",
    "id: {id} already exists",
    "id {id}: already exists",
    "The id '{id}' is not unique within the organisation",
    "event id is a duplicate",
    "Id is duplicated",
    "duplicated event",
    "Event with eventId {id} already exists",
    "The event with id {id} already exists in the database",
    "Error 409: Event with id {id} already exists.",
    "Event '{id}' has already been recorded at 2026-01-01T00:00:00Z",
    "event with id {id} was already accepted",
    "Event already exists with id: {id}",
    "An event with the identifier {id} already exists",
    "Event already exists (id {id})",
    "event {id} exists",
    "Event has been received twice",
    "This event has already been ingested and was not counted again",
    "Event `{id}` already ingested",
    "Duplicate event_id {id}",
    "Duplicate event (id={id})",
    "Ingestion failed: duplicate event",
    "Event {id} could not be ingested because it already exists",
    "id '{id}' already exists",
    'Event with ID "{id}" was already received by Togai.',
    "A usage event with this identifier has already been recorded",
    "Event ID already known",
    "The event is already known",
    "Event {id} is known already",
]
# Without the event's own id: whatever stands there is taken for it.
OF_ANY_ID = [
    "duplicate event ID: 7",
    "DUPLICATE_EVENT: 7",
    "EVENT_ALREADY_EXISTS",
    "An event already exists with identifier X",
    "Event with id X already exists",
    "event X has already been ingested",
    "event … has already been ingested",
    "id … is not unique",
]
SOMETHING_ELSE = [
    "customer: {id} already exists",
    "Unknown account: {id}",
    "account {id}: already exists",
    "",
    "no",
    "duplicate",
    "Duplicate event attribute name",
    "Duplicate attribute",
    "DUPLICATE_EVENT_ATTRIBUTE",
    "DUPLICATE_EVENTS",
    "Duplicate idea",
    "duplicate event identity",
    "account id already exists",
    "accountId already exists",
    "schema id already used",
    "Customer with this id already exists",
    "attribute id is already in use",
    "id does not exist",
    "id is required",
    "already exists",
    "the paid already used",
    "void already used",
    "Event {id} refers to an account that does not exist",
    "Event {id}: duplicate attribute count",
    "Event with id {id} has a duplicate dimension",
    "event {id}: attribute 'x' already exists",
    "Duplicate of attribute",
    "duplicate key in dimensions",
    "Duplicate header",
    "no duplicate event",
    "Event {id} is not a duplicate",
    "event does not exist",
    "Event with id {id} does not exist",
    "schema of event {id} already exists",
    "An account already exists with identifier acme",
    "customer {id} already exists",
    "The event must not contain duplicate ids",
    "Event {id}: account id already exists",
    "event schema already exists",
    "event attribute already exists",
    "Duplicate id in attributes",
    "An event already exists with the same attributes",
    "Event type already exists",
    "Unknown schema duplicate_event",
    "Unknown account 'duplicate event'",
    "event {id} invalid: attribute names are not unique",
    "attribute name is not unique",
    "event {id} has attributes that are not unique",
    "If the event already exists, send another id",
    "Event {id} was already rejected",
    "invalid id {id}",
    "Event {id} not found",
    "duplicate field: event_id",
    "Duplicate field id",
    "id field already exists",
    "Event exists in no schema",
    "Event id must not be empty",
    "duplicate account",
    "Duplicate customer id",
    "event {id} is ignored: duplicate meter",
    "The account of event {id} already exists",
    "ALREADY_EXISTS",
    "DUPLICATE_KEY",
    "DUPLICATE_SCHEMA",
    "event {id} already has attribute count",
    "Event {id} has already been received without an account",
    "Event {id} contains duplicate attribute names",
    "Event {id}: dimension 'region' is duplicated",
    "attribute with id {id} already exists",
    "A customer with identifier {id} already exists",
    "account of event {id} is a duplicate",
    "Event {id} uses meter that already exists",
    "Event {id}: duplicate entry in attributes",
    "duplicate value for event {id}",
    "Duplicate attribute in event {id}",
    "duplicate timestamp for event {id}",
    "Duplicate key: id",
    "Event {id}: field id is not unique",
    "event {id}: duplicate attributes are not allowed",
    "Event {id}: attribute 'id' already exists",
    "Event {id}: dimensions must be unique",
    "Duplicate attribute name 'event' in {id}",
    "the attribute named 'duplicate event' is unknown",
    "Schema 'event' already exists",
    "Schema event already exists",
    "Event {id} rejected: duplicate customer id",
    "Event {id} is invalid",
    "Bad event {id}",
    "attribute duplicate_event is unknown",
    "account acme already exists, event {id} rejected",
    "Header id already exists",
    "Event not unique attribute",
    "Event {id} is not known",
    "Event {id} has not been ingested already",
    "Event {id} must not exist already",
    "Cannot check whether event {id} already exists",
    "duplicate event schema",
    "Event definition already exists",
    "Event {id} already has a dimension",
    "the account that event {id} names already exists elsewhere",
    "event {id}: subscription already exists",
    "Id of account already exists",
    "id of the customer is not unique",
    "Event {id} attribute count is not unique",
]
# Ids that callers may choose, so that their own words stand in every message about them.
WORDY_IDS = [
    "duplicate",
    "already-exists",
    "event",
    "id",
    "Duplicate event",
    "exists already",
    "duplicate-event-7",
    "event-7 already exists",
    "DUPLICATE_EVENT",
    "attribute",
    "(x)",
    "1",
    "#",
]


@pytest.mark.parametrize("message", KNOWN_ALREADY)
def test_a_message_that_says_this_event_is_known_already(message: str) -> None:
    text = message.format(id=ID)

    assert says_duplicate([text], ID)
    assert says_duplicate([None, 7, "no", text], None)


@pytest.mark.parametrize("message", OF_ANY_ID)
def test_a_message_that_says_so_of_whatever_event_was_sent(message: str) -> None:
    assert says_duplicate([message], None)


@pytest.mark.parametrize("message", SOMETHING_ELSE)
def test_a_message_that_names_the_id_or_says_duplicate_of_something_else(message: str) -> None:
    text = message.format(id=ID)

    assert not says_duplicate([text], ID)
    assert not says_duplicate([text], None)


@pytest.mark.parametrize(
    "message", ["Event with id other-9 already exists", "duplicate event 9", "'other' already exists"]
)
def test_another_event_that_is_known_says_nothing_of_this_one(message: str) -> None:
    assert not says_duplicate([message], ID)


@pytest.mark.parametrize("event_id", WORDY_IDS)
def test_the_words_of_the_id_itself_say_nothing(event_id: str) -> None:
    for message in (
        "{}",
        "id {}",
        "event {}",
        "invalid: {}",
        "event '{}' refused",
        "Event {}: unknown account",
        "schema of event {} is unknown",
        "Event with id {} has attribute that already exists",
        "attribute {} already exists",
        "duplicate attribute",
    ):
        assert not says_duplicate([message.format(event_id)], event_id)


@pytest.mark.parametrize(
    "event_id", ["duplicate", "already-exists", "DUPLICATE_EVENT", "(x)", "1", "a.b/c:d"]
)
def test_an_id_that_is_made_of_words_is_known_where_an_id_stands(event_id: str) -> None:
    for message in ("Event with id {} already exists", "An event already exists with identifier '{}'."):
        assert says_duplicate([message.format(event_id)], event_id)


def test_what_else_may_be_in_conflict_is_known_by_its_name() -> None:
    assert names_another(["customer acme exists"])
    assert not names_another(["Conflict", None, "the idempotency key was used"])


@pytest.mark.parametrize(
    "message",
    [
        "Ingestion is locked while the billing cycle closes",
        f"Event {ID} conflicts with a concurrent request, try again",
        "Event not ingested",
        "Transaction aborted",
        f"Event {ID} is rejected: too old",
        "Concurrent modification, retry",
        "billing cycle is already closed",
    ],
)
def test_a_conflict_with_a_reason_of_its_own_is_no_duplicate(message: str) -> None:
    assert names_another([message])
    assert not says_duplicate([message], ID)


@pytest.mark.parametrize(
    "message",
    [
        "Event {id} was already processed and failed validation",
        "Event {id} is already known to be invalid",
        "Event {id} already exists in the dead letter queue",
        "Event {id} already in use by another request, retry later",
        "Event {id} is not unique: attribute",
        "Event {id} was already received and rejected - unknown schema",
        "Event {id} already received but failed validation",
        "Event {id} already exists but was deleted",
        "Event {id} was already sent to quarantine",
        "Event {id} already ingested; not billed",
        "Event {id} already received, but the account does not exist",
        "Event {id} already processed by a cancelled batch",
        "Event id {id} already used by another organisation",
        "Event with id {id} already exists for a different account: acme2",
    ],
)
def test_what_is_said_and_taken_back_is_no_duplicate(message: str) -> None:
    assert not says_duplicate([message.format(id=ID)], ID)


words = st.sampled_from(
    [
        *(
            "event",
            "id",
            "duplicate",
            "already",
            "exists",
            "is",
            "was",
            "not",
            "unique",
            "with",
            "the",
            "a",
            "it",
        ),
        *("#", "'", "(", ":", ",", ".", "_", "X", "7", "é", "attribute"),
    ]
)


@given(
    st.lists(words, max_size=60).map(" ".join) | st.lists(words).map("".join) | st.text(),
    st.none() | st.text(min_size=1),
)
def test_whatever_is_said_is_judged_and_soon(text: str, event_id: str | None) -> None:
    began = time.process_time()
    says_duplicate([text], event_id)

    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "part",
    [
        "the ",
        "event ",
        "duplicate ",
        "event with id ",
        "is was already ",
        "( ",
        "''",
        "A_",
        "Ab",
        "a. ",
        "x" * 9,
    ],
)
def test_a_long_message_takes_no_longer(part: str) -> None:
    began = time.process_time()
    says_duplicate([part * 100_000], "7")
    says_duplicate([part * 100_000], None)

    assert time.process_time() - began < 1
    assert len(part * 100_000) > MAX_TEXT
