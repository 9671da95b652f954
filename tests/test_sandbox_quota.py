"""How much the sandbox lets a client ask, on a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from togai_shipper.testing import FakeTogai, faults

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def togai(clock: Clock) -> Iterator[FakeTogai]:
    with FakeTogai(monotonic=clock) as togai:
        yield togai


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = "Bearer secret"
        yield session


def statuses(
    session: requests.Session, togai: FakeTogai, path: str, count: int, method: str = "POST"
) -> list[int]:
    """What so many requests are answered; those that pass the quota are refused as no JSON, or found."""
    return [session.request(method, togai.url + path, timeout=10).status_code for _ in range(count)]


def test_each_ingestion_endpoint_takes_50_requests_a_second(
    togai: FakeTogai, session: requests.Session, clock: Clock
) -> None:
    assert statuses(session, togai, "/ingest", 51) == [415] * 50 + [429]
    assert statuses(session, togai, "/ingestBatch", 51) == [415] * 50 + [429]

    clock.now += 0.04
    assert statuses(session, togai, "/ingest", 3) == [415] * 2 + [429]
    clock.now += 1000.0
    assert statuses(session, togai, "/ingest", 51) == [415] * 50 + [429]


def test_a_request_over_quota_gets_a_message_and_no_header_about_it(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.rate_limit = 1.0
    statuses(session, togai, "/ingest", 1)

    reply = session.post(togai.url + "/ingest", timeout=10)

    assert (reply.status_code, reply.json()) == (429, {"message": "too many requests"})
    assert set(reply.headers) == {"date", "content-type", "content-length"}
    togai.throttle_retry_after = 2
    assert session.post(togai.url + "/ingest", timeout=10).headers["Retry-After"] == "2"


def test_all_other_endpoints_share_10_requests_a_second(togai: FakeTogai, session: requests.Session) -> None:
    assert statuses(session, togai, "/events", 5, "GET") == [200] * 5
    assert statuses(session, togai, "/authenticate", 5) == [200] * 5
    assert statuses(session, togai, "/events/x", 1, "GET") == [429]


def test_rate_limit_and_burst_are_switches(togai: FakeTogai, session: requests.Session, clock: Clock) -> None:
    togai.rate_limit, togai.burst = 2.0, 3
    assert statuses(session, togai, "/ingest", 4) == [415] * 3 + [429]
    clock.now += 0.5
    assert statuses(session, togai, "/ingest", 2) == [415, 429]

    togai.rate_limit = None
    assert statuses(session, togai, "/ingest", 60) == [415] * 60


def test_a_rate_below_one_a_second_still_lets_one_through(
    togai: FakeTogai, session: requests.Session, clock: Clock
) -> None:
    togai.rate_limit = 0.5

    assert statuses(session, togai, "/ingest", 2) == [415, 429]
    clock.now += 2.0
    assert statuses(session, togai, "/ingest", 2) == [415, 429]


def test_a_request_over_quota_takes_nothing_from_the_script(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.rate_limit = 1.0
    togai.script(faults.Refuse(500), faults.Refuse(503))

    assert statuses(session, togai, "/ingest", 2) == [500, 429]
    assert togai.script_left == 1


def test_requests_without_a_key_cost_no_quota_and_are_not_limited_by_default(
    togai: FakeTogai, session: requests.Session
) -> None:
    session.headers["Authorization"] = "Bearer other"
    assert statuses(session, togai, "/ingest", 60) == [401] * 60

    session.headers["Authorization"] = "Bearer secret"
    assert statuses(session, togai, "/ingest", 1) == [415]


def test_requests_without_a_key_can_be_limited_to_5_in_30_minutes(
    togai: FakeTogai, session: requests.Session, clock: Clock
) -> None:
    togai.unauthenticated_limit = 5
    session.headers["Authorization"] = "Bearer other"
    assert statuses(session, togai, "/ingest", 3) == [401] * 3
    clock.now += 60.0
    assert statuses(session, togai, "/events", 3, "GET") == [401, 401, 429]

    clock.now += 1740.0
    togai.unauthenticated_status = 403
    assert statuses(session, togai, "/ingest", 3) == [401, 401, 403]
    session.headers["Authorization"] = "Bearer secret"
    assert statuses(session, togai, "/ingest", 1) == [415]
