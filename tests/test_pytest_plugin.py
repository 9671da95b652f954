"""A user's test suite: what its tests can say with our fixtures, and what they print when they fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from togai_shipper import ConfigurationError, Shipper, _default, testing

pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.Pytester]:
    """A suite of a user who has asked for the plugin, with an application that meters."""
    for name in ("TOGAI_API_KEY", "TOGAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makeconftest('pytest_plugins = ["togai_shipper.pytest_plugin"]')
    pytester.makepyfile(
        shop="""
        import togai_shipper

        def serve(account, region="eu", shipper=togai_shipper):
            shipper.track("api_call", account, {"count": 1, "ms": (12.5, "Milliseconds")}, {"region": region})
        """
    )
    with _default.replaced(Shipper):  # it runs in this process, but as if it were the first here
        yield pytester


def passes(suite: pytest.Pytester, tests: str, count: int = 1) -> None:
    suite.makepyfile(dedent(tests))
    suite.runpytest_inprocess().assert_outcomes(passed=count)


def fails(suite: pytest.Pytester, tests: str) -> list[str]:
    """The lines of its error."""
    suite.makepyfile(dedent(tests))
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    return [line[1:].strip() for line in result.outlines if line.startswith("E ")]


# --- what is recorded ---------------------------------------------------------------------------------------


def test_a_shipper_that_is_recorded_twice_is_told_of_once(suite: pytest.Pytester) -> None:
    told = fails(
        suite,
        """
        from togai_shipper import Shipper

        def test_serving_is_metered(recorded_events):
            shipper = Shipper(enabled=False)
            for _ in range(2):
                recorded_events.record(shipper)
            shipper.metered("", "acme")(lambda: None)()
            recorded_events.assert_tracked("api_call")
        """,
    )
    assert told[-1] == "refused by track(): invalid 1"


def test_what_the_default_shipper_is_given_is_recorded_without_a_key_or_a_network(
    suite: pytest.Pytester,
) -> None:
    passes(
        suite,
        """
        import shop

        def test_serving_is_metered(recorded_events):
            shop.serve("acme")
            [event] = recorded_events
            assert (event.schema_name, event.account_id) == ("api_call", "acme")
            recorded_events.assert_tracked(
                "api_call", account="acme", attributes={"count": 1}, dimensions={"region": "eu"}
            )

        def test_nothing_is_left_of_the_test_before(recorded_events):
            recorded_events.assert_nothing_tracked()
            assert len(recorded_events) == 0
        """,
        2,
    )


def test_a_shipper_is_handed_to_the_application_and_is_a_real_strict_one(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import pytest
        import shop
        from togai_shipper import InvalidEvent, Shipper

        def test_serving_is_metered(recorded_events):
            assert isinstance(recorded_events.shipper, Shipper)
            shop.serve("acme", shipper=recorded_events.shipper)
            assert recorded_events[0].account_id == "acme"
            with pytest.raises(InvalidEvent):
                recorded_events.shipper.track("api_call", "")
            assert recorded_events.shipper.flush() and recorded_events.shipper.stats().delivered == 1
        """,
    )


def test_a_shipper_made_at_import_records_for_the_time_of_the_test(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGAI_ENABLED", "0")
    suite.makepyfile(
        app="""
        from togai_shipper import Shipper

        def redact(event):
            return None if event.account_id == "internal" else event

        shipper = Shipper(before_send=redact)
        """
    )
    passes(
        suite,
        """
        import app

        def test_what_is_tracked_is_recorded_as_it_would_be_sent(recorded_events):
            recorded_events.record(app.shipper)
            app.shipper.track("order", "acme")
            app.shipper.track("order", "internal")
            recorded_events.assert_tracked("order", times=1)
            app.shipper.close()

        def test_another_test_records_again(recorded_events):
            recorded_events.record(app.shipper)
            app.shipper.track("order", "globex")
            assert [event.account_id for event in recorded_events] == ["globex"]

        def test_who_does_not_care_need_not():
            assert app.shipper.track("order", "acme")
            assert app.shipper.stats().refused["disabled"] == 1
        """,
        3,
    )


def test_an_application_that_configures_the_default_shipper_records_with_its_options(
    suite: pytest.Pytester,
) -> None:
    passes(
        suite,
        """
        import attrs
        import togai_shipper

        def shout(event):
            return attrs.evolve(event, account_id=event.account_id.upper())

        def test_the_application_starts(recorded_events):
            togai_shipper.configure(before_send=shout, base_url="https://togai.example", max_in_flight=8)
            togai_shipper.track("order", "acme")
            recorded_events.assert_tracked("order", account="ACME")

        def test_another_of_its_own(recorded_events):
            recorded_events.make(before_send=shout).track("order", "acme")
            recorded_events.assert_tracked("order", account="ACME")
        """,
        2,
    )


def test_a_shipper_that_recorded_takes_nothing_after_the_test(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        kept = []

        def test_somebody_keeps_it(recorded_events):
            kept.extend([recorded_events.shipper, recorded_events.make()])
            for shipper in kept:
                assert shipper.track("order", "acme")

        def test_and_uses_it_later(recorded_events):
            for shipper in kept:
                assert shipper.track("order", "acme") is None
            recorded_events.assert_nothing_tracked()
        """,
        2,
    )


def test_the_default_shipper_of_before_is_back_afterwards(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        import togai_shipper

        togai_shipper.configure(enabled=False)
        togai_shipper.track("order", "acme")

        def test_something(recorded_events):
            togai_shipper.track("order", "acme")

        def test_afterwards():
            assert togai_shipper.stats().refused["disabled"] == 1
            assert togai_shipper.stats().accepted == 0
        """,
        2,
    )


def test_an_id_that_comes_again_counts_once_as_with_togai(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        def test_a_job_that_is_run_again_bills_once(recorded_events):
            for _ in range(2):
                recorded_events.shipper.track("order", "acme", {"n": 1}, idempotency_key="order-7")
            [event] = recorded_events.assert_tracked("order", times=1)
            recorded_events.assert_tracked("order", event_id=event.id)
        """,
    )


def test_a_receipt_is_had_at_once(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        def test_the_caller_waits_for_an_outcome(recorded_events):
            assert recorded_events.shipper.submit("order", "acme").result(timeout=60)
            recorded_events.assert_tracked("order")
        """,
    )


def test_many_events_are_recorded_in_the_order_in_which_they_were_tracked(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        def test_many(recorded_events):
            for n in range(1203):
                recorded_events.shipper.track("order", "acme", {"n": n})
            assert [event.attributes[0].value for event in recorded_events] == [str(n) for n in range(1203)]
            recorded_events.clear()
            assert repr(recorded_events) == "<RecordedEvents: 0 events>"
        """,
    )


def test_in_frozen_time_stamps_stand_still_and_ids_and_deadlines_go_on(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        from datetime import datetime, timezone
        from freezegun import freeze_time

        @freeze_time("2026-01-31T12:00:00Z")
        def test_frozen(recorded_events):
            ids = {recorded_events.shipper.track("order", "acme") for _ in range(3)}
            assert len(ids) == 3
            recorded_events.assert_tracked("order", timestamp="2026-01-31T13:00:00+01:00", times=3)
            recorded_events.assert_tracked("order", timestamp=datetime.now(timezone.utc), times=3)

        def test_recording_begun_in_frozen_time():
            from togai_shipper.testing import RecordedEvents

            with freeze_time("2026-01-31T12:00:00Z") as frozen, RecordedEvents() as recorded:
                recorded.shipper.track("order", "acme")
                frozen.tick(86_400)
                recorded.shipper.track("order", "acme")
                stamps = [event.timestamp for event in recorded]
            assert stamps == ["2026-01-31T12:00:00.000Z", "2026-02-01T12:00:00.000Z"]
        """,
        2,
    )


def test_what_no_test_can_know_beforehand_may_be_left_open(suite: pytest.Pytester) -> None:
    passes(
        suite,
        """
        from decimal import Decimal
        from unittest.mock import ANY

        import pytest

        def test_open(recorded_events):
            recorded_events.shipper.track(
                "order", "acme", {"total": "19.90", "ms": (12.53, "Milliseconds")}, {"region": "eu"}
            )
            for attributes in (
                {"total": 19.9},
                {"total": Decimal("19.9000")},
                {"ms": 12.53},
                {"ms": ANY},
                {"ms": (ANY, "Milliseconds")},
                {"ms": (pytest.approx(12.5, abs=0.1), "Milliseconds")},
            ):
                recorded_events.assert_tracked("order", "acme", attributes, {"region": ANY})
            recorded_events.assert_tracked(ANY, dimensions={}, times=1)
            recorded_events.assert_tracked("order", attributes={"ms": (ANY, "Seconds")}, times=0)
        """,
    )


# --- what is printed ----------------------------------------------------------------------------------------

TRACKED = """
    from freezegun import freeze_time
    import shop

    @freeze_time("2026-01-31T12:00:00Z")
    def test_it(recorded_events):
        shipper = recorded_events.shipper
        shipper.track("login", "acme", {"seats": 3}, event_id="e1")
        shipper.track("api_call", "acme", {"count": 1, "ms": (7, "Seconds")}, {"region": "eu"}, event_id="e2")
        shipper.track("api_call", "globex", {"count": 1}, {"zone": "us"}, event_id="e3")
        shipper.track("job", "initech", event_id="e4")
"""
WANTED = "attributes {'count': 2, 'ms': (7, 'Milliseconds')}, dimensions {'region': 'us'}"
LOGIN = "'login' for 'acme', {'seats': 3}, {}, at 2026-01-31T12:00:00.000Z, id 'e1'"
CALL = (
    "'api_call' for 'acme', {'count': 1, 'ms': (7, 'Seconds')}, {'region': 'eu'}, "
    "at 2026-01-31T12:00:00.000Z, id 'e2'"
)
GLOBEX = "'api_call' for 'globex', {'count': 1}, {'zone': 'us'}, at 2026-01-31T12:00:00.000Z, id 'e3'"


def test_an_event_that_is_missed_is_told_with_the_nearest_ones_and_what_differs(
    suite: pytest.Pytester,
) -> None:
    lines = fails(
        suite,
        TRACKED
        + """
        recorded_events.assert_tracked(
            "api_call", account="acme", attributes={"count": 2, "ms": (7, "Milliseconds")},
            dimensions={"region": "us"},
        )
    """,
    )

    assert lines == [
        f"AssertionError: not tracked: 'api_call' for 'acme' with {WANTED}",
        "of 4 events tracked, the nearest:",
        CALL,
        "attributes['count'] is 1, not 2",
        "attributes['ms'] is (7, 'Seconds'), not (7, 'Milliseconds')",
        "dimensions['region'] is 'eu', not 'us'",
        LOGIN,
        "schema_name is 'login', not 'api_call'",
        "attributes['count'] is missing; there is 'seats'",
        "attributes['ms'] is missing; there is 'seats'",
        "dimensions['region'] is missing; there is none",
        GLOBEX,
        "account is 'globex', not 'acme'",
        "attributes['count'] is 1, not 2",
        "attributes['ms'] is missing; there is 'count'",
        "dimensions['region'] is missing; there is 'zone'",
    ]


def test_an_event_at_another_time_or_with_another_id_is_told_so(suite: pytest.Pytester) -> None:
    lines = fails(
        suite,
        TRACKED
        + """
        recorded_events.assert_tracked("login", timestamp="2026-01-31T12:00:01Z", event_id="e9")
    """,
    )

    assert lines[:5] == [
        "AssertionError: not tracked: 'login' with timestamp '2026-01-31T12:00:01.000Z', event_id 'e9'",
        "of 4 events tracked, the nearest:",
        LOGIN,
        "timestamp is '2026-01-31T12:00:00.000Z', not '2026-01-31T12:00:01.000Z'",
        "event_id is 'e1', not 'e9'",
    ]


def test_an_event_that_came_too_often_is_told_each_time(suite: pytest.Pytester) -> None:
    lines = fails(suite, TRACKED + '        recorded_events.assert_tracked("api_call", times=1)')

    assert lines == ["AssertionError: tracked 2 times, not 1: 'api_call'", CALL, GLOBEX]


def test_an_event_that_came_too_seldom_is_told_with_the_nearest(suite: pytest.Pytester) -> None:
    lines = fails(suite, TRACKED + '        recorded_events.assert_tracked("api_call", "acme", times=2)')

    assert lines[:4] == [
        "AssertionError: tracked 1 time, not 2: 'api_call' for 'acme'",
        "of 4 events tracked, the nearest:",
        LOGIN,
        "schema_name is 'login', not 'api_call'",
    ]


def test_where_nothing_was_to_be_tracked_what_was_is_told(suite: pytest.Pytester) -> None:
    lines = fails(suite, TRACKED + "        recorded_events.assert_nothing_tracked()")

    assert lines == ["AssertionError: 4 events tracked:", LOGIN, CALL, GLOBEX, "and 1 more"]


def test_where_track_refused_the_events_that_is_told(suite: pytest.Pytester) -> None:
    lines = fails(
        suite,
        """
        def test_an_application_that_swallows_errors(recorded_events):
            try:
                recorded_events.shipper.track("order", "acme", {"n": True})
            except ValueError:
                pass
            recorded_events.assert_tracked("order")
        """,
    )

    assert lines == [
        "AssertionError: not tracked: 'order'",
        "nothing was tracked",
        "refused by track(): invalid 1",
    ]


def test_a_failure_points_at_the_line_of_the_test_and_shows_nothing_of_ours(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        def test_it(recorded_events):
            recorded_events.assert_tracked("order")
        """
    )
    result = suite.runpytest_inprocess()

    result.stdout.fnmatch_lines([">       recorded_events.assert_tracked(*", "*.py:2: AssertionError"])
    result.stdout.no_fnmatch_line("*_recording.py*")


# --- a Togai ------------------------------------------------------------------------------------------------


def test_a_suite_has_a_togai_of_its_own_to_which_the_environment_leads(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGAI_ENABLED", "0")
    passes(
        suite,
        """
        import shop
        import togai_shipper
        from togai_shipper import Shipper
        from togai_shipper.testing import faults

        def test_over_http(fake_togai):
            fake_togai.script(faults.Reset(ingest="all"))
            with Shipper(backoff_initial=0.01) as shipper:
                shop.serve("acme", shipper=shipper)
            shop.serve("acme")
            assert togai_shipper.flush()
            assert (fake_togai.ledger.metered, fake_togai.ledger.billed_twice) == (2, set())

        def test_afterwards_nothing_is_sent():
            shop.serve("acme")
            assert togai_shipper.stats().refused["disabled"] == 1
            togai_shipper.close()
        """,
        2,
    )


def test_where_the_sandbox_is_not_installed_that_is_said(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import sys

        class NotInstalled:  # None in sys.modules would trip up the tracebacks of Python 3.15
            def find_spec(self, name, path, target=None):
                if name == "starlette":
                    raise ModuleNotFoundError("No module named 'starlette'", name=name)

        sys.meta_path.insert(0, NotInstalled())

        def test_it(fake_togai):
            pass

        def test_recording_needs_no_extra(recorded_events):
            recorded_events.shipper.track("order", "acme")
            recorded_events.assert_tracked("order")
        """
    )
    result = suite.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:cov")  # they take their time

    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        ["E*FakeTogai needs the extra 'sandbox' (* pip install 'togai-shipper?sandbox?'"]
    )


def test_what_there_is_none_of_in_the_sandbox_is_no_attribute() -> None:
    assert not hasattr(testing, "FakeTogay")


def test_whoever_asks_for_the_plugin_waits_for_no_network_library_before_a_fixture_is_used() -> None:
    program = (
        "import sys; there = set(sys.modules); import togai_shipper.pytest_plugin\n"
        "print(*set(sys.modules) - there)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()

    assert not {"requests", "tenacity", "starlette", "uvicorn", "sqlite3"} & set(loaded)


# --- what Togai would not bill -----------------------------------------------------------------------------

CATALOG = """{"version": 1, "event_schemas": [{
    "name": "api_call", "attributes": [{"name": "count"}], "dimensions": [{"name": "region"}],
    "usageMetersCount": 0
}]}"""
MISTYPED = """
def test_serving_is_metered(recorded_events):
    recorded_events.shipper.track("api_cal", "acme", {"count": 1}, {"region": "eu"}, event_id="order 7")
    assert len(recorded_events) == 1
    recorded_events.clear()
"""


def with_catalog(suite: pytest.Pytester, content: str = CATALOG) -> None:
    suite.makefile(".json", **{"togai-schemas": content})
    suite.makeini("[pytest]\nfilterwarnings = error\ntogai_catalog = togai-schemas.json")


def test_a_typo_in_a_schemas_name_fails_the_test_that_tracks_it(suite: pytest.Pytester) -> None:
    with_catalog(suite)
    suite.makepyfile(MISTYPED)
    result = suite.runpytest_inprocess()

    result.assert_outcomes(passed=1, errors=1)
    told = [line[1:].strip() for line in result.outlines if line.startswith("E ")]
    assert told[0].endswith("Togai would take these events, and not bill them")
    assert told[1] == "no event schema is named 'api_cal'; the nearest is 'api_call':"
    assert told[2].startswith("'api_cal' for 'acme'")


def test_what_the_schema_has_passes_also_where_no_meter_counts_it(suite: pytest.Pytester) -> None:
    with_catalog(suite)
    passes(suite, "import shop\n\ndef test_it(recorded_events):\n    shop.serve('acme')\n")


def test_a_togai_of_ones_own_has_the_schemas_of_the_catalog(suite: pytest.Pytester) -> None:
    with_catalog(suite, CATALOG.replace('"usageMetersCount": 0', '"usageMetersCount": 1'))
    passes(
        suite,
        """
        from togai_shipper import Shipper

        def test_it(fake_togai):
            with Shipper() as shipper:
                for schema in ("api_call", "api_cal"):
                    shipper.track(schema, "acme", {"count": 1}, {"region": "eu"})
            assert (fake_togai.ledger.metered, len(fake_togai.ledger.records)) == (1, 2)
        """,
    )


def test_without_the_option_no_test_is_held_to_a_catalog(suite: pytest.Pytester) -> None:
    passes(suite, MISTYPED)


def test_a_catalog_that_is_none_is_told(suite: pytest.Pytester) -> None:
    with_catalog(suite, "[]")
    suite.makepyfile(MISTYPED)
    result = suite.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    assert "ConfigurationError: catalog " in result.stdout.str()


def test_a_catalog_may_be_given_without_pytest_and_must_be_for_the_question(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(CATALOG)
    with testing.RecordedEvents(tmp_path / "a.json") as recorded:
        recorded.shipper.track("api_call", "acme", {"count": 1}, {"region": "eu"})
        recorded.assert_in_catalog()
        recorded.shipper.track("api_call", "acme")
        with pytest.raises(AssertionError, match="needs attribute 'count', dimension 'region':"):
            recorded.assert_in_catalog()
    with testing.RecordedEvents() as recorded, pytest.raises(ConfigurationError, match="catalog: missing"):
        recorded.assert_in_catalog()
