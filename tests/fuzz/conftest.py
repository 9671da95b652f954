"""How the fuzz is bounded: few examples in the default suite, many with ``-m night``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Fuzz: TypeAlias = Callable[..., Callable[[Callable[..., None]], None]]


@pytest.fixture(params=["few", pytest.param("many", marks=pytest.mark.night)])
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """Try a property at once, with so many examples: ``@fuzz(strategy, few=50, many=20_000)``."""

    def tried(*made_up: st.SearchStrategy[Any], few: int, many: int) -> Callable[[Callable[..., None]], None]:
        def on(holds: Callable[..., None]) -> None:
            bounded = settings(
                max_examples=few if request.param == "few" else many,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            bounded(given(*made_up)(holds))()

        return on

    return tried
