"""SIGTERM: close first, then what would have happened without us.

The handler does next to nothing. It may have interrupted the main thread anywhere, with any lock of the
application's in its hands, so closing there could wait for ever on what the main thread holds; a thread of
its own closes.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from togai_shipper._engine.flushers import start_thread
from togai_shipper.exceptions import ConfigurationError

from . import exits

if TYPE_CHECKING:
    from togai_shipper._pipeline import Pipeline

_to_close: list[weakref.WeakMethod[Callable[[], Pipeline]]] = []  # each gives the pipeline of this process
# What was there before us, the latest last: another's handler may have come between two of our shippers, and
# call us in its turn.
_previous: list[Any] = [signal.SIG_DFL]


def handle(pipeline: Callable[[], Pipeline]) -> None:
    """Close what the method ``pipeline`` gives on SIGTERM; ``ConfigurationError`` off the main thread."""
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError(
            "handle_sigterm: a signal handler can be installed from the main thread alone"
        )
    _to_close[:] = [known for known in _to_close if known() is not None]
    _to_close.append(weakref.WeakMethod(pipeline))
    installed = signal.getsignal(signal.SIGTERM)
    if installed is not _on_sigterm:
        # None: a handler that is not Python's
        _previous.append(signal.SIG_DFL if installed is None else installed)
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(*_: Any) -> None:
    # Put back at once: a second SIGTERM has its old effect without waiting for us.
    signal.signal(signal.SIGTERM, _previous.pop() if len(_previous) > 1 else signal.SIG_DFL)
    try:
        start_thread(_close_and_send_again, ())  # see there why not by Thread.start
    except RuntimeError:  # pragma: no cover  its test is a process that ends by the signal, unmeasured
        # No thread to be had: here, whatever we hold, within the deadline. But if it was a close() that we
        # interrupted, then after that.
        beneath = next((pipeline for pipeline in _open() if pipeline.is_closing_here), None)
        if beneath is None:
            _close_and_send_again()
        else:
            beneath.afterwards = _close_and_send_again


def _open() -> list[Pipeline]:
    known = [pipeline() for each in list(_to_close) if (pipeline := each()) is not None]
    return known + exits.orphans()


def _close_and_send_again() -> None:
    try:
        exits.close_together(_open())
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
