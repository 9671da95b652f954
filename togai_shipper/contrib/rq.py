"""RQ: deliver what a work horse still holds when its job is done, and bill a job that runs again once.

RQ forks a process for each job, its work horse, which ends by ``os._exit()``: no exit hook of Python's runs
there, and what it has pending would be lost without a word. A worker of this module closes every shipper of
that process first::

    rq worker --worker-class togai_shipper.contrib.rq.Worker
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import rq

from togai_shipper._engine.log import Log
from togai_shipper._process import exits

__all__ = ["DeliversAtEnd", "Worker", "job_key"]

if TYPE_CHECKING:
    _Worker = rq.Worker
else:
    _Worker = object  # what it is mixed into is a worker: rq's, or one of yours


class DeliversAtEnd(_Worker):
    """Mix it into a worker class of your own, first: ``class Mine(DeliversAtEnd, HerokuWorker): …``.

    After each job its process closes every shipper in it, the default one too, as a normal exit would: each
    has its ``close_timeout``. By then RQ has told that the job is done. What cannot be delivered in that
    time is logged, and stays on disk where there is a ``spool``. A worker that does not fork, such as
    ``SimpleWorker``, closes nothing after a job: its process runs exit hooks.
    """

    def perform_job(self, *args: Any, **more: Any) -> bool:
        """Do the job, then deliver."""
        try:
            return super().perform_job(*args, **more)
        finally:
            if self.is_horse:  # pragma: no cover  its tests are real work horses, unmeasured
                _deliver()


class Worker(DeliversAtEnd, rq.Worker):
    """RQ's own worker, which delivers at the end of each job."""


def job_key(call: Any = None) -> str | None:  # noqa: ARG001  what ``metered`` calls it with
    """Return an idempotency key for the job under way: RQ's id, and which turn of a ``Repeat`` it is.

    A job keeps its id where RQ retries it, requeues it, or starts it again after its work horse was killed.
    So give this function to ``metered``, around the job's function: of all runs the first that ends well is
    billed. With ``measure`` call it: ``idempotency_key=job_key()``. It is one event for each job, schema and
    account; whoever wants more adds to the key what tells them apart.

    Args:
        call: whatever ``metered`` says; it makes no difference.

    Returns:
        ``None`` outside of a job: no key, and each call is an event of its own.

    >>> from togai_shipper.testing import RecordedEvents
    >>> with RecordedEvents() as recorded:
    ...     @recorded.shipper.metered("render", "acme", {"pages": 12}, idempotency_key=job_key)
    ...     def render():
    ...         return job_key()
    ...
    ...     render() is None  # no job is under way
    True

    """
    job = rq.get_current_job()
    if job is None:
        return None
    left = getattr(job, "repeats_left", None)  # since RQ 2.2; each turn is work of its own, under one id
    return f"rq {job.id}" if left is None else f"rq {job.id} {left}"


def _deliver() -> None:  # pragma: no cover  likewise
    try:
        exits.end()
    except BaseException:  # a callback's: the job is done, and is not to be told as failed for it
        message = "a shipper's end raised; the work horse ends all the same"
        Log(time.monotonic).write(logging.ERROR, message, exc_info=True)
