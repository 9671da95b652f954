"""The default shipper, as it is made from the environment."""

from __future__ import annotations

import os
import subprocess
import sys

from togai_shipper.testing import FakeTogai

DEFAULT = """
import togai_shipper

first = togai_shipper.track("api_call", "acme", {"n": 1})
assert togai_shipper.flush(10)
assert togai_shipper.stats().delivered == 1
assert togai_shipper.close(10)
assert togai_shipper.track("api_call", "acme") is None
togai_shipper.configure()
print(first, togai_shipper.track("api_call", "acme"))
togai_shipper.configure(enabled=False)  # closes the one before
"""


def test_the_default_shipper_is_made_from_the_environment_at_its_first_use(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    said = subprocess.check_output([sys.executable, "-c", DEFAULT], env=environment, text=True, timeout=60)

    assert togai.ledger.lost(said.split()) == set()
    assert togai.ledger.metered == 2
