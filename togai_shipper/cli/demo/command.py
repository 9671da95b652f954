"""``togai-shipper demo``: the library's job, from beginning to end, on one machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import click

from togai_shipper import Shipper
from togai_shipper.cli.captured_log import captured_log
from togai_shipper.cli.display import display_on
from togai_shipper.cli.formats import plural
from togai_shipper.cli.options import json_option
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.terminal import print_json
from togai_shipper.testing import FakeTogai

from . import report
from .balance import ToldErrors, balance_of
from .fault_plan import FaultPlan
from .progress import DemoLines, DemoPicture, DemoProgress
from .workload import THREADS, WHY_POISON, Workload, is_poison

KEY = "demo"
FLUSH_TIMEOUT = 60.0  # seconds; it takes a second or two
LOOK_EVERY = 0.1  # seconds


def run_and_watch(job: Callable[[], None], look: Callable[[], None], stop: Callable[[], None]) -> None:
    """Run the job in a thread, and look at it from this one. Ctrl-C stops the job, and waits for its end."""
    with ThreadPoolExecutor(1, "demo") as thread:
        doing = thread.submit(job)
        try:
            while not doing.done():
                _look(doing, look, stop)
            look()
        finally:
            stop()  # if the viewer is gone (a closed pipe), nobody waits for the rest
        doing.result()


def _look(doing: Future[None], look: Callable[[], None], stop: Callable[[], None]) -> None:
    try:
        look()
        wait([doing], LOOK_EVERY)
    except KeyboardInterrupt:
        stop()


_DEMO_HELP = """
Track a simulated web workload, let things go wrong, and show that every event is billed once.

It starts the sandbox on a free port of loopback; 8 threads track API calls, LLM tokens and storage of
48 accounts. Meanwhile the sandbox is down (503), over quota (429), accepts batches but loses the reply,
and always refuses one event. At the end its own ledger says what became of every event. After Ctrl-C
nothing more is tracked, and the result is shown all the same.

Exit status: 0 if the result balances (tracked = delivered + rejected, lost 0, billed twice 0), else 1.

\b
Examples:
  togai-shipper demo
  togai-shipper demo --events 200000 --rate 0
  togai-shipper demo --no-faults --json
  togai-shipper demo --no-dedupe      without known ids it does not balance
"""


@click.command(help=_DEMO_HELP)
@click.option(
    "--events",
    default=40_000,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many events to track.",
)
@click.option(
    "--seed", default=7, show_default=True, metavar="N", help="With the same seed, the events are the same."
)
@click.option(
    "--rate",
    default=6_000.0,
    show_default=True,
    type=click.FloatRange(0),
    metavar="N",
    help="Events a second, by all threads together; 0: as many as they can.",
)
@click.option("--faults/--no-faults", default=True, help="Whether things go wrong (default).")
@click.option(
    "--dedupe/--no-dedupe",
    default=True,
    help="Whether the sandbox bills an id only once (default). If not, the result must show it.",
)
@json_option("the result; the progress goes to stderr")
@click.pass_context
def demo(
    ctx: click.Context, *, events: int, seed: int, rate: float, faults: bool, dedupe: bool, as_json: bool
) -> None:
    """Track a simulated web workload, let things go wrong, and show that every event is billed once."""
    screen = Screen(stderr=as_json)
    began = time.monotonic()
    told = ToldErrors()
    togai = FakeTogai(KEY)
    if not dedupe:
        togai.dedupe_window = 0.0
    plan = FaultPlan(lambda: len(togai.ledger) / events)
    if faults:
        togai.on_request = plan
        togai.poison(is_poison, 400, WHY_POISON)
    with captured_log() as log, togai:
        shipper = Shipper(
            KEY,
            base_url=togai.url,
            enabled=True,
            spool=None,
            relay=None,
            flush_interval=0.25,
            backoff_initial=0.1,
            backoff_max=0.5,
            overflow="block",
            block_timeout=60.0,
            on_error=told,
        )
        workload = Workload(shipper.track, seed=seed, events=events, rate=rate or None, poison=faults)

        is_over = threading.Event()

        def track_and_close() -> None:
            try:
                workload.run()
                shipper.flush(FLUSH_TIMEOUT)
            finally:
                shipper.close()
                is_over.set()

        def progress() -> DemoProgress:
            is_last = is_over.is_set()  # asked first: if it is over, the counts below are final
            stats = shipper.stats()
            return DemoProgress(
                seconds=time.monotonic() - began,
                total=events,
                tracked=workload.calls,
                delivered=togai.ledger.metered,
                requests=stats.requests,
                retries=stats.retries,
                faults=plan.now,
                log=tuple(log),
                is_last=is_last,
            )

        screen.say(
            f"A stand-in for Togai is at {togai.url}; {THREADS} threads track {plural(events, 'event')}."
        )
        screen.say()
        with display_on(screen, DemoPicture().draw, DemoLines(screen).print, stays=True) as show:
            run_and_watch(track_and_close, lambda: show(progress()), workload.stop)
    balance = balance_of(workload.ids, told, shipper.stats(), ledger=togai.ledger, requests=togai.requests)
    seconds = time.monotonic() - began
    if as_json:
        print_json(report.as_json(balance, seconds), indent=2)
    else:
        report.show(screen, balance, seconds, plan.past)
    ctx.exit(0 if balance.balances else 1)
