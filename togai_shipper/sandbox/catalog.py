"""Which schemas and accounts the organisation has, and what Togai lists of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

ACTIVE = "ACTIVE"

Item: TypeAlias = str | Mapping[str, Any]  # a name, or an object as Togai lists it
Kind = TypeVar("Kind", "Schema", "Account")


@attrs.frozen
class Schema:
    """An event schema.

    Attributes:
        name: its name.
        attributes: the attributes that its events need, each with its unit, or ``None``.
        dimensions: the dimensions that its events need.
        either: further names that its events need, each of an attribute or of a dimension.
        is_active: whether it may be used.
        has_meters: whether a usage meter counts its events.
        has_id_template: whether Togai can make the ids of its events itself.
        version: its version.
        is_known: whether it exists.

    """

    name: str
    attributes: Mapping[str, str | None] = attrs.field(factory=dict)
    dimensions: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    is_active: bool = True
    has_meters: bool = True
    has_id_template: bool = False
    version: int = 1
    is_known: bool = True


@attrs.frozen
class Account:
    """An account.

    Attributes:
        id: its id.
        customer: the id of its customer.
        is_active: whether it may be used.
        is_known: whether it exists.

    """

    id: str
    customer: str
    is_active: bool = True
    is_known: bool = True


@attrs.frozen
class Listed(Generic[Kind]):
    """What exists of one kind, and how Togai lists it.

    Attributes:
        found: a schema by its name; an account by its id, and by each of its aliases.
        objects: what Togai lists.

    """

    found: Mapping[str, Kind]
    objects: tuple[Mapping[str, Any], ...]


# --- looking it up ------------------------------------------------------------------------------------------
# What a test gives as plain names, it may also change in place: so these are looked at each time.


def schema_called(schemas: Any, name: str, *, is_loose: bool = False) -> Schema:
    """Return the schema with this name; where it does not exist, one that is not known.

    ``schemas`` are those given; of ``None`` every schema exists. Loosely: whatever its case and outer blanks.
    """
    if schemas is None:
        return Schema(name)
    names = schemas.found if isinstance(schemas, Listed) else schemas
    if is_loose and name not in names:
        name = next((each for each in names if _loosely(each) == _loosely(name)), name)
    if name not in names:
        return Schema(name, is_known=False)
    if isinstance(schemas, Listed):
        found: Schema = schemas.found[name]
        return found
    return Schema(name, either=tuple(schemas[name]) if isinstance(schemas, Mapping) else ())


def account_called(accounts: Any, name: str) -> Account:
    """Return the account with this id or alias; where it does not exist, one that is not known.

    ``accounts`` are those given; of ``None`` every account exists.
    """
    if isinstance(accounts, Listed):
        return accounts.found.get(name) or Account(name, name, is_known=False)
    return Account(name, name, is_known=accounts is None or name in accounts)


def is_same_account(accounts: Any, name: str, other: str) -> bool:
    """Whether two names, ids or aliases, are of one account."""
    return account_called(accounts, name).id == account_called(accounts, other).id


def _loosely(name: str) -> str:
    return name.strip().casefold()


# --- as Togai lists it --------------------------------------------------------------------------------------


def schema_objects(schemas: Any) -> list[Mapping[str, Any]]:
    """Return the schemas given as Togai lists them; names of either kind are shown as attributes."""
    if isinstance(schemas, Listed):
        return list(schemas.objects)
    needed = schemas if isinstance(schemas, Mapping) else dict.fromkeys(schemas or (), ())
    return [
        schema_object({"name": name, "attributes": [{"name": each} for each in names]})
        for name, names in needed.items()
    ]


def account_objects(accounts: Any) -> list[Mapping[str, Any]]:
    """Return the accounts given as Togai lists them."""
    return (
        list(accounts.objects) if isinstance(accounts, Listed) else list(map(account_object, accounts or ()))
    )


def schema_object(item: Item) -> Mapping[str, Any]:
    """Return a schema as Togai lists it."""
    defaults = {"version": 1, "status": ACTIVE, "attributes": [], "dimensions": [], "usageMetersCount": 1}
    return {**defaults, **({"name": item} if isinstance(item, str) else item)}


def account_object(item: Item) -> Mapping[str, Any]:
    """Return an account as Togai lists it."""
    account_id = item if isinstance(item, str) else item["id"]
    defaults: dict[str, Any] = {
        "id": account_id,
        "name": f"account {account_id}",
        "togaiAccountId": f"account.{account_id}",
        "customerId": account_id,
        "togaiCustomerId": f"customer.{account_id}",
        "status": ACTIVE,
        "aliases": [],
    }
    return {**defaults, **({} if isinstance(item, str) else item)}
