"""``togai-shipper demo``: the main job, from beginning to end, on one machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import click
import requests
from rich.console import Console

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai

from . import ledger
from .amounts import plural
from .logbook import logbook
from .screen import Glance, screen_on
from .weather import Weather
from .workload import THREADS, WHY_POISON, Workload, is_poison

KEY = "demo"
FLUSH_TIMEOUT = 60.0  # seconds; a second or two is what it takes
GLANCE_EVERY = 0.1  # seconds


def _direct() -> requests.Session:
    """A session that heeds no proxy of the environment: the sandbox is on loopback."""
    session = requests.Session()
    session.trust_env = False
    return session


def attend(job: Callable[[], None], look: Callable[[], None], stop: Callable[[], None]) -> None:
    """Do the job in a thread, and look at how it goes in this one; Ctrl-C asks it to stop, and waits on."""
    with ThreadPoolExecutor(1, "demo") as thread:
        doing = thread.submit(job)
        try:
            while not doing.done():
                _look(doing, look, stop)
            look()
        finally:
            stop()  # where the viewer is gone (a closed pipe), nobody waits for the rest
        doing.result()


def _look(doing: Future[None], look: Callable[[], None], stop: Callable[[], None]) -> None:
    try:
        look()
        wait([doing], GLANCE_EVERY)
    except KeyboardInterrupt:
        stop()


def conclude(closing: ledger.Closing) -> int:
    """The exit status: 0 if the ledger balances."""
    return 0 if closing.balances else 1


@click.command()
@click.option(
    "--events", default=40_000, show_default=True, type=click.IntRange(1), help="How many to track."
)
@click.option("--seed", default=7, show_default=True, help="Which events they are.")
@click.option(
    "--rate",
    default=6_000.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Events a second, of all threads together; 0: as fast as they can.",
)
@click.option("--faults/--no-faults", default=True, help="Whether the sandbox misbehaves (it does).")
@click.option(
    "--dedupe/--no-dedupe",
    default=True,
    help="Whether the sandbox bills an id once (it does). Without, the ledger must notice.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the ledger as JSON; the progress goes to stderr."
)
@click.pass_context
def demo(
    ctx: click.Context, *, events: int, seed: int, rate: float, faults: bool, dedupe: bool, as_json: bool
) -> None:
    """Track a simulated web workload through a Togai that misbehaves, and close the books.

    Starts the sandbox on a free port of loopback; 8 threads track API calls, LLM tokens and storage of
    48 accounts. Meanwhile the sandbox is down (503), over quota (429), takes batches and loses the reply, and
    refuses one event for ever. At the end its own ledger says what came of every event. Ctrl-C stops tracking
    early and closes the books all the same.

    Exit status: 0 if the ledger balances (tracked = delivered + rejected, lost 0, billed twice 0), else 1.

    \b
    Examples:
      togai-shipper demo
      togai-shipper demo --events 200000 --rate 0
      togai-shipper demo --no-faults --json
      togai-shipper demo --no-dedupe      without ids it would not balance
    """  # noqa: D301  \b is click's sign for "keep these lines"
    console = Console(stderr=as_json, highlight=False)
    began = time.monotonic()
    told = ledger.Told()
    togai = FakeTogai(KEY)
    if not dedupe:
        togai.dedupe_window = 0.0
    weather = Weather(lambda: len(togai.ledger) / events)
    if faults:
        togai.on_request = weather
        togai.poison(is_poison, 400, WHY_POISON)
    with logbook() as log, togai:
        shipper = Shipper(
            KEY,
            base_url=togai.url,
            enabled=True,
            spool=None,
            flush_interval=0.25,
            backoff_initial=0.1,
            backoff_max=0.5,
            overflow="block",
            block_timeout=60.0,
            on_error=told,
            session_factory=_direct,
        )
        workload = Workload(shipper.track, seed=seed, events=events, rate=rate or None, poison=faults)

        def track_and_close() -> None:
            try:
                workload.run()
                shipper.flush(FLUSH_TIMEOUT)
            finally:
                shipper.close()

        def glance() -> Glance:
            stats = shipper.stats()
            return Glance(
                seconds=time.monotonic() - began,
                total=events,
                tracked=workload.calls,
                delivered=togai.ledger.metered,
                requests=stats.requests,
                retries=stats.retries,
                weather=weather.now,
                log=tuple(log),
            )

        console.print(
            f"A Togai of our own at {togai.url}; {THREADS} threads track {plural(events, 'event')}.\n"
        )
        with screen_on(console) as screen:
            attend(track_and_close, lambda: screen.show(glance()), workload.stop)
    closing = ledger.reckon(workload.ids, told, shipper.stats(), ledger=togai.ledger, requests=togai.requests)
    seconds = time.monotonic() - began
    if as_json:
        click.echo(ledger.as_json(closing, seconds))
    else:
        ledger.show(console, closing, seconds, weather.past)
    ctx.exit(conclude(closing))
