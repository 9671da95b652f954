"""The arguments of a call by name: what ``inspect`` makes of them, at a fraction of its time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._parameters import Parameters


class Shop:
    def sell(self, what: Any, /, amount: Any = 1, *, price: Any = 0) -> None: ...

    @classmethod
    def open(cls, city: Any) -> None: ...


def nothing() -> None: ...


def plain(a: Any, b: Any, c: Any = 3) -> None: ...


def all_by_default(a: Any = 1, b: Any = 2) -> None: ...


def by_place(a: Any, b: Any = 2, /, c: Any = 3) -> None: ...


def by_name(a: Any, *, b: Any, c: Any = 3) -> None: ...


def any_places(a: Any, *b: Any, c: Any = 3) -> None: ...


def any_names(a: Any, **b: Any) -> None: ...


FUNCTIONS = (nothing, plain, all_by_default, by_place, by_name, any_places, any_names, Shop().sell, Shop.open)


def by_inspect(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    bound.apply_defaults()
    return list(bound.arguments.items())


def by_parameters(parameters: Parameters, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    try:
        return list(parameters.named(args, kwargs).items())
    except TypeError as error:
        return str(error)


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=4).map(tuple),
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "what", "amount", "price", "city"]), st.none(), max_size=3
    ),
)
def test_they_are_what_inspect_says_in_its_order_and_where_the_call_is_wrong_so_is_the_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    parameters = Parameters(function)

    for _ in range(2):  # as it is first read, and as it is known
        assert by_parameters(parameters, args, kwargs) == by_inspect(function, args, kwargs)


def test_each_call_has_arguments_of_its_own() -> None:
    parameters = Parameters(plain)
    first = parameters.named((1, 2), {})
    first["a"] = "changed"

    assert parameters.named((1, 2), {}) == {"a": 1, "b": 2, "c": 3}


def test_a_function_that_does_not_tell_its_parameters_says_so_when_they_are_asked_for() -> None:
    parameters = Parameters(type("Odd", (), {"__signature__": "none", "__call__": lambda self: None})())

    with pytest.raises((TypeError, ValueError)):
        parameters.named((), {})
