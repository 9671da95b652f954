"""Run checks on a thread of their own: neither a fault of theirs nor a long wait ends the doctor."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

from .check import Check

_PACKAGE = Path(__file__).parents[2]


def bounded(name: str, checks: Callable[[], Iterator[Check]], seconds: float) -> Iterator[Check]:
    """Yield what the checks find, for so many seconds at most; then the thread is left to itself.

    An unforeseen exception is a failure, too. Its text is not shown, for it may repeat a secret.
    """
    found: SimpleQueue[Check | None] = SimpleQueue()

    def run() -> None:
        try:
            for check in checks():
                found.put(check)
        except Exception as error:  # whatever the machine, or a library, comes up with
            found.put(_failed(name, error))
        found.put(None)

    threading.Thread(target=run, name=f"togai-shipper doctor {name}", daemon=True).start()
    until = time.monotonic() + seconds
    try:
        while (check := found.get(timeout=max(until - time.monotonic(), 0))) is not None:
            yield check
    except Empty:
        yield Check(
            "fail",
            name,
            f"no end after {seconds:.0f} s; it is not looked at any further",
            "The network, a name server or the disk hangs: whichever comes after the last line above.",
        )


def _failed(name: str, error: Exception) -> Check:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if _PACKAGE in Path(frame.filename).parents
    ]  # the first is this module's
    return Check(
        "fail",
        name,
        f"cannot be checked: {type(error).__name__} ({Path(ours[-1].filename).name}:{ours[-1].lineno})",
        "It may be what is in the environment or on the disk, or a fault of togai-shipper: please report it.",
    )
