"""What an event schema of Togai asks of events. Pure.

Read are Togai's own objects, as ``GET /event_schema`` lists them; where a field is missing, nothing is known
of it, and nothing asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

ACTIVE = "ACTIVE"


@attrs.frozen
class EventSchema:
    """An event schema.

    Attributes:
        name: its name.
        version: its version.
        status: ``ACTIVE``, or another status of Togai's; events of it are not billed then.
        attributes: names of attributes that each event needs.
        dimensions: names of dimensions that each event needs.
        usage_meters: how many usage meters count its events; ``None``: that is not known.
        has_id_template: Togai makes the ids of its events itself.

    """

    name: str
    version: int = 1
    status: str = ACTIVE
    attributes: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    usage_meters: int | None = None
    has_id_template: bool = False

    @property
    def is_active(self) -> bool:
        """Whether Togai uses it."""
        return self.status == ACTIVE


Catalog: TypeAlias = Mapping[str, EventSchema]  # by their names


def schema_of(item: Any, where: str) -> EventSchema:
    """Read a schema: an object of Togai's, or its name alone. Raises ``ValueError``, which says ``where``."""
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, dict):
        raise ValueError(f"{where}: must be an object or a name, not {_kind(item)}")  # noqa: TRY004  told like the rest
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}.name: must be a text, not {_kind(name)}")
    enriched = {each.get("name") for each in _objects((item.get("enrichments") or {}), "fields", where)}
    version, meters = item.get("version"), item.get("usageMetersCount")
    return EventSchema(
        name,
        version if isinstance(version, int) else 1,
        str(item.get("status") or ACTIVE),
        _names(item, "attributes", where, enriched),
        _names(item, "dimensions", where, enriched),
        meters if isinstance(meters, int) else None,
        bool(item.get("eventIdTemplate")),
    )


def catalog_of(items: Iterable[Any], where: str) -> Catalog:
    """Read schemas; of several with a name the active one counts, else the latest. Raises ``ValueError``."""
    found: dict[str, EventSchema] = {}
    for index, item in enumerate(items):
        schema = schema_of(item, f"{where}[{index}]")
        known = found.get(schema.name)
        if known is None or (known.is_active, known.version) < (schema.is_active, schema.version):
            found[schema.name] = schema
    return found


def _names(item: dict[str, Any], kind: str, where: str, enriched: set[Any]) -> tuple[str, ...]:
    """The names of attributes, or dimensions, but for those that Togai adds to events itself."""
    names = []
    for index, each in enumerate(_objects(item, kind, where)):
        name = each.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where}.{kind}[{index}].name: must be a text, not {_kind(name)}")
        names.append(name)
    return tuple(name for name in names if name not in enriched)


def _objects(item: Any, kind: str, where: str) -> list[dict[str, Any]]:
    if not isinstance(item, dict):
        raise ValueError(f"{where}.enrichments: must be an object, not {_kind(item)}")  # noqa: TRY004  told like the rest
    found = item.get(kind) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{where}.{kind}: must be a list of objects")
    return found


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
