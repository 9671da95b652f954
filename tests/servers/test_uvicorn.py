"""uvicorn, alone and with workers: it dies of the signal that stops it, so its lifespan has to close."""

from __future__ import annotations

import signal

import pytest
from serving import assert_each_is_billed_once, serving

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.servers


@pytest.mark.parametrize(
    ("workers", "status"), [([], -signal.SIGTERM), (["--workers", "2"], 0)], ids=["alone", "two workers"]
)
def test_the_lifespan_of_the_application_delivers_what_its_worker_holds(
    togai: FakeTogai, workers: list[str], status: int
) -> None:
    with serving(togai, "uvicorn", "asgi:app", "--fd", "{fd}", *workers) as server:
        answers = [server.get() for _ in range(6)]
        assert togai.ledger.accepted == 0

        assert server.stop() == status
        assert {event for answer in answers for event in answer["ids"]} == server.notes.ids()
        assert_each_is_billed_once(togai, server.notes.ids())
        assert "Traceback" not in server.log
