"""Celery: count and time tasks, and deliver what a worker process still holds when it ends.

A task may run more than once under its id: a message comes again after a failure, a killed process or a
timeout of the broker, also while the first run still works. So by default only a run that ends well is
billed: it gets the id, the others leave it alone.

Celery's prefork children run no exit hook of Python's, neither ``atexit`` nor that of ``multiprocessing``;
what they do send is the signal ``worker_process_shutdown``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from togai_shipper import Shipper
from togai_shipper._parameters import Parameters
from togai_shipper._recipe import AttributesOf, DimensionsOf, Recipe, TextOf

from ._http import COUNT

__all__ = ["TaskRun", "install", "meter"]

DONE = (
    "SUCCESS",
    "FAILURE",
)  # after RETRY the same task comes again; IGNORED and REJECTED ask not to be seen

#: Celery's own tasks that do nobody's work; ``celery.map``, ``starmap`` and ``chunks`` do somebody's.
HOUSEKEEPING = tuple(
    f"celery.{name}" for name in ("accumulate", "backend_cleanup", "chain", "chord", "chord_unlock", "group")
)


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
        return Parameters(self.task.run).named(self.args, self.kwargs)


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
    """Return the default idempotency key of a run: of all runs of a task one is billed, that ended well."""
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
    failures: bool | None = None,
    when: Callable[[TaskRun], bool] | None = None,
    idempotency_key: TextOf[TaskRun] | None = once,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Track an event of each task that this process runs, once it has ended well; and ``install``.

    Call it where the Celery app is made. A task is billed once, by the first of its runs that ends well: its
    id is the idempotency key, and Togai counts one id once in 45 days. So it may be retried, and delivered
    again (``acks_late``, a lost worker, Redis' visibility timeout). Whoever gives two different pieces of
    work one id (``apply_async(task_id=…)``) needs a key of their own. Tasks that run eagerly count as well.

    No event: a run that raises, unless ``failures`` says otherwise; one that will be retried, also where it
    goes on after ``retry(throw=False)``; one that raises ``Ignore`` or ``Reject``; one that is revoked, or
    killed with its process (a hard time limit); and the tasks that Celery does for itself, such as
    ``celery.chord_unlock``.

    Once for each shipper and schema: a second call, such as that of a module that is imported twice, changes
    nothing. What differs from task to task is for the functions to say.

    Args:
        shipper: the one to track with.
        schema_name: Togai's event schema.
        account_id: whom it is billed to, or a function of the ``TaskRun`` that says so. ``None``: nobody, no
            event; so it also says which tasks count.
        attributes: values, or functions of the ``TaskRun`` (default: ``{"count": 1}``).
        dimensions: likewise.
        duration: the name of an attribute that gets the milliseconds of this run.
        outcome: the name of a dimension that gets ``"ok"``, or ``"error"`` where the task failed.
        when: a function of the ``TaskRun`` that says whether it counts. If it raises, the run counts, and the
            log says so.
        failures: without ``when``: track runs that failed, too, the last one where a task is retried.
            Default: false, since what failed may come again under its id; true with
            ``idempotency_key=None``. Where a run that failed counts, the first one has an event with an id
            of its own, beside the one that ended well, if one does: tell them apart by ``outcome``.
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
    ...     for pages in ("twelve", 12, 12):  # fails, ends well, is delivered again
    ...         task = render.apply(args=["acme", pages], task_id="7")
    ...     event = recorded.assert_tracked("render", account="acme", attributes={"pages": 12}, times=1)

    """
    from celery.signals import after_task_publish, task_postrun, task_prerun  # noqa: PLC0415  when used

    install(shipper)
    recipe = Recipe(
        schema_name, account_id, attributes, dimensions, duration, outcome, failures, idempotency_key, when
    )
    name = f"togai_shipper {id(shipper)} {schema_name}"  # once for each, also if a module is imported twice
    runs = _Runs(shipper, recipe, clock, name)
    task_prerun.connect(runs.begin, weak=False, dispatch_uid=name)
    after_task_publish.connect(runs.send, weak=False, dispatch_uid=name)
    task_postrun.connect(runs.end, weak=False, dispatch_uid=name)


@attrs.frozen
class _Runs:
    """Follows the runs of this process by Celery's signals; what it knows of one stands at its request."""

    _shipper: Shipper
    _recipe: Recipe[TaskRun]
    _clock: Callable[[], float]
    _name: str

    def begin(self, *, task: Any, **_: Any) -> None:
        """Take the time."""
        setattr(task.request, self._name, self._clock())

    def send(self, *, headers: Mapping[str, Any], **_: Any) -> None:
        """Note that the run under way has asked for its retry; it may go on and return all the same."""
        from celery import current_task  # noqa: PLC0415  imported when used

        request = current_task and current_task.request
        if request and headers.get("id") == request.id and headers.get("retries", 0) > request.retries:
            setattr(request, f"{self._name} is retried", True)

    def end(
        self, *, task: Any, task_id: str, args: Any, kwargs: Any, retval: Any, state: str, **_: Any
    ) -> None:
        """Track the event of a run that is over for good."""
        now = self._clock()
        is_retried = getattr(task.request, f"{self._name} is retried", False)
        if state not in DONE or is_retried or task.name in HOUSEKEEPING:
            return
        seconds = now - getattr(task.request, self._name, now)
        result, error = (None, retval) if state == "FAILURE" else (retval, None)
        run = TaskRun(task, task_id, tuple(args), dict(kwargs), result, error, seconds)
        self._shipper._meter(self._recipe, run)  # noqa: SLF001  what metered() and measure() do, too
