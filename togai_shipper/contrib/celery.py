"""Celery: count and time tasks, and deliver what a worker process still holds when it ends.

Celery's prefork children run no exit hook of Python's, neither ``atexit`` nor that of ``multiprocessing``;
what they do send is the signal ``worker_process_shutdown``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from togai_shipper import Shipper
from togai_shipper._metering import named
from togai_shipper._recipe import AttributesOf, DimensionsOf, Recipe, TextOf

from ._http import COUNT

__all__ = ["TaskRun", "install", "meter"]

DONE = (
    "SUCCESS",
    "FAILURE",
)  # after RETRY the same task comes again; IGNORED and REJECTED ask not to be seen


@attrs.frozen
class TaskRun:
    """A task that was run, once it is over: what the functions of ``meter`` are given.

    Attributes:
        task: Celery's own: ``task.name``, ``task.request``.
        id: the task's id, the same for each retry and redelivery.
        args: its positional arguments.
        kwargs: its keyword arguments.
        result: what it returned; ``None`` where it failed.
        error: what it raised, or ``None``.
        seconds: how long this run took.

    """

    task: Any
    id: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    error: BaseException | None
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether it raised, the last time that it was tried."""
        return self.error is not None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All arguments by the names of the task's parameters, with their defaults."""
        return named(self.task.run, self.args, self.kwargs)


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


def once(run: TaskRun) -> str:
    """Return the default idempotency key of a run: a task that is delivered again bills once."""
    return f"celery {run.id}"


def meter(
    shipper: Shipper,
    schema_name: str,
    account_id: TextOf[TaskRun],
    attributes: AttributesOf[TaskRun] = COUNT,
    dimensions: DimensionsOf[TaskRun] | None = None,
    *,
    duration: str | None = None,
    outcome: str | None = None,
    failures: bool = True,
    idempotency_key: TextOf[TaskRun] | None = once,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Track an event of each task that this process runs, once it has succeeded or failed; and ``install``.

    Call it where the Celery app is made. A task that is retried is one event, at its last try. So is one
    that is delivered again after it ran (``acks_late``, a lost worker), since the task's id is the
    idempotency key: Togai counts it once in 45 days. Whoever gives two different pieces of work one id
    (``apply_async(task_id=…)``) needs a key of their own. Tasks that run eagerly count as well. No event: a
    task that raises ``Ignore`` or ``Reject``, is revoked, or takes its process along (a hard time limit).

    Once for each shipper and schema: a second call, such as that of a module that is imported twice, changes
    nothing. What differs from task to task is for the functions to say.

    Args:
        shipper: the one to track with.
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``TaskRun`` that says so. ``None``: nobody, no
            event; so it also says which tasks count.
        attributes: values, or functions of the ``TaskRun`` (default: ``{"count": 1}``).
        dimensions: likewise.
        duration: the name of an attribute that gets the milliseconds of the last try.
        outcome: the name of a dimension that gets ``"ok"``, or ``"error"`` where the task failed.
        failures: track tasks that failed, too (default true).
        idempotency_key: any text of your business, or a function of the ``TaskRun`` (default: the task's id).
            ``None``: each run is an event of its own.
        clock: where seconds come from.

    What a function raises, and an event that breaks a limit, is counted in ``stats().refused["invalid"]``,
    logged and told to ``on_error``; the task does not notice.

    >>> from celery import Celery
    >>> from togai_shipper.testing import RecordedEvents
    >>> app = Celery("shop")
    >>> @app.task
    ... def render(account, pages):
    ...     return pages * ["page"]
    >>> with RecordedEvents() as recorded:
    ...     meter(
    ...         recorded.shipper,
    ...         "render",
    ...         lambda run: run.arguments["account"],
    ...         {"pages": lambda run: len(run.result)},
    ...     )
    ...     task = render.apply(args=["acme", 12])
    ...     assert recorded.assert_tracked("render", account="acme", attributes={"pages": 12})

    """
    from celery.signals import task_postrun, task_prerun  # noqa: PLC0415  imported when used

    install(shipper)
    recipe = Recipe(
        schema_name, account_id, attributes, dimensions, duration, outcome, failures, idempotency_key
    )

    name = f"togai_shipper {id(shipper)} {schema_name}"  # once for each, also if a module is imported twice

    def begin(*, task: Any, **_: Any) -> None:
        setattr(task.request, name, clock())

    def end(*, task: Any, task_id: str, args: Any, kwargs: Any, retval: Any, state: str, **_: Any) -> None:
        if state not in DONE:
            return
        now = clock()
        seconds = now - getattr(task.request, name, now)
        result, error = (None, retval) if state == "FAILURE" else (retval, None)
        run = TaskRun(task, task_id, tuple(args), dict(kwargs), result, error, seconds)
        shipper._meter(recipe, run)  # noqa: SLF001  what metered() and measure() do, too

    task_prerun.connect(begin, weak=False, dispatch_uid=name)
    task_postrun.connect(end, weak=False, dispatch_uid=name)
