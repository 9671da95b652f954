"""``togai-shipper sandbox --switch NAME=VALUE``."""

from __future__ import annotations

from datetime import timezone
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest

from togai_shipper.cli.sandbox.chosen_switches import set_switches
from togai_shipper.testing import FakeTogai


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("day_rule=receipt", "receipt"),
        ("day_zone=Asia/Kolkata", ZoneInfo("Asia/Kolkata")),
        ("raw_statuses=false", False),
        ("raw_statuses=true", True),
        ("metrics_limit=3", 3),
        ("metrics_lag=1.5", 1.5),
        ("unauthenticated_limit=5", 5),
        ("unauthenticated_limit=none", None),
        ("rate_limit=none", None),
        ("empty_list=no key", "no key"),
    ],
)
def test_a_switch_is_set_to_what_the_text_says(text: str, value: Any) -> None:
    togai = FakeTogai()

    set_switches(togai, [text])

    assert getattr(togai, text.partition("=")[0]) == value


def test_several_are_set_in_turn() -> None:
    togai = FakeTogai()

    set_switches(togai, ["day_rule=receipt", "settle_after=3"])

    assert (togai.day_rule, togai.settle_after, togai.day_zone) == ("receipt", 3.0, timezone.utc)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("day_rule", "'day_rule' is not NAME=VALUE with one of the names batch_limit, "),
        ("day=receipt", "'day=receipt' is not NAME=VALUE with one of the names batch_limit, "),
        ("clock=1", "'clock=1' is not NAME=VALUE"),
        ("day_rule=both", "'day_rule' must be in ('event', 'receipt') (got 'both')"),
        ("day_zone=Nowhere", "day_zone: no time zone is called 'Nowhere'"),
        ("day_zone=/etc/passwd", "day_zone: no time zone is called '/etc/passwd'"),
        ("raw_statuses=off", "raw_statuses: must be true or false, not 'off'"),
        ("metrics_limit=1.5", "metrics_limit: must be a whole number, not '1.5'"),
        ("metrics_lag=soon", "metrics_lag: must be a number, not 'soon'"),
        ("metrics_lag=-1", "metrics_lag: must be a number, not '-1'"),
        ("metrics_lag=true", "metrics_lag: must be a number, not 'true'"),
        ("settle_after=none", "settle_after: must be a number, not 'none'"),
        ("rate_limit=[]", "rate_limit: must be a number, or none, not '[]'"),
    ],
)
def test_what_no_switch_can_be_is_told(text: str, why: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        set_switches(FakeTogai(), [text])

    assert caught.value.message.startswith(why)
