"""``POST /metrics`` of the sandbox: what it counts, when, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import requests
from bare_client import batch, event, single

from togai_shipper.sandbox.metrics_contract import EVENT_FILTERS, EVENT_GROUPS, NAMES
from togai_shipper.testing import FakeTogai

if TYPE_CHECKING:
    from manual_clock import ManualClock

Figures: TypeAlias = dict[str, dict[str, int]]  # of each group: the beginning of a period -> a count

EVENTS: dict[str, Any] = {"id": "m1", "name": "EVENTS", "aggregationPeriod": "DAY"}
ALL = [{"fieldName": "EVENT_STATUS", "fieldValues": ["PROCESSED", "UNPROCESSED", "IN_PROGRESS"]}]


def ask(
    session: requests.Session,
    togai: FakeTogai,
    *queries: Mapping[str, Any],
    start: str = "2023-12-01T00:00:00Z",
    end: str = "2024-02-01T00:00:00Z",
) -> requests.Response:
    body = {"startTime": start, "endTime": end, "metricQueries": queries}
    return session.post(togai.url + "/metrics", json=body, timeout=10)


def figures(session: requests.Session, togai: FakeTogai, **options: Any) -> Figures:
    """What one query counts, by group (``""`` without one) and period."""
    span = {name: options.pop(name) for name in ("start", "end") if name in options}
    reply = ask(session, togai, EVENTS | options, **span)
    assert reply.status_code == 200, reply.text
    (result,) = reply.json()["results"]
    return {
        each.get("groupedBy", {}).get("fieldValue", ""): dict(
            zip(each["timestamps"], each["metricValues"], strict=True)
        )
        for each in result["data"]
    }


def totals(session: requests.Session, togai: FakeTogai, **options: Any) -> dict[str, int]:
    """What one query counts, by group alone."""
    return {group: sum(each.values()) for group, each in figures(session, togai, **options).items()}


def filtered(field: str, *values: str) -> list[dict[str, Any]]:
    return [{"fieldName": field, "fieldValues": list(values)}]


# --- its form ---------------------------------------------------------------------------------------------


def test_the_reply_has_togais_form(togai: FakeTogai, session: requests.Session) -> None:
    batch(session, togai, event("a"), event("b"), event("c", schemaName="sms"))

    reply = ask(session, togai, EVENTS | {"groupBy": "SCHEMA_NAME"}, EVENTS | {"id": "m2"})

    assert reply.status_code == 200
    assert reply.json() == {
        "results": [
            {
                "id": "m1",
                "name": "EVENTS",
                "data": [
                    {
                        "groupedBy": {"fieldName": "SCHEMA_NAME", "fieldValue": "api_call"},
                        "timestamps": ["2023-12-31T00:00:00Z"],
                        "metricValues": [2],
                    },
                    {
                        "groupedBy": {"fieldName": "SCHEMA_NAME", "fieldValue": "sms"},
                        "timestamps": ["2023-12-31T00:00:00Z"],
                        "metricValues": [1],
                    },
                ],
            },
            {
                "id": "m2",
                "name": "EVENTS",
                "data": [{"timestamps": ["2023-12-31T00:00:00Z"], "metricValues": [3]}],
            },
        ]
    }


def test_the_start_belongs_to_the_range_and_the_end_does_not(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(
        session,
        togai,
        event("a", timestamp="2024-01-01T00:00:00Z"),
        event("b", timestamp="2024-01-01T23:59:59.999Z"),
        event("c", timestamp="2024-01-02T00:00:00Z"),
        event("d", timestamp="2023-12-31T23:59:59.999Z"),
    )

    assert figures(session, togai, start="2024-01-01T00:00:00Z", end="2024-01-02T00:00:00Z") == {
        "": {"2024-01-01T00:00:00Z": 2}
    }


@pytest.mark.parametrize(
    ("period", "begins"),
    [
        ("HOUR", ["2024-01-03T10:00:00Z", "2024-01-03T11:00:00Z", "2024-01-08T00:00:00Z"]),
        ("DAY", ["2024-01-03T00:00:00Z", "2024-01-08T00:00:00Z"]),
        ("WEEK", ["2024-01-01T00:00:00Z", "2024-01-08T00:00:00Z"]),
        ("MONTH", ["2024-01-01T00:00:00Z"]),
    ],
)
def test_figures_are_of_hours_days_weeks_and_months(
    togai: FakeTogai, session: requests.Session, period: str, begins: list[str]
) -> None:
    times = ("2024-01-03T10:59:00Z", "2024-01-03T11:00:00Z", "2024-01-08T00:00:00Z")
    batch(session, togai, *(event(time, timestamp=time) for time in times))

    found = figures(session, togai, aggregationPeriod=period)

    assert list(found[""]) == begins
    assert sum(found[""].values()) == 3


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([], "body: must be an object"),
        ({"endTime": None}, "endTime: is required"),
        ({"step": 1}, "'step': is not a known field"),
        ({"startTime": 1704067200}, "startTime: must be an ISO 8601 date and time"),
        ({"startTime": "2024-01-01"}, "startTime: must be an ISO 8601 date and time"),
        ({"startTime": "2024-02-30T00:00:00Z"}, "startTime: must be a date and time that exist"),
        ({"startTime": "0001-01-01T00:00:00Z"}, "startTime: must be of the years 2 to 9998"),
        ({"endTime": "2024-01-01T00:00:00Z"}, "endTime: must be after startTime"),
        ({"metricQueries": {}}, "metricQueries: must be an array of 1 to 5"),
        ({"metricQueries": []}, "metricQueries: must be an array of 1 to 5"),
        (
            {"metricQueries": [EVENTS | {"id": str(n)} for n in range(6)]},
            "metricQueries: must be an array of 1 to 5",
        ),
        ({"metricQueries": [EVENTS, EVENTS]}, "metricQueries: must not repeat a query"),
        ({"metricQueries": [1]}, "metricQueries[0]: must be an object"),
        ({"metricQueries": [{}]}, "metricQueries[0].aggregationPeriod: is required"),
        ({"metricQueries": [EVENTS | {"id": 1}]}, "metricQueries[0].id: must be a string"),
        (
            {"metricQueries": [EVENTS | {"name": "CLICKS"}]},
            f"metricQueries[0].name: must be one of {', '.join(NAMES)}",
        ),
        (
            {"metricQueries": [EVENTS | {"aggregationPeriod": "YEAR"}]},
            "metricQueries[0].aggregationPeriod: must be one of HOUR, DAY, WEEK, MONTH",
        ),
        (
            {"metricQueries": [EVENTS | {"configs": {"CURRENCY": 1}}]},
            "metricQueries[0].configs: must be an object of strings",
        ),
        (
            {"metricQueries": [EVENTS | {"groupBy": "USAGE_METER_ID"}]},
            f"metricQueries[0].groupBy: must be one of {', '.join(EVENT_GROUPS)}",
        ),
        (
            {"metricQueries": [EVENTS | {"filters": []}]},
            "metricQueries[0].filters: must be an array of 1 to 5",
        ),
        (
            {"metricQueries": [EVENTS | {"filters": filtered("SCHEMA_NAME", "a") * 2}]},
            "metricQueries[0].filters[1].fieldName: is there already",
        ),
        (
            {"metricQueries": [EVENTS | {"filters": filtered("EVENT_ID", "a")}]},
            f"metricQueries[0].filters[0].fieldName: must be one of {', '.join(EVENT_FILTERS)}",
        ),
        (
            {"metricQueries": [EVENTS | {"filters": filtered("ACCOUNT_ID")}]},
            "metricQueries[0].filters[0].fieldValues: must be an array of at least 1 string",
        ),
        (
            {"metricQueries": [EVENTS | {"filters": filtered("SCHEMA_NAME", "a", "b")}]},
            "metricQueries[0].filters[0].fieldValues: must hold at most 1 schema name",
        ),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(
    togai: FakeTogai, session: requests.Session, body: Any, why: str
) -> None:
    right = {
        "startTime": "2024-01-01T00:00:00Z",
        "endTime": "2024-01-02T00:00:00Z",
        "metricQueries": [EVENTS],
    }
    changed = body if isinstance(body, list) else {k: v for k, v in (right | body).items() if v is not None}

    reply = session.post(togai.url + "/metrics", json=changed, timeout=10)

    assert (reply.status_code, reply.json()) == (400, {"message": why})


def test_a_body_that_is_no_json_is_refused(togai: FakeTogai, session: requests.Session) -> None:
    url, plain = togai.url + "/metrics", {"Content-Type": "application/json"}

    assert session.post(url, data=b"{", headers=plain, timeout=10).status_code == 400
    assert session.post(url, headers=plain, timeout=10).json() == {"message": "body: must be an object"}
    assert session.post(url, data=b"{}", timeout=10).status_code == 415


def test_what_the_sandbox_cannot_count_is_not_made_up(togai: FakeTogai, session: requests.Session) -> None:
    reply = ask(session, togai, EVENTS | {"name": "REVENUE", "groupBy": "BILLABLE_ID"})

    assert reply.status_code == 501
    assert reply.json()["message"] == "REVENUE: the sandbox has no usage meters and price plans, only EVENTS"


# --- filters and groups -----------------------------------------------------------------------------------


def test_in_progress_is_left_out_unless_it_is_asked_for(togai: FakeTogai, session: requests.Session) -> None:
    togai.settle_after = 60.0
    single(session, togai, event())

    assert figures(session, togai) == {}
    assert totals(session, togai, filters=ALL, groupBy="EVENT_STATUS") == {"IN_PROGRESS": 1}
    assert totals(session, togai, filters=ALL, groupBy="RAW_EVENT_STATUS") == {"INGESTION_IN_PROGRESS": 1}


def test_events_are_grouped_by_what_became_of_them(togai: FakeTogai, session: requests.Session) -> None:
    ends = {"n": "INGESTION_COMPLETED_EVENT_NOT_METERED", "u": "UNKNOWN", "r": "REVERTED"}
    togai.ends_in, togai.accounts = lambda event: ends.get(event["id"]), {"acme"}
    batch(session, togai, event("m"), event("m"), event("a", accountId="who"), *map(event, ends))

    assert totals(session, togai, groupBy="EVENT_STATUS") == {"PROCESSED": 2, "UNPROCESSED": 2}
    assert totals(session, togai, groupBy="RAW_EVENT_STATUS") == {
        "INGESTION_COMPLETED_EVENT_METERED": 1,
        "INGESTION_COMPLETED_EVENT_NOT_METERED": 1,
        "INGESTION_FAILED_ACCOUNT_NOT_FOUND": 1,
        "INGESTION_FAILED_DUPLICATE_EVENT": 1,
    }
    by_name = filtered("EVENT_STATUS", "UNKNOWN", "REVERTED", "INGESTION_COMPLETED_EVENT_METERED")
    assert totals(session, togai, groupBy="EVENT_STATUS", filters=by_name) == {
        "PROCESSED": 1,
        "REVERTED": 1,
        "UNKNOWN": 1,
    }


def test_filters_narrow_what_is_counted(togai: FakeTogai, session: requests.Session) -> None:
    togai.accounts = [{"id": "acme", "customerId": "inc", "aliases": [{"alias": "acme-eu"}]}, "globex"]
    batch(
        session,
        togai,
        event("a"),
        event("b", accountId="acme-eu"),
        event("c", accountId="globex"),
        event("d", schemaName="sms"),
    )

    def count(field: str, *values: str) -> int:
        return sum(totals(session, togai, filters=filtered(field, *values)).values())

    assert count("ACCOUNT_ID", "acme") == count("ACCOUNT_ID", "acme-eu") == count("CUSTOMER_ID", "inc") == 3
    assert count("ACCOUNT_ID", "globex", "acme") == count("ORGANIZATION_ID", "ours") == 4
    assert count("SCHEMA_NAME", "sms") == 1
    assert count("EVENT_STATUS", "UNPROCESSED") == 0
    assert totals(session, togai, groupBy="ACCOUNT_ID") == {"acme": 3, "globex": 1}


def test_without_raw_statuses_their_group_and_filter_get_a_400(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.raw_statuses = False
    raw = filtered("EVENT_STATUS", "INGESTION_COMPLETED_EVENT_METERED")

    assert ask(session, togai, EVENTS | {"groupBy": "RAW_EVENT_STATUS"}).status_code == 400
    assert ask(session, togai, EVENTS | {"filters": raw}).json() == {
        "message": (
            "metricQueries[0].filters[0].fieldValues: must be one of PROCESSED, UNPROCESSED, IN_PROGRESS"
        )
    }
    assert ask(session, togai, EVENTS | {"groupBy": "EVENT_STATUS", "filters": ALL}).status_code == 200


@pytest.mark.parametrize(
    ("field", "known", "unknown"),
    [
        ("SCHEMA_NAME", "sms", "fax"),
        ("ACCOUNT_ID", "acme", "nobody"),
        ("CUSTOMER_ID", "acme", "nobody"),
        ("SCHEMA_NAME", "togai-usage", "fax"),
    ],
)
def test_what_a_filter_gets_that_names_nothing_is_a_switch(
    *, togai: FakeTogai, session: requests.Session, field: str, known: str, unknown: str
) -> None:
    togai.schemas, togai.accounts = ["sms"], ["acme"]
    assert figures(session, togai, filters=filtered(field, unknown)) == {}

    togai.unknown_names = "refuse"
    assert figures(session, togai, filters=filtered(field, known)) == {}
    assert ask(session, togai, EVENTS | {"filters": filtered(field, unknown)}).status_code == 400


def test_every_name_exists_where_the_sandbox_is_given_none(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.unknown_names = "refuse"

    for field in ("SCHEMA_NAME", "ACCOUNT_ID", "CUSTOMER_ID"):
        assert ask(session, togai, EVENTS | {"filters": filtered(field, "any")}).status_code == 200


def test_whether_groups_show_what_does_not_exist_is_a_switch(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas, togai.accounts = ["api_call"], ["acme"]
    batch(session, togai, event("a"), event("b", schemaName="fax"), event("c", accountId="nobody"))
    assert totals(session, togai, groupBy="SCHEMA_NAME") == {"api_call": 2, "fax": 1}

    togai.unknown_groups = False
    assert totals(session, togai, groupBy="SCHEMA_NAME") == {"api_call": 2}
    assert totals(session, togai, groupBy="ACCOUNT_ID") == {"acme": 2}
    assert totals(session, togai) == {"": 3}


def test_whether_duplicates_are_unprocessed_is_a_switch(togai: FakeTogai, session: requests.Session) -> None:
    togai.duplicates_count = False
    batch(session, togai, event("a"), event("a"))
    by_name = filtered("EVENT_STATUS", "INGESTION_FAILED_DUPLICATE_EVENT")

    assert totals(session, togai, groupBy="EVENT_STATUS") == {"PROCESSED": 1}
    assert totals(session, togai, groupBy="EVENT_STATUS", filters=by_name) == {
        "INGESTION_FAILED_DUPLICATE_EVENT": 1
    }


# --- whose day --------------------------------------------------------------------------------------------


def test_whose_day_an_event_counts_on_is_a_switch(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    clock.now += 3600  # on 2024-01-01
    single(session, togai, event(timestamp="2023-12-31T23:59:59Z"))
    assert figures(session, togai) == {"": {"2023-12-31T00:00:00Z": 1}}

    togai.day_rule = "receipt"
    assert figures(session, togai) == {"": {"2024-01-01T00:00:00Z": 1}}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", timezone(timedelta(hours=5, minutes=30))])
def test_the_zone_of_days_is_a_switch(togai: FakeTogai, session: requests.Session, zone: Any) -> None:
    togai.day_zone = zone
    batch(
        session,
        togai,
        event("a", timestamp="2024-01-01T18:29:59Z"),
        event("b", timestamp="2024-01-01T18:30:00Z"),
    )

    assert figures(session, togai) == {"": {"2023-12-31T18:30:00Z": 1, "2024-01-01T18:30:00Z": 1}}
    assert list(figures(session, togai, aggregationPeriod="MONTH")[""]) == ["2023-12-31T18:30:00Z"]
    assert list(figures(session, togai, aggregationPeriod="HOUR")[""]) == [
        "2024-01-01T17:30:00Z",
        "2024-01-01T18:30:00Z",
    ]


def test_the_night_in_which_clocks_are_put_back_has_an_hour_twice(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.day_zone, togai.zero_points = "Europe/Berlin", True
    span = {"start": "2024-10-26T22:00:00Z", "end": "2024-10-27T23:00:00Z"}

    assert len(figures(session, togai, aggregationPeriod="HOUR", **span)[""]) == 25
    assert list(figures(session, togai, **span)[""]) == ["2024-10-26T22:00:00Z"]


def test_a_zone_that_does_not_exist_is_told() -> None:
    with pytest.raises(ValueError, match="day_zone: no time zone is called 'Mars'"):
        FakeTogai(day_zone="Mars")


def test_whether_periods_are_counted_whole_is_a_switch(togai: FakeTogai, session: requests.Session) -> None:
    times = ("2024-01-01T01:00:00Z", "2024-01-01T12:00:00Z", "2024-01-02T13:00:00Z")
    batch(session, togai, *(event(time, timestamp=time) for time in times))
    span = {"start": "2024-01-01T06:00:00Z", "end": "2024-01-02T06:00:00Z"}
    assert figures(session, togai, **span) == {"": {"2024-01-01T00:00:00Z": 1}}

    togai.whole_periods = True
    assert figures(session, togai, **span) == {"": {"2024-01-01T00:00:00Z": 2, "2024-01-02T00:00:00Z": 1}}
    to_midnight = {"start": "2024-01-01T06:00:00Z", "end": "2024-01-02T00:00:00Z"}
    assert figures(session, togai, **to_midnight) == {"": {"2024-01-01T00:00:00Z": 2}}


def test_events_of_the_first_and_last_year_are_counted_without_harm(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(
        session,
        togai,
        event("first", timestamp="0001-01-01T00:00:00+14:00"),
        event("last", timestamp="9999-12-31T23:59:59-12:00"),
    )

    assert figures(session, togai, start="0002-01-01T00:00:00Z", end="9998-12-31T00:00:00Z") == {}


# --- how many points --------------------------------------------------------------------------------------


def points(reply: requests.Response) -> list[list[int]]:
    return [[len(each["timestamps"]) for each in result["data"]] for result in reply.json()["results"]]


def test_more_points_than_may_be_are_refused(togai: FakeTogai, session: requests.Session) -> None:
    togai.zero_points = True
    days_of_300 = {"start": "2024-01-01T00:00:00Z", "end": "2024-10-27T00:00:00Z"}
    days_of_301 = days_of_300 | {"end": "2024-10-28T00:00:00Z"}

    assert points(ask(session, togai, EVENTS, **days_of_300)) == [[300]]
    reply = ask(session, togai, EVENTS, **days_of_301)
    assert reply.status_code == 400
    assert reply.json() == {"message": "metricQueries: ask for 301 data points, at most 300 in a response"}


@pytest.mark.parametrize(
    ("limit_of", "left"),
    [("response", [[2, 1], [0, 0]]), ("query", [[2, 1], [2, 1]]), ("group", [[2, 2], [2, 2]])],
)
def test_more_points_than_may_be_can_be_left_out_of_a_response_a_query_or_a_group(
    *, togai: FakeTogai, session: requests.Session, limit_of: Any, left: list[list[int]]
) -> None:
    togai.metrics_over_limit, togai.metrics_limit_of = "cut", limit_of
    togai.metrics_limit = 2 if limit_of == "group" else 3
    days = [f"2024-01-0{day}T00:00:00Z" for day in (1, 2)]
    batch(
        session,
        togai,
        *(event(f"{name} {day}", schemaName=name, timestamp=day) for name in ("a", "b") for day in days),
    )
    query = EVENTS | {"groupBy": "SCHEMA_NAME"}

    assert points(ask(session, togai, query, query | {"id": "m2"})) == left


def test_periods_without_events_can_be_shown_as_zero(togai: FakeTogai, session: requests.Session) -> None:
    togai.zero_points = True
    span = {"start": "2023-12-31T00:00:00Z", "end": "2024-01-02T00:00:00Z"}
    assert figures(session, togai, **span) == {"": {"2023-12-31T00:00:00Z": 0, "2024-01-01T00:00:00Z": 0}}

    single(session, togai, event())
    assert figures(session, togai, groupBy="SCHEMA_NAME", **span) == {
        "api_call": {"2023-12-31T00:00:00Z": 1, "2024-01-01T00:00:00Z": 0}
    }
    assert list(figures(session, togai, aggregationPeriod="WEEK", **span)[""]) == [
        "2023-12-25T00:00:00Z",
        "2024-01-01T00:00:00Z",
    ]
    assert len(figures(session, togai, aggregationPeriod="MONTH", **span)[""]) == 2


# --- when ------------------------------------------------------------------------------------------------


def test_events_can_be_counted_later_than_they_are_shown(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.settle_after, togai.metrics_lag = 30.0, 60.0
    single(session, togai, event("a"))
    clock.now += 45
    assert totals(session, togai, filters=ALL, groupBy="EVENT_STATUS") == {}

    single(session, togai, event("b"))
    clock.now += 15
    assert totals(session, togai, filters=ALL, groupBy="EVENT_STATUS") == {"PROCESSED": 1}
    togai.metrics_lag = 0.0
    assert totals(session, togai, filters=ALL, groupBy="EVENT_STATUS") == {"IN_PROGRESS": 1, "PROCESSED": 1}


def test_counts_stay_exact_when_the_ledger_forgets_the_events(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.event_history = 1
    batch(session, togai, *(event(str(n)) for n in range(10)))

    assert totals(session, togai) == {"": 10}


def test_what_is_counted_is_bounded_by_the_ids_that_are_known(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.id_history, togai.settle_after = 2, 60.0
    batch(session, togai, *(event(str(n), accountId=f"a{n}") for n in range(4)))
    clock.now += 30

    assert totals(session, togai, filters=ALL, groupBy="ACCOUNT_ID") == {"a2": 1, "a3": 1}
