"""``togai-shipper events``: what Togai has of events, by the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from click.testing import CliRunner, Result

from togai_shipper._engine.findings import remedy_of
from togai_shipper.cli.app import cli
from togai_shipper.cli.events.command import Rhythm
from togai_shipper.cli.events.records import event_lines
from togai_shipper.cli.events_asked import EventRecord
from togai_shipper.testing import FakeTogai, faults

NOW = datetime(2026, 11, 28, 9, tzinfo=timezone.utc)


def event(event_id: str, schema: str = "api_call", account: str = "acme") -> dict[str, Any]:
    return {
        "id": event_id,
        "schemaName": schema,
        "accountId": account,
        "timestamp": "2026-11-28T08:00:00Z",
        "attributes": [{"name": "count", "value": "1"}],
        "dimensions": {},
    }


@pytest.fixture
def organisation() -> Iterator[FakeTogai]:
    """A Togai that bills one schema, and has two records of an event of it, and one of another schema."""
    schemas = {"api_call": ["count"]}
    with FakeTogai("secret", schemas=schemas, clock=NOW.timestamp, other_rate_limit=None) as togai:
        togai.ledger.accept([event("order-7"), event("order-8", "api_cal"), event("order-7")])
        yield togai


def run(togai: FakeTogai, *arguments: str, rhythm: Rhythm | None = None) -> Result:
    environ = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    return CliRunner(env=environ).invoke(
        cli, ["events", "--rate-limit", "10", *arguments], obj=rhythm, catch_exceptions=False
    )


def test_an_event_is_shown_with_every_record_of_it_and_with_what_helps(organisation: FakeTogai) -> None:
    result = run(organisation, "order-7", "order-8", "order-9")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "order-7: billed",
        "  INGESTION_COMPLETED_EVENT_METERED             2026-11-28T09:00:00.000Z",
        "  INGESTION_FAILED_DUPLICATE_EVENT              2026-11-28T09:00:00.000Z",
        "  schema api_call, account acme, of 2026-11-28T08:00:00Z",
        "  Togai says: Ingestion completed successfully",
        "order-8: not billed",
        "  INGESTION_FAILED_SCHEMA_NOT_DEFINED           2026-11-28T09:00:00.000Z",
        "  schema api_cal, account acme, of 2026-11-28T08:00:00Z",
        "  Togai says: The event schema is not defined.",
        f"  What helps: {remedy_of('INGESTION_FAILED_SCHEMA_NOT_DEFINED')}",
        "order-9: Togai shows no such event",
    ]
    assert run(organisation, "order-7").exit_code == 0


def test_a_record_that_says_little_is_shown_with_what_it_says() -> None:
    record = EventRecord("a", "api_call", "acme", "", "", "INGESTION_IN_PROGRESS", "")

    assert [*event_lines("a", [record])] == [
        "a: not billed",
        f"  {'INGESTION_IN_PROGRESS':<45} ",
        "  schema api_call, account acme, of ",
    ]


def test_an_event_is_json_for_programs(organisation: FakeTogai) -> None:
    told = json.loads(run(organisation, "order-7", "--json").stdout)

    assert (told["id"], told["is_billed"]) == ("order-7", True)
    assert [each["status"] for each in told["records"]] == [
        "INGESTION_COMPLETED_EVENT_METERED",
        "INGESTION_FAILED_DUPLICATE_EVENT",
    ]


def test_what_was_not_processed_is_listed_without_duplicates(organisation: FakeTogai) -> None:
    result = run(organisation, "--unprocessed")

    assert result.exit_code == 1
    assert result.stdout == "order-8  api_cal  acme  2026-11-28T08:00:00Z  SCHEMA_NOT_DEFINED\n"
    found = run(
        organisation, "--unprocessed", "--json", "--reason", "schema-not-defined", "--schema", "api_cal"
    )
    assert json.loads(found.stdout)["remedy"].startswith("no event schema has this name")
    none = run(organisation, "--unprocessed", "--account", "umbra")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "Togai has no such event.\n")


def test_a_long_list_is_cut_and_says_so(organisation: FakeTogai) -> None:
    organisation.ledger.accept([event(f"e-{n}", "api_cal") for n in range(70)])

    result = run(organisation, "--unprocessed", "--limit", "60")

    assert len(result.stdout.splitlines()) == 60
    assert result.stderr == "These are 60 events; there may be more: --limit\n"


class Ended(Exception):  # noqa: N818  it is what it is
    """Somebody has pressed Ctrl-C."""


def test_following_tells_what_there_is_and_then_what_is_new(organisation: FakeTogai) -> None:
    happens = [
        lambda: organisation.ledger.accept([event("a", "api_cal"), event("b", "api_cal"), event("c")]),
        lambda: organisation.script_lookups(faults.Refuse(503), faults.Refuse(503), faults.Refuse(503)),
        lambda: None,
    ]
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if not happens:
            raise Ended
        happens.pop(0)()

    moments = iter(NOW + timedelta(minutes=n) for n in range(9))
    runner = CliRunner(env={"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": organisation.url})
    result = runner.invoke(
        cli, ["events", "--unprocessed", "--follow"], obj=Rhythm(lambda: next(moments), wait)
    )

    assert isinstance(result.exception, Ended)
    assert result.stdout.splitlines() == [
        "2026-11-28T09:00:00Z  1 event SCHEMA_NOT_DEFINED",
        "2026-11-28T09:01:00Z  2 more: 3 events SCHEMA_NOT_DEFINED",
    ]
    assert result.stderr == "POST /metrics: HTTP 503; again in 60 s\n"
    assert waited == [60.0] * 4


def test_following_says_at_first_that_there_is_none_and_why_nothing_is_counted(
    organisation: FakeTogai,
) -> None:
    def end(seconds: float) -> None:
        raise Ended

    rhythm = Rhythm(lambda: NOW, end)
    runner = CliRunner(env={"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": organisation.url})
    follow = ["events", "--unprocessed", "--follow", "--reason", "UNITS_INVALID"]
    assert runner.invoke(cli, follow, obj=rhythm).stdout == (
        "2026-11-28T09:00:00Z  none unprocessed yesterday and today\n"
    )

    organisation.raw_statuses = False
    assert runner.invoke(cli, follow, obj=rhythm).stderr.startswith(
        "POST /metrics: Togai refuses the question: metricQueries[0].groupBy: must be one of"
    )

    organisation.script_lookups(faults.Answer(200, b'{"results": 5}'))
    assert (
        "not as Togai documents it: results: must be a list" in runner.invoke(cli, follow, obj=rhythm).stderr
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "give IDs, or --unprocessed"),
        (("a", "--unprocessed"), "give IDs, or --unprocessed"),
        (("a", "--schema", "b"), "--follow, --schema, --account and --reason go with --unprocessed"),
        (("--unprocessed", "--follow", "--json"), "--follow prints lines: leave out --json"),
        (("a", "--base-url", "ftp://b"), "base_url"),
    ],
)
def test_wrong_usage_is_told_in_a_line(organisation: FakeTogai, arguments: tuple[str, ...], why: str) -> None:
    result = run(organisation, *arguments)

    assert result.exit_code == 2
    assert why in result.stderr
    assert not organisation.requests


def test_a_key_without_the_right_gets_exit_status_3(organisation: FakeTogai) -> None:
    organisation.may_look_up = False

    for arguments in (("order-7",), ("--unprocessed",)):
        result = run(organisation, *arguments)
        assert (result.exit_code, result.stdout) == (3, "")
        assert "the key may not look this up (403)" in result.stderr
