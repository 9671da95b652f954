"""The one shipper of a process, as it is changed for another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import togai_shipper
from togai_shipper import ConfigurationError
from togai_shipper.testing import FakeTogai


@pytest.fixture(autouse=True)
def _left_disabled() -> Iterator[None]:
    yield
    togai_shipper.configure(enabled=False)


def test_configuring_another_delivers_first_what_the_one_before_has_pending(togai: FakeTogai) -> None:
    togai_shipper.configure(api_key="secret", base_url=togai.url, flush_interval=3600)
    event_id = togai_shipper.track("api_call", "acme")
    assert togai.ledger.metered == 0
    togai_shipper.configure(enabled=False)

    assert togai.ledger.ids == {event_id}


def test_options_that_are_refused_leave_the_one_before_at_work(togai: FakeTogai) -> None:
    togai_shipper.configure(api_key="secret", base_url=togai.url, flush_interval=3600)
    with pytest.raises(ConfigurationError):
        togai_shipper.configure(api_key="secret", batch_size=0)

    event_id = togai_shipper.track("api_call", "acme")
    assert togai_shipper.flush(10)
    assert togai.ledger.ids == {event_id}
