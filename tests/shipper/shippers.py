"""What the shipper's tests start from: how shippers are made, and what ``on_error`` was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from togai_shipper import (
    Event,
    Shipper,
)

Ship = Callable[..., Shipper]


class Told(list[Any]):
    """What ``on_error`` was called with."""

    def __call__(self, error: Exception, events: tuple[Event, ...]) -> None:
        self.append((error, events))


def unused(**options: Any) -> Shipper:
    """A shipper whose first batch would go in an hour."""
    return Shipper("secret", **{"base_url": "http://127.0.0.1:1", "flush_interval": 3600, **options})
