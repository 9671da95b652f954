"""The library, for events that vary."""

from __future__ import annotations

from . import Contender, ours


def start(url: str, in_flight: int, folder: str) -> Contender:
    """One that runs."""
    return ours.start(url, in_flight, folder, varied=True)
