"""What one writes by hand, for events that vary."""

from __future__ import annotations

from . import Contender, by_hand


def start(url: str, in_flight: int, folder: str) -> Contender:
    """One that runs."""
    return by_hand.start(url, in_flight, folder, varied=True)
