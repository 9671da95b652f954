"""Options that several commands have: each with one name, one metavar, and one help text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from togai_shipper.relay.url import DEFAULT_NAME

_Command = TypeVar("_Command", bound=Callable[..., Any])

base_url_option = click.option(
    "--base-url", metavar="URL", help="Togai, or a stand-in for it.  [default: TOGAI_BASE_URL, or Togai]"
)
look_up_rate_option = click.option(
    "--rate-limit",
    type=click.FloatRange(0.1, 10),
    default=5.0,
    show_default=True,
    metavar="N",
    help="Requests a second, at most.",
)


def relay_name_option(*names: str, has_default: bool = True) -> Callable[[_Command], _Command]:
    """Add the name of a relay; without a default it is ``None`` where it is not given."""
    return click.option(
        "--name",
        *names,
        envvar="TOGAI_RELAY_NAME" if has_default else None,
        default=DEFAULT_NAME if has_default else None,
        metavar="NAME",
        help=f"The relay's name, if a relay's URL is given.  [default: TOGAI_RELAY_NAME, or {DEFAULT_NAME}]",
    )


def json_option(what: str = "") -> Callable[[_Command], _Command]:
    """Add a flag, ``as_json``; ``what``: what is printed, where that is not clear."""
    return click.option(
        "--json", "as_json", is_flag=True, help=f"Print JSON: {what}." if what else "Print JSON."
    )
