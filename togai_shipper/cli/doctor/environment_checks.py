"""Checks of the environment: the key, the options, and names that look like options. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import attrs

from togai_shipper import ConfigurationError
from togai_shipper._config import Config
from togai_shipper._option_values import check_key
from togai_shipper._secret import Secret
from togai_shipper.cli.formats import plural

from .check import Check

KEY = "TOGAI_API_KEY"
_OPTIONS = {field.name: bool(field.metadata["read"]) for field in attrs.fields(Config)}


def key(environ: Mapping[str, str], *, has_relay: bool = False) -> Check:
    """Check that there is a key, and that it can be sent in a header. It is never shown."""
    text = environ.get(KEY, "")
    if not text and has_relay:
        return Check("ok", "key", f"{KEY} is not set here: with a relay, its drainers alone need it")
    if not text:
        advice = f"Set {KEY} to a secret key of Togai, or pass api_key= in your code."
        return Check("fail", "key", f"{KEY} is not set here", advice)
    try:
        check_key(Secret(text))
    except ConfigurationError as error:
        return Check(
            "fail", "key", str(error).replace("api_key: ", f"{KEY}: "), "Set it again, without a line end."
        )
    return Check("ok", "key", f"{plural(len(text), 'character')}, from {KEY}")


def replicas(environ: Mapping[str, str]) -> int:
    """Return how many replicas are to have what is handed over; a bad number is told elsewhere."""
    text = environ.get("TOGAI_RELAY_REPLICAS", "")
    return int(text) if text.isdecimal() and len(text) < 4 else 0  # noqa: PLR2004  digits


def unknown_names(environ: Mapping[str, str]) -> Iterator[Check]:
    """Warn about names that look like options, but are not read."""
    readable = [name for name, is_read in _OPTIONS.items() if is_read]
    for name in sorted(environ):
        option = name[6:].lower()
        if not name.upper().startswith("TOGAI_") or (option in readable and name.isupper()):
            continue
        if option in _OPTIONS and option not in readable:
            yield Check(
                "warn",
                name,
                "cannot be set in the environment, and is not read",
                f"Pass {option}= in your code.",
            )
            continue
        nearest = get_close_matches(option, readable, 1)
        advice = (
            f"Did you mean TOGAI_{nearest[0].upper()}?"
            if nearest
            else "Remove it if it was meant for this library."
        )
        yield Check("warn", name, "is not an option, and is not read", advice)


def options(environ: Mapping[str, str], **given: Any) -> tuple[list[Check], Config]:
    """Check the options; return each one that would be refused, and the options without these."""
    environ = {name: text for name, text in environ.items() if name != KEY}
    checks: list[Check] = []
    while True:
        try:
            config = Config.load(environ, api_key="-", **given)
        except ConfigurationError as error:
            name, _, why = str(error).partition(": ")
            checks.append(Check("fail", name, why, "The library refuses to start with it: correct it."))
            environ, given = _without(name, environ, given)
        else:
            break
    count = sum(bool(environ.get(f"TOGAI_{name.upper()}")) for name, is_read in _OPTIONS.items() if is_read)
    if not checks:
        checks.append(Check("ok", "options", f"{count or 'none'} set in the environment, none refused"))
    if not config.enabled:
        checks.append(Check("warn", "enabled", "is false: nothing is sent", "Unset TOGAI_ENABLED to send."))
    return checks, config


def _without(
    name: str, environ: dict[str, str], given: dict[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the options without the refused one, or without both of two that contradict (``backoff_…``)."""
    if name in given:
        return environ, {other: value for other, value in given.items() if other != name}
    family = name if name in environ else f"TOGAI_{name.partition('_')[0].upper()}_"
    return {other: text for other, text in environ.items() if not other.startswith(family)}, given
