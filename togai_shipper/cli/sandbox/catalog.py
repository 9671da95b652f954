"""Which schemas and accounts exist in the sandbox: read from a file, and from options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from togai_shipper.cli.formats import plural
from togai_shipper.sandbox.catalog import Account, Item, Listed, Schema
from togai_shipper.sandbox.catalog_reading import CatalogError, accounts_of, read_catalog, schemas_of


@attrs.frozen
class Existing:
    """What exists; ``None``: all schemas, or all accounts."""

    schemas: Listed[Schema] | None = None
    accounts: Listed[Account] | None = None

    def __str__(self) -> str:
        schemas, accounts = _active(self.schemas), _active(self.accounts)
        inactive = [*_inactive(self.schemas), *_inactive(self.accounts)]
        return (
            f"What exists: {'every schema' if schemas is None else plural(len(schemas), 'schema')},"
            f" {'every account' if accounts is None else plural(len(accounts), 'account')}."
            " All else is accepted and not billed."
            + (f" Not active, so left out: {', '.join(inactive)}." if inactive else "")
        )


def existing(path: Path | None, schemas: Sequence[str], accounts: Sequence[str]) -> Existing:
    """Return what exists by a file and by options; a schema of an option replaces one of the file.

    Raises ``BadParameter``.
    """
    more = {str(schema["name"]): schema for schema in map(schema_of, schemas)}
    try:
        file_schemas, file_accounts = (None, None) if path is None else attrs.astuple(read_catalog(path))
    except CatalogError as error:
        raise click.BadParameter(str(error), param_hint="--catalog") from None
    kept = [each for each in file_schemas or () if _name(each) not in more]
    return Existing(
        None if file_schemas is None and not more else schemas_of([*kept, *more.values()]),
        None if file_accounts is None and not accounts else accounts_of([*(file_accounts or ()), *accounts]),
    )


def schema_of(text: str) -> Mapping[str, Any]:
    """Read ``NAME`` or ``NAME:attribute,attribute``. Raises ``BadParameter``."""
    name, colon, rest = text.partition(":")
    names = [each.strip() for each in rest.split(",")] if colon else []
    if not name or "" in names:
        raise click.BadParameter(f"{text!r} is not NAME or NAME:attribute,attribute", param_hint="--schema")
    return {"name": name, "attributes": [{"name": each} for each in names]}


def _name(item: Item) -> str:
    return item if isinstance(item, str) else str(item["name"])


def _active(listed: Listed[Any] | None) -> set[str] | None:
    return None if listed is None else {_label(each) for each in listed.found.values() if each.is_active}


def _inactive(listed: Listed[Any] | None) -> list[str]:
    found = () if listed is None else listed.found.values()
    return list(dict.fromkeys(_label(each) for each in found if not each.is_active))


def _label(each: Schema | Account) -> str:
    return each.name if isinstance(each, Schema) else each.id
