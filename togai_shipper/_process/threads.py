"""Starting a daemon thread from anywhere, also from a signal handler or ``__del__``."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from . import signals

#: Starts a function with its arguments on another thread, and does not wait for it.
StartThread: TypeAlias = Callable[[Callable[..., None], tuple[object, ...]], object]


def start_thread(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Run ``function`` on a daemon thread, without waiting for it to begin.

    ``Thread.start`` will not do: it waits for the new thread, here perhaps while holding the shipper's lock
    (a signal handler that tracks may have interrupted its owner); and what runs the new thread may collect
    garbage whose ``__del__`` tracks an event, and so waits for that lock.
    """
    # Looked up now: gevent may have put its own in place.
    signals.deaf(partial(_thread.start_new_thread, _run_seen, (signals.starter(), function, arguments)))


def _run_seen(
    starter: signals.Starter | None, function: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    """Run it where debuggers and coverage tools see it, as they see a ``threading.Thread``."""
    signals.keep_out(starter)
    hooks: tuple[tuple[Any, Callable[[Any], None]], ...] = (
        (threading.gettrace(), sys.settrace),
        (threading.getprofile(), sys.setprofile),
    )
    for hook, install in hooks:
        if hook:
            install(hook)
    function(*arguments)
