"""Celery: deliver what a worker process still holds when it ends.

Celery's prefork children run no exit hook of Python's, neither ``atexit`` nor that of ``multiprocessing``;
what they do send is the signal ``worker_process_shutdown``.
"""

from __future__ import annotations

from typing import Any

from togai_shipper import Shipper


def install(shipper: Shipper, timeout: float | None = None) -> None:
    """Close ``shipper`` in each worker process that ends: by TERM, by ``--max-tasks-per-child``, at the end.

    Call it once, where the Celery app is made. The main process, and the pools that do not fork, need
    nothing: they run ``atexit``.

    Args:
        shipper: the one that tasks track with; every worker process has its own buffer and threads behind it.
        timeout: seconds (default: the shipper's ``close_timeout``).

    """
    from celery.signals import worker_process_shutdown  # noqa: PLC0415  imported when used

    def close(**_: Any) -> None:
        shipper.close(timeout)

    # Not weakly: the function has no other owner.
    worker_process_shutdown.connect(close, weak=False, dispatch_uid=f"togai_shipper {id(shipper)}")
