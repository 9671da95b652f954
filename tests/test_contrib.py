"""Where users live: AWS Lambda's and Celery's ends, and what is metered there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from celery import Celery
from celery.app.trace import trace_task
from celery.exceptions import Ignore
from celery.signals import worker_process_shutdown
from rq.job import Job
from virtual import Clock

import togai_shipper
from togai_shipper import Shipper
from togai_shipper.contrib import celery, rq
from togai_shipper.contrib.aws_lambda import flush_after
from togai_shipper.testing import FakeTogai, RecordedEvents, faults

Ship = Callable[..., Shipper]


class Context:
    """What Lambda hands over beside the event."""

    aws_request_id = "request 1"

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


def test_an_invocation_delivers_before_it_ends(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper)
    def handler(event: Any, context: Any) -> Any:
        return shipper.track("invocation", "acme"), event

    event_id, event = handler("given", Context(60_000))
    assert event == "given"
    assert togai.ledger.get(event_id).metered == 1
    assert handler.__name__ == "handler"


def test_an_invocation_that_raises_delivers_too(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper, timeout=30)
    def handler(event: Any, context: Any) -> None:
        shipper.track("invocation", "acme")
        raise LookupError

    with pytest.raises(LookupError):
        handler(None, None)
    assert togai.ledger.metered == 1


def test_an_invocation_is_not_kept_beyond_its_time(togai: FakeTogai, ship: Ship) -> None:
    togai.on_request = lambda received: faults.Hang()
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper, timeout=3600)
    def handler(event: Any, context: Any) -> None:
        shipper.track("invocation", "acme")

    handler(None, Context(600))  # of which half a second is Lambda's
    handler(None, Context(0))
    assert shipper.pending == 2


@pytest.mark.parametrize("context", [None, MagicMock(), MagicMock(spec=[]), Context(None)])  # type: ignore[arg-type]
def test_a_context_of_a_test_breaks_no_invocation(togai: FakeTogai, ship: Ship, context: Any) -> None:
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper)
    def handler(event: Any, context: Any) -> Any:
        return event

    assert handler("given", context) == "given"


def test_an_invocation_flushes_the_default_shipper_unless_told_another(togai: FakeTogai) -> None:
    togai_shipper.configure(api_key="secret", base_url=togai.url, flush_interval=60)

    @flush_after
    def handler(event: Any, context: Any) -> None:
        togai_shipper.track("invocation", "acme")

    handler(None, Context(60_000))
    assert togai.ledger.metered == 1
    togai_shipper.configure(enabled=False)


def test_an_invocation_that_tracks_nothing_makes_no_shipper() -> None:
    program = (
        "from togai_shipper.contrib.aws_lambda import flush_after\n"
        "from togai_shipper import _default\n"
        "assert flush_after(lambda event, context: event)(5, None) == 5\n"
        "assert _default.made() is None"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_a_handler_that_is_a_coroutine_is_refused() -> None:
    async def handler(event: Any, context: Any) -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        flush_after(handler)


def test_a_celery_worker_process_that_ends_delivers(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    celery.install(shipper)
    event_id = shipper.track("task", "acme")
    worker_process_shutdown.send(sender=None)

    assert togai.ledger.get(event_id).metered == 1
    assert shipper.stats().state == "closed"


@pytest.mark.parametrize("number", range(2))
def test_an_rq_worker_that_does_not_fork_goes_on_with_its_shippers(ship: Ship, number: int) -> None:
    shipper = ship(flush_interval=60)

    class Simple:
        is_horse = False

        def perform_job(self, job: str, queue: str) -> bool:
            if number:
                raise KeyError(job)
            return bool(shipper.track(job, queue))

    class Worker(rq.DeliversAtEnd, Simple):  # type: ignore[misc]  # in place of RQ's own
        pass

    if number:
        with pytest.raises(KeyError):
            Worker().perform_job("job", "acme")
    else:
        assert Worker().perform_job("job", "acme")
    assert shipper.stats().state == "open"


def test_a_job_of_rq_has_one_key_in_all_its_runs_and_another_in_each_turn_of_a_repeat() -> None:
    job = Job.create(rq.job_key, connection=MagicMock(), id="7")
    keys = [rq.job_key(), job.perform(), job.perform()]
    job.repeats_left = 1

    assert [*keys, job.perform()] == [None, "rq 7", "rq 7", "rq 7 1"]


# --- tasks of Celery ---


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Celery:
    """An application whose tasks run where they are called."""
    app = Celery("shop", set_as_current=False)

    @app.task(name="render", shared=False, bind=True, max_retries=2, default_retry_delay=0)
    def render(self: Any, account: str, pages: int = 1, *, fails: int = 0) -> list[str]:
        clock.now += 0.25
        if self.request.retries < fails:
            raise self.retry(exc=LookupError(account))
        return pages * ["page"]

    @app.task(name="ignore", shared=False)
    def ignore(account: str) -> None:
        raise Ignore

    @app.task(name="begin", shared=False)
    def begin(account: str, shipper: Any) -> None:
        celery.meter(shipper, "begun", account, duration="took", clock=clock)

    return app


def account(run: celery.TaskRun) -> Any:
    return run.arguments["account"]


def test_a_task_that_succeeds_is_an_event_with_what_the_functions_say_of_it(
    app: Celery, clock: Clock, recorded_events: RecordedEvents
) -> None:
    celery.meter(
        recorded_events.shipper,
        "task",
        account,
        {"pages": lambda run: len(run.result), "asked": lambda run: run.arguments["pages"]},
        {"task": lambda run: run.task.name},
        duration="took",
        outcome="outcome",
        clock=clock,
    )

    app.tasks["render"].apply(args=["acme"], kwargs={"pages": 3})
    recorded_events.assert_tracked(
        "task",
        account="acme",
        attributes={"pages": 3, "asked": 3, "took": (250, "Milliseconds")},
        dimensions={"task": "render", "outcome": "ok"},
        times=1,
    )


def test_a_task_that_is_delivered_again_bills_once_unless_told_otherwise(
    app: Celery, recorded_events: RecordedEvents
) -> None:
    celery.meter(recorded_events.shipper, "task", account)
    celery.meter(recorded_events.shipper, "run", account, idempotency_key=None)
    for _ in range(2):
        app.tasks["render"].apply(args=["acme"], task_id="the same")
    app.tasks["render"].apply(args=["acme"])

    assert len(recorded_events.assert_tracked("task", account="acme", attributes={"count": 1})) == 2
    assert len(recorded_events.assert_tracked("run")) == 3


def test_a_task_that_is_retried_is_one_event_at_its_last_try(
    app: Celery, recorded_events: RecordedEvents
) -> None:
    celery.meter(recorded_events.shipper, "task", account, outcome="outcome")
    celery.meter(recorded_events.shipper, "run", account, idempotency_key=None)
    app.tasks["render"].apply(args=["acme"], kwargs={"fails": 2})

    recorded_events.assert_tracked("task", dimensions={"outcome": "ok"}, times=1)
    recorded_events.assert_tracked("run", times=1)


def test_a_task_that_fails_is_an_event_if_told_or_if_each_run_is_one(
    app: Celery, recorded_events: RecordedEvents
) -> None:
    def error(run: celery.TaskRun) -> str:
        return type(run.error).__name__

    celery.meter(recorded_events.shipper, "success", account)
    celery.meter(recorded_events.shipper, "long", account, when=lambda run: run.seconds > 3600)
    celery.meter(recorded_events.shipper, "task", account, (), {"error": error}, failures=True)
    celery.meter(recorded_events.shipper, "run", account, idempotency_key=None)
    for _ in range(2):
        app.tasks["render"].apply(args=["acme"], kwargs={"fails": 9}, task_id="the same")

    recorded_events.assert_tracked("success", times=0)
    recorded_events.assert_tracked("long", times=0)
    recorded_events.assert_tracked("task", account="acme", dimensions={"error": "LookupError"}, times=1)
    recorded_events.assert_tracked("run", times=2)


def test_a_run_that_failed_leaves_the_id_to_the_run_that_ends_well(
    app: Celery, togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60)
    celery.meter(shipper, "task", account, {"pages": lambda run: len(run.result or [])})
    for fails in (9, 0):  # a message that is delivered again after its task has failed
        app.tasks["render"].apply(args=["acme", 12], kwargs={"fails": fails}, task_id="the same")
        assert shipper.flush()

    (row,) = togai.ledger.bill
    assert (row.events, row.sums) == (1, (("pages", "", "12"),))


def test_a_run_that_goes_on_after_it_asked_for_its_retry_leaves_the_id_to_the_retry(
    app: Celery, recorded_events: RecordedEvents
) -> None:
    celery.meter(recorded_events.shipper, "task", account, {"pages": lambda run: run.result})
    app.conf.broker_url = "memory://"

    @app.task(name="swallow", shared=False, bind=True)
    def swallow(self: Any, account: str) -> int:
        app.send_task("another", args=[account])
        if not self.request.retries:
            self.retry(throw=False)
            return 0
        return 12

    for retries in (0, 1):  # as a worker runs it, and then its retry
        trace_task(swallow, "7", ["acme"], {}, {"id": "7", "retries": retries}, app=app)

    recorded_events.assert_tracked("task", attributes={"pages": 12}, times=1)


def test_a_task_whose_error_goes_to_its_caller_is_no_event(
    app: Celery, recorded_events: RecordedEvents
) -> None:
    celery.meter(recorded_events.shipper, "run", account, idempotency_key=None)
    app.conf.task_eager_propagates = True
    with pytest.raises(LookupError):
        app.tasks["render"].apply(args=["acme"], kwargs={"fails": 9}, retries=2)

    recorded_events.assert_nothing_tracked()


def test_what_celery_does_for_itself_is_no_event(app: Celery, recorded_events: RecordedEvents) -> None:
    celery.meter(recorded_events.shipper, "task", "acme")
    assert app.tasks["celery.accumulate"].apply(args=[1, 2]).get() == (1, 2)
    recorded_events.assert_nothing_tracked()

    app.tasks["celery.map"].apply(args=[app.tasks["render"].s(), ["acme", "beta"]])
    recorded_events.assert_tracked("task", times=1)


def test_a_task_that_asks_to_be_ignored_is_no_event_nor_is_one_without_account(
    app: Celery, recorded_events: RecordedEvents
) -> None:
    celery.meter(recorded_events.shipper, "task", account)
    app.tasks["ignore"].apply(args=["acme"])
    app.tasks["render"].apply(args=[None])

    recorded_events.assert_nothing_tracked()


def test_a_task_with_a_bad_event_does_not_notice(app: Celery, recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    celery.meter(shipper, "task", lambda run: run.arguments["nobody"])

    assert app.tasks["render"].apply(args=["acme"]).get() == ["page"]
    assert shipper.stats().refused["invalid"] == 1


def test_metering_that_is_asked_for_twice_counts_once(app: Celery, recorded_events: RecordedEvents) -> None:
    for _ in range(2):
        celery.meter(recorded_events.shipper, "task", account, idempotency_key=None)
    app.tasks["render"].apply(args=["acme"])

    recorded_events.assert_tracked("task", times=1)


def test_a_task_in_which_metering_begins_took_no_time(app: Celery, recorded_events: RecordedEvents) -> None:
    app.tasks["begin"].apply(args=["acme", recorded_events.shipper])

    recorded_events.assert_tracked("begun", account="acme", attributes={"took": 0}, times=1)


def test_a_metered_worker_process_that_ends_delivers(recorded_events: RecordedEvents) -> None:
    shipper = recorded_events.make()
    celery.meter(shipper, "task", account)
    worker_process_shutdown.send(sender=None)

    assert shipper.stats().state == "closed"


# --- invocations of Lambda ---


def test_a_metered_invocation_that_lambda_repeats_is_billed_once(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper)
    @shipper.metered(
        "invocation",
        lambda call: call.args[0]["account"],
        {"count": 1},
        idempotency_key=lambda call: call.args[1].aws_request_id,
    )
    def handler(event: Any, context: Any) -> Any:
        return event["account"]

    for _ in range(2):
        assert handler({"account": "acme"}, Context(60_000)) == "acme"
    assert (togai.ledger.metered, togai.ledger.billed_twice) == (1, set())
