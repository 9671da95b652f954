"""The id that an event has at Togai: its own, or one made by its schema's ``eventIdTemplate``. Pure.

What a template looks like is not documented. So here it is made of all that the event says.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from .catalog import Listed, schema_called

if TYPE_CHECKING:
    from .records import EventJson
    from .switches import Switches


def identified(event: EventJson, switches: Switches) -> EventJson:
    """Return a valid event with the id that it has at Togai; as it is, if that is its own or none."""
    schemas = switches.schemas
    if not isinstance(schemas, Listed) or ("id" in event and not switches.template_makes_ids):
        return event
    schema = schema_called(schemas, event["schemaName"], is_loose=switches.loose_names)
    if not schema.has_id_template:
        return event
    said = {name: value for name, value in event.items() if name != "id"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return {**event, "id": f"made-{digest[:32]}"}
