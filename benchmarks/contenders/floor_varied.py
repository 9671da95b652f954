"""The least that ships events that vary."""

from __future__ import annotations

from . import Contender, floor


def start(url: str, in_flight: int, folder: str) -> Contender:
    """One that runs."""
    return floor.start(url, in_flight, folder, varied=True)
