"""One closed account, a real Redis and real drainers: what others track goes on, also behind a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
from drainers import drainers
from filled import hand_over
from servers import RedisServer, needs_redis, until

from togai_shipper.relay.link import Link
from togai_shipper.testing import FakeTogai

pytestmark = [needs_redis, pytest.mark.night]  # a minute, most of it waits
BAD = 30_000  # events: more than a drainer has in memory


def test_events_of_others_are_delivered_beside_and_behind_more_of_it_than_fit_in_memory(
    togai: FakeTogai, redis_server: RedisServer, tmp_path: Path
) -> None:
    togai.poison(lambda event: event["accountId"] == "closed")
    redis_server.client().flushall()
    link = Link(redis_server.url, "togai")
    with drainers(togai, redis_server, tmp_path) as those:
        good = hand_over(link, togai.url, 100)
        those.start()
        until(lambda: not togai.ledger.lost(good))
        for _ in range(BAD // 600):
            hand_over(link, togai.url, 1, 500, account="closed")
            hand_over(link, togai.url, 5, 20, account="closed")
            good += hand_over(link, togai.url, 1)
        until(lambda: not togai.ledger.lost(good), 60)

        those.await_leader().kill()
        those.start()
        good += hand_over(link, togai.url, 100)
        until(lambda: not togai.ledger.lost(good), 90)

        assert togai.ledger.billed_twice == set()
        assert int(link.facts()["events"]) > BAD - 5_000
        assert "Togai rejects every event that has the account" in those.said()
    link.close()
