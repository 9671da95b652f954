"""SIGTERM: close first, then what would have happened without us.

The handler does next to nothing. It may have interrupted the main thread anywhere, with any lock of the
application's in its hands, so closing there could wait for ever on what the main thread holds; a thread of
its own closes.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from togai_shipper.exceptions import ConfigurationError

from . import exits
from .limits import is_main_interpreter
from .per_process import PerProcess
from .registry import Registry
from .threads import start_thread

_to_close: Registry[PerProcess[Any]] = Registry()  # each of what has a pipeline
# What was there before us, the latest last: another's handler may have come between two of our shippers, and
# call us in its turn.
_previous: list[Any] = [signal.SIG_DFL]


def handle(own: PerProcess[Any]) -> None:
    """Close the pipeline of the process that gets SIGTERM.

    Raises ``ConfigurationError`` off the main thread, and in a sub-interpreter: no handler can be there.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError(
            "handle_sigterm: a signal handler can be installed from the main thread alone"
        )
    if not is_main_interpreter():  # pragma: no cover  its test runs in a sub-interpreter, unmeasured
        raise ConfigurationError(
            "handle_sigterm: a signal handler can be installed from the main interpreter alone"
        )
    _to_close.add(own)
    installed = signal.getsignal(signal.SIGTERM)
    if installed is not _on_sigterm:
        # None: a handler that is not Python's
        _previous.append(signal.SIG_DFL if installed is None else installed)
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(*_: Any) -> None:
    # Put back at once: a second SIGTERM has its old effect without waiting for us.
    signal.signal(signal.SIGTERM, _previous.pop() if len(_previous) > 1 else signal.SIG_DFL)
    try:
        start_thread(_close_and_send_again, ())  # start_thread says why not by Thread.start
    except RuntimeError:  # pragma: no cover  its test is a process that ends by the signal, unmeasured
        # No thread to be had: here, whatever we hold, within the deadline. But if it was a close() that we
        # interrupted, then after that.
        beneath = next((pipeline for pipeline in _open() if pipeline.is_closing_here), None)
        if beneath is None:
            _close_and_send_again()
        else:
            beneath.do_after_close(_close_and_send_again)


def _open() -> list[exits.Closable]:
    return [own.here().pipeline for own in _to_close] + exits.orphans()


def _close_and_send_again() -> None:
    try:
        exits.close_together(_open())
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
