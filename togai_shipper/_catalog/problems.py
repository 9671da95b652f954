"""What is wrong with an event, or with a schema, so that Togai would take the event and not bill it. Pure.

Not judged are units, and what an event has beyond its schema: what Togai makes of these is not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

import attrs

from togai_shipper._event import Event

from .schemas import Catalog, EventSchema

PREDEFINED = "togai-"  # what the names of Togai's own schemas begin with; its list does not have them


@attrs.frozen
class Problem:
    """Something that is wrong; ``is_failure``: Togai does not bill such an event, whatever else holds."""

    text: str
    is_failure: bool


def problems_of(event: Event, catalog: Catalog) -> Iterator[Problem]:
    """Say what is wrong with an event, by the schemas that there are."""
    name = event.schema_name
    if name.startswith(PREDEFINED):
        return
    schema = catalog.get(name)
    if schema is None:
        yield Problem(f"no event schema is named {name!r}{_nearest(name, catalog)}", is_failure=True)
        return
    yield from problems_of_schema(schema)
    attributes = {each.name for each in event.attributes}
    lacks = [f"attribute {each!r}" for each in schema.attributes if each not in attributes]
    lacks += [f"dimension {each!r}" for each in schema.dimensions if each not in event.dimensions]
    if lacks:
        yield Problem(f"event schema {name!r} needs {', '.join(lacks)}", is_failure=True)


def problems_of_schema(schema: EventSchema) -> Iterator[Problem]:
    """Say what is wrong with all events of a schema."""
    name = schema.name
    if not schema.is_active:
        yield Problem(f"event schema {name!r} is not ACTIVE, but {schema.status!r}", is_failure=True)
    if schema.usage_meters == 0:
        yield Problem(f"no usage meter counts event schema {name!r}", is_failure=False)
    if schema.has_id_template:
        text = f"Togai makes the ids of event schema {name!r} itself (eventIdTemplate), and may ignore ours"
        yield Problem(text, is_failure=False)


def _nearest(name: str, catalog: Catalog) -> str:
    names = {each.strip().casefold(): each for each in catalog}
    found = get_close_matches(name.strip().casefold(), names, n=1)
    return f"; the nearest is {names[found[0]]!r}" if found else ""
