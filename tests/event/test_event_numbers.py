"""Which numbers an event takes, and how it writes them."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from event_facts import Text, refused
from hypothesis import given
from strategies import decimals, floats, integers, numerals

from togai_shipper import Attribute
from togai_shipper._event import number


class Scalar:
    """What numpy's scalars look like; numpy itself is not needed."""

    def __init__(self, kind: str, value: Any) -> None:
        self.dtype = SimpleNamespace(kind=kind)
        self._value = value


class WholeScalar(Scalar):
    def __index__(self) -> int:
        return int(self._value)


class FloatScalar(Scalar):
    def __float__(self) -> float:
        return float(self._value)


class Size(IntEnum):
    BIG = 7


@pytest.mark.parametrize(
    ("given", "wire"),
    [
        (1, "1"),
        (0, "0"),
        (-5, "-5"),
        (10**512 - 1, "9" * 512),
        (1e-7, "0.0000001"),
        (0.1, "0.1"),
        (12.5, "12.5"),
        (100.0, "100.0"),
        (1e22, "1" + "0" * 22),
        (-1.5e300, "-15" + "0" * 299),
        (5e-324, "0." + "0" * 323 + "5"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-512"), "0." + "0" * 511 + "1"),
        (Decimal("1E+511"), "1" + "0" * 511),
        (Decimal("-0"), "-0"),
        (Decimal("1." + "3" * 60), "1." + "3" * 60),
        ("-12.50", "-12.50"),
        ("007", "007"),
        (Text("12.50"), "12.50"),
        (Size.BIG, "7"),
        (WholeScalar("i", 41), "41"),
        (WholeScalar("u", 42), "42"),
        (FloatScalar("f", 2.5), "2.5"),
        (FloatScalar("f", 1e-7), "0.0000001"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_number_is_written_exactly_and_without_exponent(given: Any, wire: str) -> None:
    assert number("count", given) == wire
    assert type(number("count", given)) is str
    assert Attribute("count", given).value == wire


@pytest.mark.parametrize(
    "given",
    [
        True,
        False,
        None,
        object(),
        {1, 2},
        b"12",
        {"nested": 1},
        [1],
        1j,
        Scalar("b", 1),
        WholeScalar("b", 1),  # as numpy's bool has been
        FloatScalar("c", 1.5),  # as numpy's complex
        WholeScalar("M", 1),  # as numpy's datetime64
        SimpleNamespace(),
    ],
    ids=count(),
)
def test_what_is_no_number_is_refused_with_its_type(given: Any) -> None:
    error = refused(attributes={"count": given})

    assert str(error) == f"attributes['count']: must be a number, not {type(given).__name__}"


@pytest.mark.parametrize(
    "given",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        FloatScalar("f", "inf"),
    ],
)
def test_what_is_not_finite_is_refused_with_its_type(given: Any) -> None:
    error = refused(attributes={"count": given})

    assert str(error) == f"attributes['count']: must be finite ({type(given).__name__})"


@pytest.mark.parametrize(
    "given",
    [
        10**512,
        -(10**600),
        10**5000,
        WholeScalar("i", 10**512),
        Decimal(10) ** 512,
        Decimal("1E-513"),
        Decimal("1.5E-512"),
    ],
    ids=count(),
)
def test_a_number_of_more_than_512_digits_is_refused_with_its_type(given: Any) -> None:
    error = refused(attributes={"count": given})

    assert "must have at most 512 digits" in error.problem
    assert error.problem.endswith(f"({type(given).__name__})")


@pytest.mark.parametrize("given", ["1E-300000000", "1E+300000000", "-1E+999999999999999999"])
def test_a_huge_exponent_is_refused_before_it_is_written_out(given: str) -> None:
    # Written out these would be texts of 300 MB and more: the test would run out of memory.
    assert "must have at most 512 digits" in refused(attributes={"count": Decimal(given)}).problem


@pytest.mark.parametrize(
    "given",
    [
        "",
        " 1",
        "1\n",
        "+1",
        "1e3",
        ".5",
        "5.",
        "1.2.3",
        "NaN",
        "--1",
        "0x10",
        "1_000",
        "1,5",
        "\u0661",
        "9" * 513,
        "0." + "9" * 513,
    ],
)
def test_a_text_that_is_not_plain_digits_is_refused_and_not_shown(given: str) -> None:
    error = refused(attributes={"count": given})

    assert error.field == "attributes['count']"
    assert error.problem == (
        "must be plain digits like '-12.50', at most 512 before and behind the point (str)"
    )


@given(integers)
def test_a_whole_number_is_its_digits(value: int) -> None:
    assert int(number("count", value)) == value


@given(floats)
def test_a_float_comes_back_from_its_digits(value: float) -> None:
    wire = number("count", value)

    assert float(wire).hex() == value.hex()
    assert number("count", FloatScalar("f", value)) == wire
    assert "e" not in wire


@given(decimals())
def test_a_decimal_keeps_its_value_and_its_zeros(value: Decimal) -> None:
    back = Decimal(number("count", value))

    assert back == value
    assert int(back.as_tuple().exponent) == min(int(value.as_tuple().exponent), 0)


@given(numerals)
def test_plain_digits_stay_as_they_are(value: str) -> None:
    assert number("count", value) == value


def test_a_subclass_of_decimal_counts_as_the_number_that_it_holds() -> None:
    class Money(Decimal):
        def __format__(self, spec: str, *_: Any) -> str:
            return f"€ {super().__format__(spec)}"

        def __str__(self) -> str:
            return "money"

    assert number("price", Money("0.10")) == "0.10"
