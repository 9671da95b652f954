"""What a look-up meets: a fault of the script, or the reply that Togai would give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from . import wire
from .fault_replies import Reply, Simple, reply_of
from .faults import Hold, Slow

if TYPE_CHECKING:
    from .faults import Fault

_SUCCESS = 200


async def meet(fault: Fault | None, answer: Callable[[], Awaitable[Reply]], signals: wire.Signals) -> Reply:
    """Return the reply when it is time for it; with a fault that is no wait, nothing is looked up."""
    while isinstance(fault, (Slow, Hold)):
        if isinstance(fault, Slow):
            await signals.wait(fault.seconds)
        else:
            await signals.released.wait()
        if signals.stopping.is_set():
            return wire.Unanswered()
        fault = fault.then
    return await answer() if fault is None else reply_of(cast("Simple", fault), _SUCCESS)
