"""The switches of the sandbox that a user sets: ``--switch day_rule=receipt``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import attrs
import click

from togai_shipper.sandbox.fake import FakeTogai
from togai_shipper.sandbox.switches import Switches

_ELSEWHERE = {"clock", "ends_in", "schemas", "accounts", "headers"}  # no text can say them, or an option does
_TYPES: Mapping[str, str] = {
    each.name: str(each.type) for each in attrs.fields(Switches) if each.name not in _ELSEWHERE
}


def set_switches(togai: FakeTogai, texts: Sequence[str]) -> None:
    """Set each switch, given as ``NAME=VALUE``. Raises ``BadParameter``."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in _TYPES:
            raise _wrong(f"{text!r} is not NAME=VALUE with one of the names {', '.join(sorted(_TYPES))}")
        try:
            setattr(togai, name, _value(name, value))
        except ValueError as error:
            raise _wrong(str(error.args[0])) from None


def _value(name: str, text: str) -> bool | float | str | None:
    """Return what a text says, as the switch has it. Raises ``ValueError``."""
    kind, _, none = _TYPES[name].partition(" | ")
    if none and text in ("none", "null"):
        return None
    match kind:
        case "bool" if text in ("true", "false"):
            return text == "true"
        case "int" if text.isascii() and text.isdigit():
            return int(text)
        case "float" if _is_number(text):
            return float(text)
        case "bool" | "int" | "float":
            wanted = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
            raise ValueError(f"{name}: must be {wanted}{', or none' if none else ''}, not {text!r}")
    return text


def _is_number(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _wrong(why: str) -> click.BadParameter:
    return click.BadParameter(why, param_hint="--switch")
