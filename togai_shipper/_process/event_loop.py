"""Event loops: whether the calling thread is under one, and how to wait beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from togai_shipper._outcome import FlushReport

from .threads import start_thread


def is_running() -> bool:
    """Whether the calling thread is under an event loop, so that it must not wait."""
    asyncio = sys.modules.get("asyncio")  # not imported for this: where nobody has, no loop runs
    try:
        return asyncio is not None and asyncio.get_running_loop() is not None
    except RuntimeError:
        return False


async def in_a_thread(wait: Callable[[float | None], FlushReport], timeout: float | None) -> FlushReport:
    """Wait on a new thread: the loop's executor may be busy for minutes, and holds up the loop's end."""
    import asyncio  # noqa: PLC0415  who awaits this has it; nobody else pays for it

    loop = asyncio.get_running_loop()
    future: asyncio.Future[FlushReport] = loop.create_future()

    def settle(give: Callable[[Any], None], outcome: FlushReport | Exception) -> None:
        with suppress(asyncio.InvalidStateError):  # cancelled meanwhile
            give(outcome)

    def run() -> None:
        give: Callable[[Any], None] = future.set_result
        outcome: FlushReport | Exception
        try:
            outcome = wait(timeout)
        except Exception as error:  # for whoever awaits
            give, outcome = future.set_exception, error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, give, outcome)

    try:
        start_thread(run, ())
    except RuntimeError:  # no thread to be had, at the end of the process for instance
        return wait(timeout)
    return await future
