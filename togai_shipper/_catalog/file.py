"""The file of event schemas: JSON, with Togai's own objects, in an order in which a change shows as such.

::

    {
      "version": 1,
      "base_url": "https://api.togai.com",
      "event_schemas": [{"name": "api_call", "status": "ACTIVE", "attributes": [{"name": "count"}], …}]
    }

It has no date: as long as nothing changes at Togai, it is the same file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from togai_shipper.exceptions import ConfigurationError

from .schemas import Catalog, catalog_of, schema_of

VERSION = 1  # of the file; a later one may be read only by later versions of this library
SCHEMAS = "event_schemas"


def contents(base_url: str, items: Sequence[Any]) -> dict[str, Any]:
    """Return what a file holds: Togai's objects by name, with their fields in the order of the alphabet.

    Raises ``ValueError``: one of them is no event schema.
    """
    schemas = [(schema_of(item, f"data[{index}]"), item) for index, item in enumerate(items)]
    schemas.sort(key=lambda pair: (pair[0].name, pair[0].version))
    return {
        "version": VERSION,
        "base_url": base_url,
        SCHEMAS: [{"name": schema.name, **dict(sorted(item.items()))} for schema, item in schemas],
    }


def read_catalog(path: str | os.PathLike[str]) -> Catalog:
    """Read a file. Raises ``ConfigurationError``: it names the file, the place in it, and what is wrong."""
    try:
        return _catalog(json.loads(Path(path).read_bytes()))
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
    except json.JSONDecodeError as error:
        why = f"is not JSON: {error}"
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise ConfigurationError(f"catalog {os.fspath(path)}: {why}")


def _catalog(value: Any) -> Catalog:
    if not isinstance(value, dict) or SCHEMAS not in value:
        raise ValueError(f"must be an object with {SCHEMAS}, as togai-shipper catalog writes it")
    version = value.get("version", VERSION)
    if version != VERSION:
        shown = version if isinstance(version, int) else type(version).__name__
        raise ValueError(f"version: must be {VERSION}, is {shown}: another version of togai_shipper made it")
    schemas = value[SCHEMAS]
    if not isinstance(schemas, list):
        raise ValueError(f"{SCHEMAS}: must be a list, not {type(schemas).__name__}")  # noqa: TRY004  told like the rest
    return catalog_of(schemas, SCHEMAS)
