"""What an encoded event has in common with others, read from its bytes, without decoding them.

Each trait is a piece of the event's JSON, as it stands there. A quote inside a string is escaped, so what is
looked for can only be what it seems to be.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Literal, TypeAlias, get_args

#: What events may have in common: the narrower ones first.
Kind: TypeAlias = Literal["account and schema", "shape", "account", "schema"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: One of them, and the events that have it: a piece of their JSON.
Trait: TypeAlias = tuple[Kind, bytes]

#: Characters of a schema's name that is told; a longer one is something else.
MAX_TOLD = 100
_SCHEMA_AT = len(b'{"schemaName":')
_SCHEMA = re.compile(rb'\{"schemaName":("[^"\\]*(?:\\.[^"\\]*)*"),"id":')
_ACCOUNT = b',"accountId":'
_ATTRIBUTES = b',"attributes":['
_DIMENSIONS = b'],"dimensions":{'
_NUMBER = re.compile(rb'"value":"[^"]*"')
_NAMED = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*"):"[^"\\]*(?:\\.[^"\\]*)*"')


def schema_of(event: bytes) -> str:
    """Read the schema's name of an event, to tell people of it; empty where the bytes have none."""
    with suppress(ValueError, RecursionError):  # the bytes are no event
        found = _SCHEMA.match(event)
        name = "" if found is None else json.loads(found[1]) if b"\\" in found[1] else found[1][1:-1].decode()
        if len(name) <= MAX_TOLD:
            return str(name)
    return ""


def traits_of(event: bytes, *, shape: bool = True) -> tuple[Trait, ...]:
    """Read the traits of an event, in the order of ``KINDS``; without ``shape``, that one is left out.

    Of bytes that ``encode`` has not written there may be none.
    """
    schema_ends = event.find(b',"id":', _SCHEMA_AT)
    account_at = event.find(_ACCOUNT, schema_ends)
    account_ends = event.find(_ATTRIBUTES, account_at)
    if min(schema_ends, account_at, account_ends) < 0:
        return ()
    schema = event[_SCHEMA_AT:schema_ends]
    account = event[account_at + len(_ACCOUNT) : account_ends]
    both: Trait = ("account and schema", schema + account)
    if not shape:
        return both, ("account", account), ("schema", schema)
    attributes, _, dimensions = event[account_ends:].partition(_DIMENSIONS)
    names = schema + _NUMBER.sub(b"", attributes) + b"".join(_NAMED.findall(dimensions))
    return both, ("shape", names), ("account", account), ("schema", schema)
