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

from . import environment_checks, package_checks, server_checks, spool_checks
from .bounded import bounded
from .check import Check, has_failed
from .environment_checks import KEY
from .world import World

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def examine(
    environ: Mapping[str, str], world: World, *, request: bool, check_key: bool, **given: Any
) -> Iterator[Check]:
    """Run every check, one after another; the options ``given`` win over the environment."""
    key = environment_checks.key(environ)
    yield key
    refused, config = environment_checks.options(environ, **given)
    yield from refused
    yield from environment_checks.unknown_names(environ)
    if not any(check.name in ("base_url", "TOGAI_BASE_URL") for check in refused):
        yield Check("ok", "base_url", shown_base_url(config.base_url))
        reached = []
        for check in bounded("server", partial(server_checks.reach, config.base_url, world), world.patience):
            reached.append(check)
            yield check
        if request and not has_failed(reached):
            usable = check_key and key.level == "ok"
            sent_key = environ[KEY] if usable else None
            asked = partial(server_checks.answers, config.base_url, sent_key, world)
            yield from bounded("server", asked, world.patience)
    if config.spool:
        looked = partial(spool_checks.spool, config.spool, config.base_url, config.max_spool_bytes, world)
        yield from bounded("spool", looked, world.patience)
    else:
        yield Check("ok", "spool", "none: what a process holds when it is killed is lost")
    yield from package_checks.packages(world.installed)


@click.command()
@click.option("--base-url", metavar="URL", help="Check this server instead of TOGAI_BASE_URL.")
@click.option("--spool", metavar="DIR", help="Check this spool instead of TOGAI_SPOOL.")
@click.option("--check-key", is_flag=True, help="Check with Togai that the key is valid.")
@click.option("--no-request", is_flag=True, help="Connect, but make no request; skips the clock, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    base_url: str | None,
    spool: str | None,
    check_key: bool,
    no_request: bool,
    as_json: bool,
) -> None:
    """Check all that delivery needs: key, options, server, clock, spool, packages.

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
    found = []
    screen = Screen()
    world = ctx.find_object(World) or World()
    all_checks = partial(examine, os.environ, world, request=not no_request, check_key=check_key, **given)
    for check in bounded("doctor", all_checks, 4 * world.patience):  # longer than its parts together
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
