"""What the sandbox says of each event: billed, known, refused and why, or accepted and not billed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bare_client import DAY, batch, event, single

from togai_shipper.testing import EventOutcome, FakeTogai, faults

if TYPE_CHECKING:
    import requests
    from manual_clock import ManualClock

BILLED = EventOutcome("billed")
KNOWN = EventOutcome("known")


def refused(reason: str) -> EventOutcome:
    return EventOutcome("refused", reason)


def outcomes(togai: FakeTogai) -> tuple[EventOutcome | None, ...]:
    return togai.requests[-1].outcomes


def test_a_new_id_is_billed_and_a_repeated_one_is_known(togai: FakeTogai, session: requests.Session) -> None:
    batch(session, togai, event("a"), event("b"), event("a"))

    assert outcomes(togai) == (BILLED, BILLED, KNOWN)
    assert togai.requests[-1].reason == ""
    assert togai.requests[-1].ended is not None


def test_all_of_a_refused_batch_is_refused_for_the_same_reason(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, event("a"), event("b", schemaName=""))

    why = "events[1].schemaName: must be 1 to 50 long"
    assert outcomes(togai) == (refused(why), refused(why))
    assert togai.requests[-1].reason == why


def test_a_wrong_key_and_a_quota_are_reasons_too(togai: FakeTogai, session: requests.Session) -> None:
    session.headers["Authorization"] = "Bearer wrong"
    single(session, togai, event())
    assert outcomes(togai) == (refused("credential is not valid"),)

    session.headers["Authorization"] = "Bearer secret"
    togai.rate_limit = 0.001
    single(session, togai, event("a"))
    single(session, togai, event("b"))
    assert outcomes(togai) == (refused("too many requests"),)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Html(502, ingest="half"), (BILLED, refused("answered 502"))),
        (faults.Refuse(503, "unavailable", ingest="half"), (BILLED, refused("unavailable"))),
        (faults.Slow(0.0, then=faults.Refuse(503), ingest="all"), (BILLED, BILLED)),
        (faults.Partial(bad="b", message="no"), (BILLED, refused("no"))),
        (faults.Slow(0.0, then=faults.Partial(), ingest="half"), (BILLED, BILLED)),
        (faults.Cut(), (BILLED, BILLED)),
    ],
)
def test_what_a_fault_has_accepted_is_billed_whatever_it_replies(
    togai: FakeTogai, session: requests.Session, fault: faults.Fault, expected: Any
) -> None:
    togai.script(fault)

    try:
        batch(session, togai, event("a"), event("b"))
    except OSError:  # the reply that is cut
        assert isinstance(fault, faults.Cut)

    assert outcomes(togai) == expected


def test_without_a_reply_what_was_not_accepted_is_refused(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script(faults.Reset(ingest="half"))

    with pytest.raises(OSError, match="reset"):
        batch(session, togai, event("a"), event("b"))

    assert togai.wait(lambda: togai.requests[-1].ended is not None)
    assert outcomes(togai) == (BILLED, refused("not answered"))


def test_until_a_request_is_over_what_is_open_has_no_outcome(
    togai: FakeTogai, session: requests.Session
) -> None:
    seen: list[tuple[EventOutcome | None, ...]] = []
    togai.script(faults.Slow(0.0, ingest="half"))
    togai.poison(lambda _: seen.append(outcomes(togai)))  # is asked after the wait

    batch(session, togai, event("a"), event("b"))

    assert seen[0] == (BILLED, None)
    assert outcomes(togai) == (BILLED, BILLED)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schemaName": "apicall"}, "no schema named 'apicall'"),
        ({"accountId": "nobody"}, "no account 'nobody'"),
        (
            {"attributes": [{"name": "coutn", "value": "1"}]},
            "schema 'api_call' has no attribute 'coutn', and needs 'count'",
        ),
        (
            {"attributes": [{"name": "count", "value": "1"}, {"name": "bytes", "value": "1"}]},
            "schema 'api_call' has no attribute 'bytes'",
        ),
        ({"dimensions": {}}, "schema 'api_call' needs 'region'"),
        ({"schemaName": "togai-usage"}, "togai-usage needs usage_meter_id and usage"),
        (
            {"schemaName": "togai-named-license"},
            "a named licence needs license_id and name, and action 1 or -1",
        ),
        ({"timestamp": "2023-10-31T00:00:00Z"}, "its month, and the grace period after it, are over"),
    ],
)
def test_what_does_not_exist_is_accepted_and_not_billed(
    togai: FakeTogai, session: requests.Session, changes: dict[str, Any], reason: str
) -> None:
    togai.schemas, togai.accounts = {"api_call": ("count", "region")}, {"acme"}
    togai.grace_period = 2 * DAY

    assert single(session, togai, event(**changes)).status_code == 202

    assert outcomes(togai) == (EventOutcome("not billed", reason),)
    assert togai.ledger.metered == 0


def test_an_event_without_an_id_is_not_billed(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    single(session, togai, event(None))

    assert outcomes(togai) == (EventOutcome("not billed", "it has no id"),)


def test_a_schema_without_names_takes_any_attribute_and_a_dimension_may_always_be_more(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas = {"api_call": ("count",), "anything": ()}

    batch(session, togai, event("a"), event("b", schemaName="anything", attributes=[]))

    assert outcomes(togai) == (BILLED, BILLED)
