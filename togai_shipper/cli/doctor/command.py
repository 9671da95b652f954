"""``togai-shipper doctor``: run all checks, and print them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import click

from togai_shipper._option_values import shown_base_url
from togai_shipper.cli.formats import plural
from togai_shipper.cli.terminal import Screen, print_json, print_lines, styled
from togai_shipper.relay.url import DEFAULT_NAME

from . import environment_checks, package_checks, relay_checks, server_checks, spool_checks
from .bounded import bounded
from .check import Check, has_failed
from .environment_checks import KEY
from .world import World

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def examine(
    environ: Mapping[str, str], world: World, *, request: bool, check_key: bool, **given: Any
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
        if relay:
            expected = relay_checks.Expected(
                relay,
                environ.get("TOGAI_RELAY_NAME") or DEFAULT_NAME,
                config.base_url,
                environ.get(KEY, ""),
                environment_checks.replicas(environ),
            )
            yield from bounded("relay", partial(relay_checks.relay, expected, world), world.patience)
    if config.spool:
        looked = partial(spool_checks.spool, config.spool, config.base_url, config.max_spool_bytes, world)
        yield from bounded("spool", looked, world.patience)
    else:
        yield Check("ok", "spool", "none: what a process holds when it is killed is lost")
    yield from package_checks.packages(world.installed)


def _server(base_url: str, key: str | None, world: World, *, request: bool) -> Iterator[Check]:
    reached = []
    for check in bounded("server", partial(server_checks.reach, base_url, world), world.patience):
        reached.append(check)
        yield check
    if request and not has_failed(reached):
        yield from bounded("server", partial(server_checks.answers, base_url, key, world), world.patience)


@click.command()
@click.option("--base-url", metavar="URL", help="Check this server instead of TOGAI_BASE_URL.")
@click.option("--spool", metavar="DIR", help="Check this spool instead of TOGAI_SPOOL.")
@click.option("--relay", metavar="URL", help="Check this relay instead of TOGAI_RELAY.")
@click.option("--name", "relay_name", metavar="NAME", help="The relay's name, instead of TOGAI_RELAY_NAME.")
@click.option("--check-key", is_flag=True, help="Check with Togai that the key is valid.")
@click.option("--no-request", is_flag=True, help="Connect, but make no request; skips the clock, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    base_url: str | None,
    spool: str | None,
    relay: str | None,
    relay_name: str | None,
    check_key: bool,
    no_request: bool,
    as_json: bool,
) -> None:
    """Check all that delivery needs: key, options, server, clock, spool, relay, packages.

    Run it where the application runs: as its user, and in its environment. It sends nothing that is billed.
    It makes one request: HEAD / without the key. Togai allows an address 5 requests without a valid key in
    30 minutes, so use --no-request where you run it often. With --check-key the request is GET /events with
    the key; if the key is refused, it is one of those 5.

    Exit status: 0 if nothing has failed (there may be warnings), else 1.

    \b
    Examples:
      togai-shipper doctor
      togai-shipper doctor --check-key --spool /var/lib/app/togai-spool
      togai-shipper doctor --no-request --json
    """  # noqa: D301  \b is click's sign for "keep these lines"
    if check_key and no_request:
        raise click.UsageError("--check-key is a request, and --no-request allows none")
    given = {name: value for name, value in (("base_url", base_url), ("spool", spool)) if value is not None}
    named = (("TOGAI_RELAY", relay), ("TOGAI_RELAY_NAME", relay_name))
    environ = {**os.environ, **{variable: value for variable, value in named if value is not None}}
    found = []
    screen = Screen()
    world = ctx.find_object(World) or World()
    all_checks = partial(examine, environ, world, request=not no_request, check_key=check_key, **given)
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
    return f"{' and '.join(parts)}: see above what to do."
