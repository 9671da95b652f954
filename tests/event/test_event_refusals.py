"""What a refusal shows, and what an object that raises when touched can do."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from event_facts import encoded, refused

from togai_shipper import InvalidEvent


@pytest.mark.parametrize(
    "facts", [{"dimensions": {"a": "x" * 300}}, {"account_id": "x" * 600}, {"attributes": {"a": "x"}}]
)
def test_a_refusal_never_shows_the_value(facts: dict[str, Any]) -> None:
    assert "xx" not in str(refused(**facts))
    assert "'x'" not in str(refused(**facts))


class Hostile:
    """Raises wherever it is touched."""

    __hash__ = None

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("touched")

    __iter__ = __len__ = __float__ = __index__ = __bool__ = __eq__ = __getitem__ = items = _raise


class HostileMapping(Hostile, Mapping):
    pass


class HostileText(str):
    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError("touched")


@pytest.mark.parametrize("field", ["schema_name", "account_id", "attributes", "dimensions"])
@pytest.mark.parametrize(
    "kind", [Hostile, HostileMapping, lambda: HostileText("x"), lambda: [Hostile()]], ids=count()
)
def test_an_object_that_raises_when_touched_does_no_more_than_raise(field: str, kind: Any) -> None:
    try:
        encoded(**{field: kind()})
    except (InvalidEvent, RuntimeError):
        return
    assert isinstance(kind(), HostileText), "only as a text may it pass"


@pytest.mark.parametrize("kind", [Hostile, lambda: (Hostile(), "s"), lambda: HostileText("x")], ids=count())
def test_a_value_that_raises_when_touched_does_no_more_than_raise(kind: Any) -> None:
    with pytest.raises((InvalidEvent, RuntimeError)):
        encoded(attributes={"count": kind()})
