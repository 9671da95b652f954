"""``togai-shipper sandbox``: run a stand-in for Togai, and print what it is asked."""

from __future__ import annotations

import ipaddress
import math
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click
from rich.text import Text

from togai_shipper.testing import Answered, FakeTogai
from togai_shipper.testing import faults as kinds

from .display import display_on
from .formats import plural
from .random_faults import FAULTS, RandomFaults
from .terminal import Screen, styled

_LOOK_EVERY = 0.1  # seconds
_HISTORY = 500  # requests that it keeps; fewer come between two looks
_NAMES: dict[kinds.Fault | None, str] = {fault: name for name, fault in FAULTS.items()}


def _loopback(_ctx: click.Context, _option: click.Parameter, host: str) -> str:
    host = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.IPv4Address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise click.BadParameter(f"{host} is not on loopback (127.0.0.1): the sandbox is for this machine only")


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, callback=_loopback, help="An address of loopback."
)
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="0: any free port."
)
@click.option(
    "--api-key",
    default="sandbox",
    show_default=True,
    help="The key that this stand-in accepts. Any word, but none of Togai's: others can see it here.",
)
@click.option(
    "--quota/--no-quota",
    default=True,
    help="Whether it enforces Togai's limit of 50 requests a second (default).",
)
@click.option(
    "--latency",
    default=0.0,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How much longer each request takes.",
)
@click.option(
    "--fail",
    default=0.0,
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="How many of the requests go wrong, 0 to 1.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(list(FAULTS)),
    help="What goes wrong; may be repeated.  [default: any of these]",
)
@click.option("--seed", type=int, help="With the same seed, the same requests go wrong.")
@click.option("--quiet", is_flag=True, help="Do not print a line for each request.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Stop after this time, instead of at Ctrl-C.",
)
def sandbox(
    *,
    host: str,
    port: int,
    api_key: str,
    quota: bool,
    latency: float,
    fail: float,
    faults: Sequence[str],
    seed: int | None,
    quiet: bool,
    seconds: float | None,
) -> None:
    """Run a stand-in for Togai on loopback until Ctrl-C.

    It serves POST /ingest and /ingestBatch, GET /events and /events/{id}, and POST /authenticate, as strictly
    as Togai documents them. It recognises ids that came before, and says at the end what it would bill.

    \b
    What can go wrong with a request (--fail and --fault):
      503, 500   nothing is accepted
      429        nothing is accepted, and Retry-After is 1
      207        all events but the first one are accepted
      lost       all are accepted, and the reply is a gateway's 502
      half       half are accepted, and the reply is a gateway's 502
      reset      all are accepted, and the connection is reset
      cut        all are accepted, and the reply is cut short
      slow       the reply takes 2 seconds

    \b
    Examples:
      togai-shipper sandbox
      togai-shipper sandbox --port 0 --fail 0.3 --seed 1
      togai-shipper sandbox --fail 1 --fault lost
    """  # noqa: D301  \b is click's sign for "keep these lines"
    screen = Screen()
    togai = FakeTogai(api_key, host=host, port=port, history=_HISTORY)
    togai.on_request = RandomFaults(fail, faults or list(FAULTS), seed, latency)
    if not quota:
        togai.rate_limit = None
    feed = Feed(screen, quiet=quiet)
    with suppress(KeyboardInterrupt), _listening(togai):
        screen.say(f"A stand-in for Togai, at {togai.url} until Ctrl-C. Point a Shipper to it:")
        screen.say()
        screen.say(f"  export TOGAI_BASE_URL={togai.url}")
        screen.say(f"  export TOGAI_API_KEY={shlex.quote(api_key)}")
        screen.say()
        watch(togai, feed, seconds)
    feed.show(togai.requests)
    screen.say()
    screen.say(summary(togai))


@contextmanager
def _listening(togai: FakeTogai) -> Iterator[None]:
    try:
        togai.start()
    except OSError as error:
        why = f"cannot listen on {togai.host}:{togai.port}: {error.strerror}"
        raise click.ClickException(why) from error
    with togai:
        yield


def watch(togai: FakeTogai, feed: Feed, seconds: float | None) -> None:
    """Print each request, until Ctrl-C or for so many seconds."""
    until = math.inf if seconds is None else time.monotonic() + seconds
    pause = threading.Event()  # never set; unlike sleep(), wait() ends at Ctrl-C on every system
    with display_on(feed.screen, _picture, lambda _: None) as show:
        while (left := until - time.monotonic()) > 0:
            feed.show(togai.requests)
            show(summary(togai))
            pause.wait(min(left, _LOOK_EVERY))


def _picture(line: str) -> Text:
    return styled(line, "dim")


def summary(togai: FakeTogai) -> str:
    """Say what the sandbox would bill."""
    book = togai.ledger
    return (
        f"{plural(book.metered, 'event')} billed,"
        f" {plural(book.duplicates, 'copy', 'copies')} recognised by id and not billed,"
        f" {len(book.billed_twice):,} billed twice"
    )


class Feed:
    """Prints a line for each request, once it has a reply or will never have one."""

    def __init__(self, screen: Screen, *, quiet: bool) -> None:
        self.screen = screen
        self._quiet = quiet
        self._shown: set[int] = set()  # numbers of requests that the sandbox still keeps

    def show(self, requests: Sequence[Answered]) -> None:
        """Print the requests that were not printed before."""
        self._shown.intersection_update(request.number for request in requests)
        for request in requests:
            if request.number not in self._shown and _is_over(request):
                self._shown.add(request.number)
                if not self._quiet:
                    self.screen.say(_line(request))


def _is_over(request: Answered) -> bool:
    return request.status is not None or isinstance(_fault(request), (kinds.Reset, kinds.Cut))


def _fault(request: Answered) -> kinds.Fault | None:
    """Return the fault that it met, without the latency that all requests have."""
    fault = request.fault
    return fault.then if isinstance(fault, kinds.Slow) and fault not in _NAMES else fault


def _line(request: Answered) -> str:
    fault = _fault(request)
    line = f"{request.status or '---'}  {request.method:4} {request.path}"
    if request.events:
        count, _, events = plural(len(request.events), "event").partition(" ")
        line = f"{line:28}{count:>5} {events:6} {request.size:9,} bytes"
    return f"{line}  fault {_NAMES[fault]}" if fault in _NAMES else line
