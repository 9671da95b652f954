"""A clock for tests that stands still until the test moves it."""

from __future__ import annotations


class ManualClock:
    """Starts on 2024-01-01, in UTC."""

    def __init__(self) -> None:
        self.now = 1_704_067_200.0

    def __call__(self) -> float:
        return self.now
