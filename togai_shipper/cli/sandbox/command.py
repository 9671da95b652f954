"""``togai-shipper sandbox``: start the sandbox, say how to reach it, and at the end what it would bill."""

from __future__ import annotations

import ipaddress
import math
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.text import Text

from togai_shipper.cli.display import display_on
from togai_shipper.cli.formats import plural
from togai_shipper.cli.screen import Screen, styled
from togai_shipper.cli.watching import stopped_by_signals
from togai_shipper.sandbox.fake import FakeTogai

from .catalog import Existing, existing
from .chosen_switches import set_switches
from .feed import Feed
from .lines import BAD, GOOD, Part
from .random_faults import FAULTS, RandomFaults

_LOOK_EVERY = 0.1  # seconds
_HISTORY = 500  # requests that it keeps; fewer come between two looks
_EVENTS = 50_000  # events that it keeps whole, and that can be looked up: some 100 MB
_IDS = 1_000_000  # ids that it knows: some 300 MB
_EVERYWHERE = "0.0.0.0"  # noqa: S104  only with --allow-remote


_SANDBOX_HELP = """
Run a stand-in for Togai until Ctrl-C, SIGTERM or SIGHUP.

It serves POST /ingest and /ingestBatch, and to look up what came of events GET /events and /events/{id},
POST /metrics and /events/correction, GET /event_schema and /accounts, and POST /authenticate, as strictly
as Togai documents them. It recognises ids that came before, and says at the end what it would bill.

As Togai does, it accepts an event whose schema or account does not exist, and never bills it. --catalog,
--schema and --account say what exists: where they name no schema, every schema does, and likewise every
account. Where they name a schema's attributes, an event must have all of them and no other.

A catalog is what "togai-shipper catalog" writes. Or it holds names, or objects as Togai lists them, or
all that Togai answers to GET /event_schema and GET /accounts. What is not ACTIVE there does not exist
here:

\b
  {"event_schemas": ["storage",
                     {"name": "api_call", "attributes": [{"name": "count"}],
                      "dimensions": [{"name": "region"}],
                      "status": "ACTIVE"}],
   "accounts": ["acme", {"id": "globex", "aliases": [{"alias": "gx"}]}]}

A switch (--switch) is one of FakeTogai, which its documentation explains: day_rule=receipt,
raw_statuses=false, metrics_lag=60, may_look_up=false. They say how it answers look-ups where Togai's
documentation leaves that open.

\b
What can go wrong with a request (--fail, --fault; look-ups: --fail-lookups):
  503, 500   nothing is accepted
  429        nothing is accepted, and Retry-After is 1
  207        all events of a batch but the first one are accepted
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
  togai-shipper sandbox --schema api_call:count --account acme --verbose
  togai-shipper sandbox --allow-remote --catalog togai-schemas.json
  togai-shipper sandbox --switch day_rule=receipt --switch day_zone=Asia/Tokyo
"""


@click.command(help=_SANDBOX_HELP)
@click.option("--host", metavar="ADDRESS", help="The address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65_535),
    metavar="N",
    help="0: any free port.",
)
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Let other machines and containers reach it: listen on all addresses, or on that of --host.",
)
@click.option(
    "--api-key",
    metavar="KEY",
    default="sandbox",
    show_default=True,
    help="The key that this stand-in accepts. Any word, but none of Togai's: others can see it here.",
)
@click.option(
    "--catalog",
    "catalog_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file of JSON that says which schemas and accounts exist; see above.",
)
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    metavar="NAME[:ATTRIBUTE,…]",
    help="A schema that exists, and the attributes that its events have; may be repeated.",
)
@click.option(
    "--account", "accounts", multiple=True, metavar="ID", help="An account that exists; may be repeated."
)
@click.option(
    "--switch",
    "switches",
    multiple=True,
    metavar="NAME=VALUE",
    help="How it behaves where Togai leaves that open; may be repeated. See below.",
)
@click.option(
    "--quota/--no-quota",
    default=True,
    help="Whether it enforces Togai's quotas (default): 50 requests a second to each of /ingest and"
    " /ingestBatch, 10 to all other endpoints.",
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
    "--fail-lookups",
    default=0.0,
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="How many of the look-ups go wrong, 0 to 1.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(list(FAULTS)),
    help="What goes wrong; may be repeated.  [default: any of these]",
)
@click.option("--seed", type=int, metavar="N", help="With the same seed, the same requests go wrong.")
@click.option("--quiet", is_flag=True, help="Do not print a line for each request.")
@click.option("--verbose", is_flag=True, help="Print a line for each event, too.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Stop after this time, instead of at Ctrl-C.",
)
def sandbox(
    *,
    host: str | None,
    port: int,
    allow_remote: bool,
    api_key: str,
    catalog_file: Path | None,
    schemas: Sequence[str],
    accounts: Sequence[str],
    switches: Sequence[str],
    quota: bool,
    latency: float,
    fail: float,
    fail_lookups: float,
    faults: Sequence[str],
    seed: int | None,
    quiet: bool,
    verbose: bool,
    seconds: float | None,
) -> None:
    """Run a stand-in for Togai until Ctrl-C, SIGTERM or SIGHUP."""
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose contradict each other")
    screen = Screen()
    known = existing(catalog_file, schemas, accounts)
    togai = FakeTogai(
        api_key,
        host=_address(host, allow_remote=allow_remote),
        port=port,
        history=_HISTORY,
        event_history=_EVENTS,
        id_history=_IDS,
        schemas=known.schemas,
        accounts=known.accounts,
    )
    names = faults or list(FAULTS)
    togai.on_request = RandomFaults(fail, names, seed, latency)
    togai.on_lookup = RandomFaults(fail_lookups, names, seed, latency)
    set_switches(togai, switches)
    if not quota:
        togai.rate_limit = togai.other_rate_limit = None
    feed = Feed(screen, quiet=quiet, verbose=verbose)
    stop = threading.Event()
    with stopped_by_signals(stop), _listening(togai):
        _introduce(togai, api_key, known, screen)
        watch(togai, feed, stop, math.inf if seconds is None else seconds)
    feed.show(togai.requests)
    screen.say()
    screen.say(styled(*summary(togai)))


def _address(host: str | None, *, allow_remote: bool) -> str:
    if host is None:
        return _EVERYWHERE if allow_remote else "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise click.BadParameter(f"{host} is not an IPv4 address", param_hint="--host") from None
    if not address.is_loopback and not allow_remote:
        why = f"{host} is not on loopback (127.0.0.1): it needs --allow-remote"
        raise click.BadParameter(why, param_hint="--host")
    return host


@contextmanager
def _listening(togai: FakeTogai) -> Iterator[None]:
    try:
        togai.start()
    except OSError as error:
        why = f"cannot listen on {togai.host}:{togai.port}: {error.strerror}"
        raise click.ClickException(why) from error
    with togai:
        yield


def _introduce(togai: FakeTogai, api_key: str, known: Existing, screen: Screen) -> None:
    """Say where it listens, how to point a shipper to it, and what exists."""
    host = "127.0.0.1" if togai.host == _EVERYWHERE else togai.host
    url = f"http://{host}:{togai.port}"
    screen.say(f"A stand-in for Togai; see it at {url} in a browser. Ctrl-C ends it.")
    screen.say("Point a Shipper to it:")
    screen.say()
    screen.say(f"  export TOGAI_BASE_URL={url}")
    screen.say(f"  export TOGAI_API_KEY={shlex.quote(api_key)}")
    screen.say()
    if not ipaddress.IPv4Address(togai.host).is_loopback:
        warning = (
            "Warning: whoever can reach this machine can use this sandbox, and its key is sent unencrypted."
        )
        screen.say(styled(warning, "yellow"))
        screen.say("A Shipper elsewhere needs this machine's name in the URL, and TOGAI_ALLOW_INSECURE=true.")
        screen.say()
    if known != Existing():
        screen.say(str(known))
        screen.say()


def watch(togai: FakeTogai, feed: Feed, stop: threading.Event, seconds: float) -> None:
    """Print each request, until ``stop`` is set, or for so many seconds."""
    until = time.monotonic() + seconds
    with display_on(feed.screen, _picture, lambda _: None) as show:
        while (left := until - time.monotonic()) > 0:
            feed.show(togai.requests)
            show(summary(togai))
            if stop.wait(min(left, _LOOK_EVERY)):
                break


def _picture(text_and_style: Part) -> Text:
    return styled(*text_and_style)


def summary(togai: FakeTogai) -> Part:
    """Say what the sandbox would bill, in red if money is lost."""
    found = togai.ledger.totals
    text = (
        f"{plural(found.billed, 'event')} billed,"
        f" {plural(found.known, 'copy', 'copies')} recognised by id and not billed,"
        f" {found.billed_twice:,} billed twice"
    )
    text += f", {found.not_billed:,} accepted and never billed" if found.not_billed else ""
    return text, BAD if found.not_billed or found.billed_twice else GOOD
