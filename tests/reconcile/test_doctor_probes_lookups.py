"""``doctor --probe-lookups``: what Togai leaves open about look-ups is found out, and nothing is changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner
from scene import DAY, NOW, Scene, at, event

from togai_shipper._config import Config
from togai_shipper.cli.app import cli
from togai_shipper.cli.doctor.lookup_checks import lookups
from togai_shipper.cli.togai_asked import togai_asked
from togai_shipper.testing import faults

BACKDATED = NOW.date() - timedelta(days=5)


def told(scene: Scene) -> list[str]:
    config = Config.load({}, api_key="secret", base_url=scene.togai.url)
    with togai_asked(config, 10, pause=lambda _: None) as togai:
        return [f"{each.level}: {each.found}" for each in lookups(togai, NOW)]


@pytest.mark.parametrize("rule", ["event", "receipt"])
@pytest.mark.parametrize("is_single", [True, False])
def test_the_day_rule_and_what_is_counted_are_found_out(scene: Scene, rule: str, is_single: bool) -> None:  # noqa: FBT001  pytest's
    scene.togai.day_rule = rule  # type: ignore[assignment]  # one of two
    scene.togai.raw_statuses = is_single
    scene.receive([event("a", account="one", when=at(BACKDATED))], at(BACKDATED, 60))
    scene.receive([event("b", account="two", when=at(BACKDATED, 80))])

    listed, counted, days, found = told(scene)

    assert listed == "ok: events can be listed, the newest first"
    assert counted == (
        "ok: events are counted by every single status"
        if is_single
        else "warn: events are counted by groups of statuses alone"
    )
    assert days == "ok: Togai's days begin at 00:00 UTC, as ours do"
    assert f"--day-rule {rule}, or TOGAI_DAY_RULE={rule}" in found


def test_where_no_event_shows_the_rule_that_is_said(scene: Scene) -> None:
    scene.receive([event("a", when=at(BACKDATED))])

    assert told(scene)[-1] == "warn: no event shows to which day Togai counts it"


def test_an_account_with_events_on_both_days_shows_nothing(scene: Scene) -> None:
    scene.receive([event("a", when=at(BACKDATED)), event("b", when=at(BACKDATED, 60))], at(BACKDATED, 61))
    scene.receive([event("c", when=at(BACKDATED))])

    assert "day" in told(scene)[-1]


def test_days_of_another_zone_are_told(scene: Scene) -> None:
    scene.togai.day_zone = "Asia/Kolkata"  # type: ignore[assignment]  # its converter takes names
    scene.receive([event("a", when=at(BACKDATED))])

    assert "warn: Togai's days begin at 18:30 UTC" in told(scene)


def test_a_togai_that_has_no_event_says_little(scene: Scene) -> None:
    assert told(scene) == [
        "ok: events can be listed",
        "ok: events are counted by every single status",
        "warn: no event is counted in the last 7 days",
        "warn: no event shows to which day Togai counts it",
    ]


def test_a_key_without_rights_is_a_warning(scene: Scene) -> None:
    scene.togai.may_look_up = False

    assert told(scene) == [
        "warn: events cannot be listed: GET /events: the key may not look this up (403)",
        "warn: events cannot be counted: POST /metrics: the key may not look this up (403)",
    ]


def test_counts_that_are_refused_or_are_none_are_a_warning(scene: Scene) -> None:
    scene.togai.on_lookup = lambda request: faults.Refuse(400) if request.method == "POST" else None
    assert told(scene)[1:] == ["warn: events cannot be counted: POST /metrics: refused by the sandbox"]

    scene.togai.on_lookup = lambda request: faults.Answer(200, b"{}") if request.method == "POST" else None
    assert told(scene)[1:] == ["warn: events cannot be counted: results: must be a list"]


def test_the_doctor_probes_only_when_it_is_asked_to(scene: Scene) -> None:
    scene.receive([event("a", when=at(DAY))])
    environ = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": scene.togai.url}

    plain = CliRunner(env=environ).invoke(cli, ["doctor"])
    assert "look-ups" not in plain.output
    probed = CliRunner(env=environ).invoke(cli, ["doctor", "--probe-lookups"])
    assert probed.exit_code == 0
    assert "events can be listed" in probed.output
    assert len(scene.togai.requests) <= 20
    refused = CliRunner(env=environ).invoke(cli, ["doctor", "--probe-lookups", "--no-request"])
    assert refused.exit_code == 2
