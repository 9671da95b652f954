"""Under an event loop: nothing here makes it stand still."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from togai_shipper import FlushReport, Shipper
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


async def ticking_until_it_has_asked(togai: FakeTogai, waiting: Coroutine[Any, Any, Any]) -> Any:
    """Await a coroutine whose request is held until the loop has gone round a hundred times meanwhile."""
    task = asyncio.ensure_future(waiting)
    assert await asyncio.to_thread(togai.wait, lambda: togai.requests)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not task.done()
    togai.release()
    return await task


@pytest.mark.parametrize("method", ["aflush", "aclose"])
def test_the_loop_goes_on_while_a_slow_reply_is_awaited(togai: FakeTogai, ship: Ship, method: str) -> None:
    shipper = ship(flush_interval=60)
    togai.script(faults.Hold())

    async def main() -> tuple[str | None, FlushReport]:
        event_id = shipper.track("api_call", "acme")
        return event_id, await ticking_until_it_has_asked(togai, getattr(shipper, method)(20))

    event_id, report = asyncio.run(main())
    assert report
    assert togai.ledger.ids == {event_id}
    assert togai.ledger.metered == 1
    assert shipper.stats().state == ("closed" if method == "aclose" else "open")


def test_a_busy_executor_holds_up_no_flush_and_one_that_is_cancelled_holds_up_no_loop(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60)
    let_go = threading.Event()

    async def main() -> FlushReport:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, let_go.wait, 60)
        shipper.track("api_call", "acme")
        report = await shipper.aflush(20)
        togai.on_request = lambda received: faults.Hold()
        shipper.track("api_call", "acme")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(shipper.aflush(30), 0.05)
        let_go.set()
        await busy
        return report

    began = time.monotonic()
    assert asyncio.run(main())
    assert time.monotonic() - began < 20  # it bounds a hang: the cancelled flush goes on for 30 s
    togai.release()


NO_THREADS = """
import _thread, asyncio, sys
from togai_shipper import Shipper

def refuse(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")

_thread.start_new_thread = refuse
shipper = Shipper("secret", base_url=sys.argv[1])
shipper.track("api_call", "acme")
assert asyncio.run(shipper.aclose())
"""


def test_a_coroutine_closes_by_itself_where_no_thread_can_be_had(togai: FakeTogai) -> None:
    assert subprocess.run([sys.executable, "-c", NO_THREADS, togai.url], check=False).returncode == 0
    assert togai.ledger.metered == 1


def test_what_a_flush_raises_comes_to_whoever_awaits_it(ship: Ship) -> None:
    with pytest.raises(ValueError, match="nan"):
        asyncio.run(ship().aflush(float("nan")))


def test_the_loop_goes_on_while_async_with_closes(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    togai.script(faults.Hold())
    ids: set[str | None] = set()

    async def use() -> None:
        async with shipper as entered:
            ids.update(entered.track("api_call", "acme") for _ in range(20))

    asyncio.run(ticking_until_it_has_asked(togai, use()))
    assert shipper.stats().state == "closed"
    assert togai.ledger.ids == ids
    assert togai.ledger.metered == 20


def test_async_with_closes_and_lets_an_error_through(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    async def main() -> None:
        async with shipper:
            shipper.track("api_call", "acme")
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert togai.ledger.metered == 1


def test_a_cancelled_aflush_loses_nothing(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    togai.script(faults.Hold())

    async def main() -> None:
        shipper.track("api_call", "acme")
        task = asyncio.ensure_future(shipper.aflush(20))
        assert await asyncio.to_thread(togai.wait, lambda: togai.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert shipper.pending == 1
        togai.release()

    asyncio.run(main())
    assert shipper.close()
    assert togai.ledger.metered == 1


def test_overflow_block_refuses_at_once_under_a_running_loop_and_warns_once(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = ship(flush_interval=60, max_queue_size=1, overflow="block", block_timeout=1e6)
    togai.script(faults.Hold())

    async def main() -> list[str | None]:
        kept = shipper.track("api_call", "acme")
        flushing = asyncio.ensure_future(shipper.aflush(20))
        assert await asyncio.to_thread(togai.wait, lambda: togai.requests)
        refused = [shipper.track("api_call", "acme") for _ in range(2)]  # blocking, it would never return
        togai.release()
        assert await flushing
        return [kept, *refused]

    with caplog.at_level(logging.WARNING):
        kept, *refused = asyncio.run(main())
    assert refused == [None, None]
    assert shipper.stats().refused["full"] == 2
    assert sum("does not block under a running event loop" in text for text in caplog.messages) == 1
    assert togai.ledger.ids == {kept}
