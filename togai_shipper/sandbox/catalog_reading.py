"""Reads which schemas and accounts the organisation has.

They are given as names, as objects in the form in which Togai lists them, or as a file of JSON that holds
either: what ``togai-shipper catalog`` has written, or an object with ``event_schemas`` (or ``schemas``),
``accounts``, or both, each a list, or the whole answer of Togai to ``GET /event_schema`` and
``GET /accounts``::

    {"event_schemas": ["storage",
                       {"name": "api_call", "status": "ACTIVE", "attributes": [{"name": "count"}],
                        "dimensions": [{"name": "region"}], "usageMetersCount": 1}],
     "accounts": ["acme", {"id": "globex", "aliases": [{"alias": "ops@globex.example"}], "status": "ACTIVE"}]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import attrs

from .catalog import ACTIVE, Account, Item, Listed, Schema, account_object, schema_object

Given: TypeAlias = str | os.PathLike[str] | Collection[Any] | Listed[Any] | None

VERSION = 1  # of the file, if it says one

_FIELDS = {"event_schemas": "schemas", "schemas": "schemas", "accounts": "accounts"}
_ABOUT = {"version", "base_url"}  # what else a file may say


class CatalogError(ValueError):
    """A catalog is not as it must be; the text says where, and what is wrong."""


@attrs.frozen
class CatalogFile:
    """What a file says: the items of each kind; ``None``: it does not speak of them."""

    schemas: list[Item] | None = None
    accounts: list[Item] | None = None


# --- what is given to the sandbox ---------------------------------------------------------------------------


def schemas_given(given: Given) -> Any:
    """Return schemas to look in: read from a file or from objects; plain names stay what they are."""
    if isinstance(given, (str, os.PathLike)):
        return schemas_of(_said(given, "event_schemas", read_catalog(given).schemas))
    return schemas_of(given) if _has_objects(given) else given


def accounts_given(given: Given) -> Any:
    """Return accounts to look in: read from a file or from objects; plain names stay what they are."""
    if isinstance(given, (str, os.PathLike)):
        return accounts_of(_said(given, "accounts", read_catalog(given).accounts))
    return accounts_of(given) if _has_objects(given) else given


def _said(path: str | os.PathLike[str], kind: str, items: list[Item] | None) -> list[Item]:
    if items is None:
        raise CatalogError(f"{os.fspath(path)}: has no {kind}")
    return items


def _has_objects(given: Any) -> TypeGuard[Collection[Item]]:
    return isinstance(given, Collection) and any(isinstance(each, Mapping) for each in given)


# --- a file -------------------------------------------------------------------------------------------------


def read_catalog(path: str | os.PathLike[str]) -> CatalogFile:
    """Read a file, whose items are then as they must be. Raises ``CatalogError``."""
    try:
        return _checked(json.loads(Path(path).read_bytes()))
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except CatalogError as error:
        why = str(error)
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        why = f"is not JSON: {error}"
    raise CatalogError(f"{os.fspath(path)}: {why}")


def _checked(value: Any) -> CatalogFile:
    if not isinstance(value, dict) or not value.keys() - _ABOUT or value.keys() - _ABOUT - _FIELDS.keys():
        raise CatalogError("must be an object with event_schemas, accounts, or both, and nothing else")
    if value.get("version", VERSION) != VERSION:
        raise CatalogError(f"version: must be {VERSION}; another version of togai_shipper made this file")
    if {"event_schemas", "schemas"} <= value.keys():
        raise CatalogError("schemas: is an older name of event_schemas, which is there too")
    found = {}
    for name, field in _FIELDS.items():
        if name not in value:
            continue
        found[field] = items = _items(name, value[name])
        (schemas_of if field == "schemas" else accounts_of)(items, name)
    return CatalogFile(**found)


def _items(kind: str, items: Any) -> list[Item]:
    """Return the items of a list, or of an answer of Togai's."""
    if isinstance(items, dict):
        if items.get("nextToken"):
            raise CatalogError(f"{kind}: has a nextToken, so it is not all; ask for the next page")
        items = items.get("data")
    if not isinstance(items, list):
        raise CatalogError(f"{kind}: must be a list, or an answer of Togai's with its list in data")
    return items


# --- items --------------------------------------------------------------------------------------------------


def schemas_of(items: Collection[Item], kind: str = "event_schemas") -> Listed[Schema]:
    """Return the schemas of a list. Raises ``CatalogError``."""
    found: dict[str, Schema] = {}
    for index, item in enumerate(items):
        schema = _schema(f"{kind}[{index}]", item)
        known = found.get(schema.name)
        if known is not None and known.is_active and schema.is_active:
            raise CatalogError(f"{kind}[{index}]: {schema.name!r} is there already")
        if known is None or schema.is_active:  # an older version, or a draft of the next one, is not used
            found[schema.name] = schema
    return Listed(found, tuple(map(schema_object, items)))


def _schema(where: str, item: Item) -> Schema:
    name = _name(where, item, "name")
    if isinstance(item, str):
        return Schema(name)
    attributes = _inner(where, item, "attributes")
    units = [each.get("defaultUnit") if isinstance(each, Mapping) else None for each in attributes]
    named = dict(zip(_names(where, item, "attributes"), units, strict=True))
    enriched = _enriched(where, item)
    return Schema(
        name,
        {attribute: unit for attribute, unit in named.items() if attribute not in enriched},
        tuple(each for each in _names(where, item, "dimensions") if each not in enriched),
        is_active=item.get("status", ACTIVE) == ACTIVE,
        has_meters=item.get("usageMetersCount") != 0,
        has_id_template=bool(item.get("eventIdTemplate")),
        version=item.get("version", 1),
    )


def _enriched(where: str, item: Mapping[str, Any]) -> set[str]:
    """Return the names of what Togai itself adds to each event."""
    enrichments = item.get("enrichments") or {}
    if not isinstance(enrichments, Mapping):
        raise CatalogError(f"{where}.enrichments: must be an object")
    return set(_names(f"{where}.enrichments", enrichments, "fields"))


def accounts_of(items: Collection[Item], kind: str = "accounts") -> Listed[Account]:
    """Return the accounts of a list. Raises ``CatalogError``."""
    found: dict[str, Account] = {}
    for index, item in enumerate(items):
        where = f"{kind}[{index}]"
        account_id = _name(where, item, "id")
        aliases: list[str] = []
        account = Account(account_id, account_id)
        if not isinstance(item, str):
            is_active = item.get("status", ACTIVE) == ACTIVE
            account = Account(account_id, item.get("customerId", account_id), is_active)
            aliases = _names(where, item, "aliases", "alias")
        for name in (account_id, *aliases):
            found.setdefault(name, account)
    return Listed(found, tuple(map(account_object, items)))


def _name(where: str, item: Any, field: str) -> str:
    name = item.get(field) if isinstance(item, Mapping) else item
    if not isinstance(name, str) or not name:
        raise CatalogError(f"{where}: must be a name, or an object with one as its {field}")
    return name


def _inner(where: str, item: Mapping[str, Any], kind: str) -> list[Any]:
    inner = item.get(kind) or []
    if not isinstance(inner, list):
        raise CatalogError(f"{where}.{kind}: must be a list")
    return inner


def _names(where: str, item: Mapping[str, Any], kind: str, field: str = "name") -> list[str]:
    return [
        _name(f"{where}.{kind}[{index}]", each, field) for index, each in enumerate(_inner(where, item, kind))
    ]
