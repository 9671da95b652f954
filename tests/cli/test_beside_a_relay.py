"""Commands that ship to Togai itself beside a relay leave its drainers their share of the quota."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from togai_shipper import Shipper
from togai_shipper.cli.app import cli
from togai_shipper.cli.beside_a_relay import shipping_to_togai

RELAY = {"TOGAI_RELAY": "redis://127.0.0.1:1"}


def test_beside_a_relay_a_shipper_takes_what_a_drainer_leaves_of_the_quota() -> None:
    assert shipping_to_togai(RELAY, {"base_url": "x"}) == {"rate_limit": 5, "base_url": "x", "relay": None}


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ({}, {}),
        ({"TOGAI_RELAY": ""}, {}),
        ({**RELAY, "TOGAI_RATE_LIMIT": "50"}, {}),
        (RELAY, {"rate_limit": 9}),
    ],
)
def test_otherwise_it_has_the_rate_that_somebody_has_said(
    environ: dict[str, str], options: dict[str, float]
) -> None:
    assert shipping_to_togai(environ, options) == {**options, "relay": None}


def test_the_options_make_a_shipper_that_has_no_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGAI_RELAY", RELAY["TOGAI_RELAY"])
    with Shipper(api_key="secret", **shipping_to_togai(RELAY, {})) as shipper:
        assert shipper.stats().relayed == 0


def test_the_help_of_drain_says_what_is_sent_beside_a_relay_and_what_the_exit_statuses_mean() -> None:
    text = " ".join(CliRunner().invoke(cli, ["drain", "--help"]).output.split())

    assert 'Where TOGAI_RELAY is set, DIR\'s events and those of "send" take 5 requests a second' in text
    assert "3 nothing but entries that are not ours is left" in text
