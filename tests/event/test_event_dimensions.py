"""What an event's dimensions may be."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from event_facts import Facts, Items, Liar, encoded, refused

from togai_shipper import InvalidEvent
from togai_shipper._event.fields import MAX_DIMENSIONS


@pytest.mark.parametrize("kind", [dict, Facts])
def test_a_dimensions_value_has_1_to_200_characters(kind: Any) -> None:
    for fine in ("x", "é" * 200):
        assert encoded(dimensions=kind({"region": fine}))["dimensions"] == {"region": fine}

    for wrong in ("", "x" * 201):
        error = refused(dimensions=kind({"region": wrong}))
        assert str(error) == f"dimensions['region']: must have 1 to 200 characters, not {len(wrong)} (str)"


@pytest.mark.parametrize("given", [7, None, True, b"x", ["x"], {"x": "y"}, object()])
def test_a_dimensions_value_is_a_text(given: Any) -> None:
    error = refused(dimensions={"region": given})

    assert (
        str(error)
        == f"dimensions['region']: must be a str of 1 to 200 characters, not {type(given).__name__}"
    )


@pytest.mark.parametrize("given", [7, None, b"region", ("a",)])
def test_a_dimensions_name_is_a_text(given: Any) -> None:
    for value in ("x", ""):
        error = refused(dimensions={given: value})
        assert str(error) == f"dimensions: must have names that are str, not {type(given).__name__}"


@pytest.mark.parametrize("given", [7, 0, "", "region", [], [("region", "x")], False, object()])
def test_dimensions_that_are_no_mapping_are_refused_with_their_type(given: Any) -> None:
    error = refused(dimensions=given)

    assert str(error) == f"dimensions: must be a mapping, not {type(given).__name__}"


@pytest.mark.parametrize(
    "given", [Items([("region", "a"), ("region", "b")]), {Liar("region"): "a", "region": "b"}]
)
def test_dimensions_have_different_names(given: Any) -> None:
    assert refused(dimensions=given).problem.startswith("must have different names (")


def test_endless_dimensions_are_not_read_to_their_end() -> None:
    facts = {str(n): "x" for n in range(MAX_DIMENSIONS)}
    assert len(encoded(dimensions=facts)["dimensions"]) == MAX_DIMENSIONS

    for wrong in (Items((str(n), "x") for n in count()), {**facts, "one more": "x"}):
        with pytest.raises(InvalidEvent, match=rf"^dimensions: must be at most {MAX_DIMENSIONS}"):
            encoded(dimensions=wrong)


def test_a_long_name_of_a_dimension_is_cut_in_the_message() -> None:
    error = refused(dimensions={"n" * 10_000: ""})

    assert len(str(error)) < 150
