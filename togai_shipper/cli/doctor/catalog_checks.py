"""Checks of what Togai bills by: whether a file of event schemas is still true, whether accounts exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from togai_shipper import ConfigurationError
from togai_shipper._catalog import Catalog, EventSchema, catalog_of, problems_of_schema, read_catalog
from togai_shipper.cli.formats import plural
from togai_shipper.cli.not_answered import NotAnswered

from .check import Check

#: Yields all objects that Togai lists at a path, with a query. Raises ``NotAnswered``.
Listed: TypeAlias = Callable[..., Iterable[dict[str, Any]]]

SCHEMAS, ACCOUNTS = "/event_schema", "/accounts"
_NAME, _ACCOUNT = "catalog", "account"
_ASK_ANEW = "Look at what has changed, and write it anew: togai-shipper catalog > FILE"


def catalog(path: str, listed: Listed | None) -> Iterator[Check]:
    """Check a file of event schemas: by itself, and, where Togai can be asked, beside what Togai has."""
    try:
        known = read_catalog(path)
    except ConfigurationError as error:
        yield Check("fail", _NAME, str(error), "Write it anew: togai-shipper catalog > FILE")
        return
    there = None
    if listed is not None:
        try:
            there = catalog_of(listed(SCHEMAS), "data")
        except (NotAnswered, ValueError) as error:
            why = error.message if isinstance(error, NotAnswered) else f"GET {SCHEMAS}: {error}"
            yield Check("warn", _NAME, f"cannot be compared with Togai's: {why}", "Try again later.")
    told = list(_differences(known, there)) if there is not None else []
    yield from told
    for schema in (there or known).values():
        for problem in problems_of_schema(schema):
            yield Check("warn", _NAME, problem.text, "Its events may not be billed: correct it in Togai.")
    if not told:
        what = "as at Togai" if there is not None else "not compared with Togai's"
        yield Check("ok", _NAME, f"{plural(len(known), 'event schema')} in {path}, {what}")


def _differences(known: Catalog, there: Catalog) -> Iterator[Check]:
    for name in sorted(known.keys() | there.keys()):
        if name not in there:
            found = f"event schema {name!r} is in the file, and Togai has it no longer"
        elif name not in known:
            found = f"event schema {name!r} is not in the file"
        elif changed := _changed(known[name], there[name]):
            found = f"event schema {name!r} is another one at Togai: {', '.join(changed)}"
        else:
            continue
        yield Check("warn", _NAME, found, _ASK_ANEW)


def _changed(known: EventSchema, there: EventSchema) -> list[str]:
    """Say which fields differ, but for the version, which changes with them."""
    fields = [field.name for field in attrs.fields(EventSchema) if field.name not in ("name", "version")]
    return [name for name in fields if getattr(known, name) != getattr(there, name)]


def accounts(names: Sequence[str], listed: Listed) -> Iterator[Check]:
    """Check that Togai has these accounts, each by its id or by an alias."""
    for name in names:
        try:
            yield _account(name, listed)
        except NotAnswered as error:
            yield Check("warn", _ACCOUNT, f"{name}: {error.message}", "It cannot be told whether it exists.")


def _account(name: str, listed: Listed) -> Check:
    for account in listed(ACCOUNTS, account_id=name):
        if account.get("id") == name:  # pragma: no branch  Togai lists no other
            return _found(name, account, "is an account")
    for account in listed(ACCOUNTS):
        aliases = account.get("aliases")
        for alias in aliases if isinstance(aliases, list) else ():
            if isinstance(alias, dict) and alias.get("alias") == name:
                return _found(name, account, f"is an alias of account {account.get('id')}")
    advice = "Create it, or give an account this alias; Togai takes events of it up again within 24 hours."
    return Check("warn", _ACCOUNT, f"{name}: no account has this id or alias", advice)


def _found(name: str, account: dict[str, Any], what: str) -> Check:
    status = account.get("status")
    if status not in (None, "ACTIVE"):
        return Check(
            "warn", _ACCOUNT, f"{name} {what}, which is {status}", "Its events may not be billed: see Togai."
        )
    return Check("ok", _ACCOUNT, f"{name} {what}")
