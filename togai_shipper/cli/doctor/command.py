"""``togai-shipper doctor``: run all checks, and print them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import click

from togai_shipper._config import Config
from togai_shipper._option_values import shown_base_url
from togai_shipper._secret import Secret
from togai_shipper.cli.formats import plural
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.options import base_url_option, json_option, relay_name_option
from togai_shipper.cli.screen import Screen, styled
from togai_shipper.cli.terminal import print_json, print_lines
from togai_shipper.cli.togai_asked import togai_asked
from togai_shipper.relay.url import DEFAULT_NAME

from . import (
    catalog_checks,
    environment_checks,
    lookup_checks,
    package_checks,
    relay_checks,
    server_checks,
    spool_checks,
)
from .bounded import bounded
from .check import Check, has_failed
from .environment_checks import KEY
from .world import World

PROBE_RATE = 5.0  # look-ups a second
UNSEEN = Check(
    "warn",
    "process",
    "not seen: without a spool, no process says where others can read it how it stands",
    "Is there a spool? Name it: TOGAI_SPOOL=DIR, or --spool DIR. If not, ask the application itself:\n"
    "curl -s APPLICATION/metrics | grep togai_shipper_healthy, its log, or print(shipper.stats())",
)
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def examine(
    environ: Mapping[str, str],
    world: World,
    *,
    request: bool,
    check_key: bool,
    catalog: str | None = None,
    accounts: Sequence[str] = (),
    probe: bool = False,
    **given: Any,
) -> Iterator[Check]:
    """Run every check, one after another; the options ``given`` win over the environment."""
    relay = environ.get("TOGAI_RELAY", "")
    key = environment_checks.key(environ, has_relay=bool(relay))
    yield key
    refused, config = environment_checks.options(environ, **given)
    yield from refused
    yield from environment_checks.unknown_names(environ)
    if not any(check.name in ("base_url", "TOGAI_BASE_URL") for check in refused):
        yield Check("ok", "base_url", shown_base_url(config.base_url))
        if not relay or environ.get(KEY):  # else this host hands over, and the drainers' hosts send
            usable = check_key and key.level == "ok"
            yield from _server(config.base_url, environ[KEY] if usable else None, world, request=request)
        asking = attrs.evolve(config, api_key=Secret(environ.get(KEY, "")), relay=None)
        listed = world.lists(asking).all_of if request and environ.get(KEY) and key.level == "ok" else None
        yield from _lists(catalog, accounts, listed, world)
        if probe and key.level == "ok":
            yield from bounded("look-ups", partial(_lookups, asking, world), world.patience)
        if relay:
            expected = relay_checks.Expected(
                relay,
                environ.get("TOGAI_RELAY_NAME") or DEFAULT_NAME,
                config.base_url,
                environ.get(KEY, ""),
                environment_checks.replicas(environ),
                config.max_relay_bytes,
            )
            yield from bounded("relay", partial(relay_checks.relay, expected, world), world.patience)
    if config.spool:
        looked = partial(spool_checks.spool, config.spool, config.base_url, config.max_spool_bytes, world)
        yield from bounded("spool", looked, world.patience)
    else:
        yield Check("ok", "spool", "none: what a process holds when it is killed is lost")
        if not relay:
            yield UNSEEN
    yield from package_checks.packages(world.installed)


def _lists(
    catalog: str | None, accounts: Sequence[str], listed: catalog_checks.Listed | None, world: World
) -> Iterator[Check]:
    if catalog is not None:
        yield from bounded("catalog", partial(catalog_checks.catalog, catalog, listed), world.patience)
    if accounts and listed is not None:
        yield from bounded("account", partial(catalog_checks.accounts, accounts, listed), world.patience)


def _lookups(config: Config, world: World) -> Iterator[Check]:
    try:
        with togai_asked(config, PROBE_RATE) as togai:
            yield from lookup_checks.lookups(togai, lookup_checks.moment(world.now()))
    except NotAnswered as error:  # pragma: no cover  without a key, of which another check tells
        yield Check("warn", lookup_checks.NAME, error.message, "Nothing can be looked up.")


def _server(base_url: str, key: str | None, world: World, *, request: bool) -> Iterator[Check]:
    reached = []
    for check in bounded("server", partial(server_checks.reach, base_url, world), world.patience):
        reached.append(check)
        yield check
    if request and not has_failed(reached):
        yield from bounded("server", partial(server_checks.answers, base_url, key, world), world.patience)


_DOCTOR_HELP = """
Check all that delivery needs: key, options, server, clock, spool, relay, packages.

Run it where the application runs: as its user, and in its environment. It sends nothing that is billed.
It makes one request without the key, for what Togai does not have. Togai allows an address 5 requests
without a valid key in 30 minutes, so use --no-request where you run it often. With --check-key the
request is GET /events with the key; if the key is refused, it is one of those 5. Certificates are those
that the application trusts: REQUESTS_CA_BUNDLE counts here, too.

--catalog and --account ask Togai with the key, too: GET /event_schema, which is one request for 100
schemas, and GET /accounts. --catalog also tells which schemas Togai would not bill.

--probe-lookups reads some pages of GET /events, and asks POST /metrics, with the key: up to 20 requests.
It says which events can be counted how, and to which day Togai counts an event.

Exit status: 0 if nothing has failed (there may be warnings), else 1.

\b
Examples:
  togai-shipper doctor
  togai-shipper doctor --check-key --spool /var/lib/app/togai-spool
  togai-shipper doctor --no-request --json
  togai-shipper doctor --catalog togai-schemas.json --account acme
"""


@click.command(help=_DOCTOR_HELP)
@base_url_option
@click.option("--spool", metavar="DIR", help="Check this spool instead of TOGAI_SPOOL.")
@click.option("--relay", metavar="URL", help="Check this relay instead of TOGAI_RELAY.")
@relay_name_option("relay_name", has_default=False)
@click.option("--catalog", metavar="FILE", help="Is this file of event schemas still what Togai has?")
@click.option("--account", "accounts", metavar="ID", multiple=True, help="Does Togai have it? Or an alias.")
@click.option(
    "--probe-lookups", is_flag=True, help="What can be looked up, and what Togai leaves open there?"
)
@click.option("--check-key", is_flag=True, help="Check with Togai that the key is valid.")
@click.option("--no-request", is_flag=True, help="Connect, but make no request; skips the clock, too.")
@json_option()
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    base_url: str | None,
    spool: str | None,
    relay: str | None,
    relay_name: str | None,
    catalog: str | None,
    accounts: Sequence[str],
    probe_lookups: bool,
    check_key: bool,
    no_request: bool,
    as_json: bool,
) -> None:
    """Check all that delivery needs: key, options, server, clock, spool, relay, packages."""
    for option, asks in (
        ("--check-key", check_key),
        ("--account", bool(accounts)),
        ("--probe-lookups", probe_lookups),
    ):
        if asks and no_request:
            raise click.UsageError(f"{option} is a request, and --no-request allows none")
    given = {name: value for name, value in (("base_url", base_url), ("spool", spool)) if value is not None}
    named = (("TOGAI_RELAY", relay), ("TOGAI_RELAY_NAME", relay_name))
    environ = {**os.environ, **{variable: value for variable, value in named if value is not None}}
    found = []
    screen = Screen()
    world = ctx.find_object(World) or World()
    all_checks = partial(
        examine,
        environ,
        world,
        request=not no_request,
        check_key=check_key,
        catalog=catalog,
        accounts=accounts,
        probe=probe_lookups,
        **given,
    )
    for check in bounded("doctor", all_checks, 5 * world.patience):  # longer than its parts together
        found.append(check)
        if not as_json:
            show(screen, check)
    failed = has_failed(found)
    if as_json:
        print_json({"ok": not failed, "checks": [attrs.asdict(check) for check in found]}, indent=2)
    else:
        print_lines(["", _conclusion(found)])
    ctx.exit(1 if failed else 0)


def show(screen: Screen, check: Check) -> None:
    """Print the check in a line, and its advice below it."""
    screen.say(styled(f"{check.level:4}  ", _STYLES[check.level]), f"{check.name:12} {check.found}")
    for advice in check.advice.splitlines():
        screen.say(styled(f"{'':19}{advice}", "dim"))


def _conclusion(found: Sequence[Check]) -> str:
    fails, warnings = (sum(check.level == level for check in found) for level in ("fail", "warn"))
    if not fails and not warnings:
        return "All is well."
    parts = [plural(fails, "failure")] * bool(fails) + [plural(warnings, "warning")] * bool(warnings)
    unseen = " It has not seen how the application's processes stand." if UNSEEN in found else ""
    return f"{' and '.join(parts)}: see above what to do.{unseen}"
