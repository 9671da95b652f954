"""How many requests the sandbox lets a client make: on a clock that the test moves, then over HTTP."""

from __future__ import annotations

import pytest
import requests
from manual_clock import ManualClock

from togai_shipper.sandbox.quota import Quotas
from togai_shipper.testing import FakeTogai, Switches, faults


@pytest.fixture
def switches() -> Switches:
    return Switches()


@pytest.fixture
def quotas(switches: Switches, clock: ManualClock) -> Quotas:
    return Quotas(switches, clock)


def admitted(quotas: Quotas, endpoint: str | None, count: int) -> int:
    """How many of so many requests pass."""
    return sum(quotas.admit(endpoint) for _ in range(count))


def statuses(
    session: requests.Session, togai: FakeTogai, path: str, count: int, method: str = "POST"
) -> list[int]:
    """What so many requests are answered; those that pass the quota are refused as no JSON, or found."""
    return [session.request(method, togai.url + path, timeout=10).status_code for _ in range(count)]


# --- on a clock -------------------------------------------------------------------------------------------


def test_each_ingestion_endpoint_takes_50_requests_a_second(quotas: Quotas, clock: ManualClock) -> None:
    assert admitted(quotas, "/ingest", 51) == 50
    assert admitted(quotas, "/ingestBatch", 51) == 50

    clock.now += 0.05
    assert admitted(quotas, "/ingest", 3) == 2
    clock.now += 1000.0
    assert admitted(quotas, "/ingest", 51) == 50


def test_all_other_endpoints_share_10_requests_a_second(quotas: Quotas) -> None:
    assert admitted(quotas, None, 11) == 10


def test_a_rate_below_one_a_second_still_lets_one_through(
    quotas: Quotas, switches: Switches, clock: ManualClock
) -> None:
    switches.rate_limit = 0.5

    assert admitted(quotas, "/ingest", 2) == 1
    clock.now += 2.0
    assert admitted(quotas, "/ingest", 2) == 1


def test_a_rate_limit_that_is_switched_off_and_on_again_begins_anew(
    quotas: Quotas, switches: Switches
) -> None:
    assert admitted(quotas, "/ingest", 51) == 50

    switches.rate_limit = None
    assert admitted(quotas, "/ingest", 60) == 60

    switches.rate_limit = 2.0
    assert admitted(quotas, "/ingest", 3) == 2


def test_requests_without_a_key_can_be_limited_to_5_in_30_minutes(
    quotas: Quotas, switches: Switches, clock: ManualClock
) -> None:
    switches.unauthenticated_limit = 5
    assert [quotas.admit_stranger("here") for _ in range(3)] == [True] * 3
    clock.now += 60.0
    assert [quotas.admit_stranger("here") for _ in range(3)] == [True, True, False]
    assert quotas.admit_stranger("elsewhere")

    clock.now += 1740.0
    assert [quotas.admit_stranger("here") for _ in range(3)] == [True, True, False]


# --- over HTTP --------------------------------------------------------------------------------------------


def test_a_request_over_quota_gets_a_message_and_no_header_about_it(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.rate_limit = 0.001
    statuses(session, togai, "/ingest", 1)

    reply = session.post(togai.url + "/ingest", timeout=10)

    assert (reply.status_code, reply.json()) == (429, {"message": "too many requests"})
    assert set(reply.headers) == {"date", "content-type", "content-length"}


def test_lookups_and_tokens_count_as_one_and_each_ingestion_endpoint_by_itself(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.rate_limit = togai.other_rate_limit = 0.001

    assert statuses(session, togai, "/events", 1, "GET") == [404]
    assert statuses(session, togai, "/authenticate", 1) == [429]
    assert statuses(session, togai, "/events/x", 1, "GET") == [429]
    assert statuses(session, togai, "/ingest", 2) == [415, 429]
    assert statuses(session, togai, "/ingestBatch", 2) == [415, 429]


def test_a_request_over_quota_takes_nothing_from_the_script(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.rate_limit = 0.001
    togai.script(faults.Refuse(500), faults.Refuse(503))

    assert statuses(session, togai, "/ingest", 2) == [500, 429]
    assert togai.script_left == 1


def test_requests_without_a_key_cost_no_quota_and_are_not_limited_by_default(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.rate_limit = 0.001
    session.headers["Authorization"] = "Bearer other"
    assert statuses(session, togai, "/ingest", 60) == [401] * 60

    session.headers["Authorization"] = "Bearer secret"
    assert statuses(session, togai, "/ingest", 1) == [415]


def test_too_many_requests_without_a_key_are_answered_429_on_every_endpoint(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.unauthenticated_limit = 2
    session.headers["Authorization"] = "Bearer other"
    assert statuses(session, togai, "/ingest", 1) == [401]
    assert statuses(session, togai, "/events", 2, "GET") == [401, 429]

    session.headers["Authorization"] = "Bearer secret"
    assert statuses(session, togai, "/ingest", 1) == [415]


@pytest.mark.parametrize("reply", [429, 403, 401])
def test_what_follows_too_many_requests_without_a_key_is_a_switch(
    togai: FakeTogai, session: requests.Session, reply: int
) -> None:
    togai.unauthenticated_limit, togai.unauthenticated_reply = 5, reply
    session.headers["Authorization"] = "Bearer other"

    assert statuses(session, togai, "/events", 7, "GET") == [401] * 5 + [reply] * 2


def test_whether_too_many_of_them_lock_out_the_right_key_is_a_switch(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.unauthenticated_limit, right = 1, session.headers["Authorization"]
    session.headers["Authorization"] = "Bearer other"
    statuses(session, togai, "/events", 2, "GET")
    session.headers["Authorization"] = right
    assert statuses(session, togai, "/event_schema", 1, "GET") == [200]

    togai.locks_out = True
    assert statuses(session, togai, "/event_schema", 1, "GET") == [429]
    assert statuses(session, togai, "/ingest", 1) == [429]


def test_a_source_that_was_locked_out_is_let_in_after_half_an_hour(
    quotas: Quotas, switches: Switches, clock: ManualClock
) -> None:
    switches.unauthenticated_limit, switches.locks_out = 1, True
    assert [quotas.admit_stranger("here") for _ in range(2)] == [True, False]
    assert quotas.is_locked_out("here")
    assert not quotas.is_locked_out("there")

    clock.now += 1800.0
    assert not quotas.is_locked_out("here")
