"""One shipper for the whole process, for those who would rather not carry one around."""

from __future__ import annotations

import threading
from typing import Any

from ._outcome import FlushReport, Stats
from ._shipper import Shipper

_lock = threading.RLock()
_shipper: Shipper | None = None


def _default() -> Shipper:
    global _shipper  # noqa: PLW0603  the one default is what this module is for
    with _lock:
        if _shipper is None:
            _shipper = Shipper()
        return _shipper


def configure(**options: Any) -> None:
    """Make the default shipper, with the options of ``Shipper``; one that is there already is closed first.

    Without this the first ``track()`` makes it, with options from the environment alone.

    Raises:
        ConfigurationError: an option is missing or wrong; a default shipper that is there stays.

    """
    global _shipper
    fresh = Shipper(**options)
    with _lock:
        before, _shipper = _shipper, fresh
    if before is not None:
        before.close()


def track(*args: Any, **kwargs: Any) -> str | None:
    """``Shipper.track`` of the default shipper: hand one usage event over; returns its id, or ``None``."""
    return _default().track(*args, **kwargs)


def flush(timeout: float | None = None) -> FlushReport:
    """``Shipper.flush`` of the default shipper; ``timeout`` in seconds."""
    return _default().flush(timeout)


def close(timeout: float | None = None) -> FlushReport:
    """``Shipper.close`` of the default shipper; then ``track()`` is refused until ``configure()``."""
    return _default().close(timeout)


def stats() -> Stats:
    """``Shipper.stats`` of the default shipper."""
    return _default().stats()
