"""How facts are encoded, how they are refused, and types that only look like the usual ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import pytest

from togai_shipper import Event, InvalidEvent
from togai_shipper._event import encode

NOON = "2026-01-31T12:00:00.000Z"


def encoded(**facts: Any) -> dict[str, Any]:
    """The JSON of an event that is fine but for ``facts``."""
    usual = {"schema_name": "api_call", "account_id": "acme", "attributes": {}, "dimensions": None}
    event: dict[str, Any] = json.loads(encode(**{**usual, "timestamp": NOON, "event_id": "1", **facts}))
    return event


def refused(**facts: Any) -> InvalidEvent:
    """How ``facts`` are refused: alike on the way of ``track`` and on that of somebody who builds events."""
    with pytest.raises(InvalidEvent) as tracked:
        encoded(**facts)
    with pytest.raises(InvalidEvent) as built:
        Event(**{"schema_name": "api_call", "account_id": "acme", **facts})
    assert built.value.field.partition("[")[0] == tracked.value.field.partition("[")[0]
    return tracked.value


class Text(str):
    """A text that is not exactly a ``str``."""

    __slots__ = ()


class Name(str, Enum):
    """An enum's ``str()`` is not the text that it holds."""

    COUNT = "count"


class Liar(str):
    """A text that says of itself what is not so."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __len__(self) -> int:
        return 1


class Facts(Mapping[str, Any]):
    """A mapping that is no ``dict``."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts

    def __getitem__(self, key: str) -> Any:
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


class Items(Facts):
    """A mapping whose items are what somebody says."""

    def __init__(self, items: Any) -> None:
        super().__init__({})
        self._items = items

    def items(self) -> Any:
        return self._items
