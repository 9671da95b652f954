"""Under freezegun, as many test suites use it: what is stamped stands still, what lasts goes on."""

from __future__ import annotations

import json
import subprocess
import sys

from freezegun import freeze_time

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai

PROGRAM = """
import json, freezegun, togai_shipper
with freezegun.freeze_time("2026-01-31T12:00:00Z"):
    shipper = togai_shipper.Shipper("secret", base_url="http://127.0.0.1:1")  # where nobody listens
    shipper.track("api_call", "acme", {"count": 1})
    pending = shipper.flush(0.1).pending
shipper.track("api_call", "acme", {"count": 1})
print(json.dumps([pending, shipper.close(0.1).dropped]))
"""


def test_a_process_whose_first_shipper_is_made_in_frozen_time_keeps_to_its_deadlines() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )

    assert json.loads(done.stdout) == [1, 2], done.stderr


def test_in_frozen_time_events_are_stamped_with_it_and_delivered_under_different_ids(
    togai: FakeTogai,
) -> None:
    with (
        freeze_time("2026-01-31T12:00:00Z"),
        Shipper("secret", base_url=togai.url, flush_interval=0.01) as shipper,
    ):
        ids = {shipper.track("api_call", "acme", {"count": 1}) for _ in range(3)}
        assert togai.wait(lambda: togai.ledger.metered == 3)

    events = [event for request in togai.requests for event in request.events]
    assert {event["timestamp"] for event in events} == {"2026-01-31T12:00:00.000Z"}
    assert {event["id"] for event in events} == ids
    assert len(ids) == 3
