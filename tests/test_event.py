"""Events: what is taken, what is refused and how that is said, and what goes onto the wire."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import count
from types import MappingProxyType, SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import Given, decimals, floats, givens, ids, integers, moments, names, numerals

from togai_shipper import IDEMPOTENCY_NAMESPACE, Attribute, Event, InvalidEvent
from togai_shipper._event import Stamp, chosen_id, decode, encode, fresh_id, id_of, number, timestamp_text
from togai_shipper._event.fields import MAX_DIMENSIONS
from togai_shipper._event.identity import derived_id
from togai_shipper.sandbox import contract

NOON = "2026-01-31T12:00:00.000Z"
LONE_SURROGATE = "half a pair: \ud83d"


def encoded(**facts: Any) -> dict[str, Any]:
    """The JSON of an event that is fine but for ``facts``."""
    usual = {"schema_name": "api_call", "account_id": "acme", "attributes": {}, "dimensions": None}
    event: dict[str, Any] = json.loads(encode(**{**usual, "timestamp": NOON, "event_id": "1", **facts}))
    return event


def refused(**facts: Any) -> InvalidEvent:
    """How ``facts`` are refused: alike on the way of ``track`` and on that of somebody who builds events."""
    with pytest.raises(InvalidEvent) as tracked:
        encoded(**facts)
    with pytest.raises(InvalidEvent) as built:
        Event(**{"schema_name": "api_call", "account_id": "acme", **facts})
    assert built.value.field.partition("[")[0] == tracked.value.field.partition("[")[0]
    return tracked.value


class Text(str):
    """A text that is not exactly a ``str``."""

    __slots__ = ()


class Name(str, Enum):
    """An enum's ``str()`` is not the text that it holds."""

    COUNT = "count"


class Liar(str):
    """A text that says of itself what is not so."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __len__(self) -> int:
        return 1


class Facts(Mapping[str, Any]):
    """A mapping that is no ``dict``."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts

    def __getitem__(self, key: str) -> Any:
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


class Items(Facts):
    """A mapping whose items are what somebody says."""

    def __init__(self, items: Any) -> None:
        super().__init__({})
        self._items = items

    def items(self) -> Any:
        return self._items


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


# --- names, accounts, ids: their limits -------------------------------------------------------------------


@pytest.mark.parametrize("field", ["schema_name", "account_id"])
@pytest.mark.parametrize("given", [7, None, b"bytes", ["list"], object(), {"a": 1}])
def test_a_name_that_is_no_text_is_refused_with_field_limit_and_type(field: str, given: Any) -> None:
    error = refused(**{field: given})

    limit = {"schema_name": 50, "account_id": 512}[field]
    assert str(error) == f"{field}: must be a str of 1 to {limit} characters, not {type(given).__name__}"


@pytest.mark.parametrize(("field", "limit"), [("schema_name", 50), ("account_id", 512)])
def test_a_name_may_have_1_to_its_limit_of_characters(field: str, limit: int) -> None:
    for fine in ("x", "é" * limit):
        assert fine in encoded(**{field: fine}).values()

    for wrong in ("", "x" * (limit + 1)):
        error = refused(**{field: wrong})
        assert str(error) == f"{field}: must have 1 to {limit} characters, not {len(wrong)} (str)"


def test_an_id_has_1_to_50_characters() -> None:
    assert chosen_id("api_call", "acme", "i" * 50, None) == "i" * 50
    assert Event("api_call", "acme", id="i" * 50).id == "i" * 50

    for wrong in ("", "i" * 51):
        with pytest.raises(
            InvalidEvent, match=r"^event_id: must have 1 to 50 characters, not (0|51) \(str\)$"
        ):
            chosen_id("api_call", "acme", wrong, None)
        with pytest.raises(InvalidEvent, match=r"^id: must have 1 to 50 characters, not (0|51) \(str\)$"):
            Event("api_call", "acme", id=wrong)
    with pytest.raises(InvalidEvent, match=r"^event_id: must be a str of 1 to 50 characters, not int$"):
        chosen_id("api_call", "acme", 7, None)


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("schema_name", {"schema_name": LONE_SURROGATE}),
        ("account_id", {"account_id": LONE_SURROGATE}),
        ("attribute name", {"attributes": {LONE_SURROGATE: 1}}),
        ("attribute unit", {"attributes": {"latency": (1, LONE_SURROGATE)}}),
        ("dimensions", {"dimensions": {LONE_SURROGATE: "x"}}),
        ("dimensions", {"dimensions": {"region": LONE_SURROGATE}}),
        ("dimensions", {"dimensions": {"region": Text(LONE_SURROGATE)}}),
    ],
)
def test_a_lone_surrogate_is_refused_in_every_text(field: str, facts: dict[str, Any]) -> None:
    error = refused(**facts)

    assert error.field.partition("[")[0] == field
    assert error.problem == "must not hold a lone surrogate, which UTF-8 cannot carry (str)"


def test_a_lone_surrogate_is_refused_in_an_id() -> None:
    event_id = LONE_SURROGATE

    with pytest.raises(InvalidEvent, match=r"^event_id: must not hold a lone surrogate"):
        chosen_id("api_call", "acme", event_id, None)
    with pytest.raises(InvalidEvent, match=r"^id: must not hold a lone surrogate"):
        Event("api_call", "acme", id=event_id)


def test_a_subclass_of_str_counts_as_the_text_that_it_holds() -> None:
    facts = {"schema_name": Name.COUNT, "account_id": Name.COUNT, "attributes": {Name.COUNT: (1, Name.COUNT)}}

    event = encoded(**facts, dimensions={Name.COUNT: Name.COUNT})

    assert (event["schemaName"], event["accountId"]) == ("count", "count")
    assert event["attributes"] == [{"name": "count", "value": "1", "unit": "count"}]
    assert event["dimensions"] == {"count": "count"}
    assert type(Event(Name.COUNT, "acme").schema_name) is str


def test_a_text_that_lies_about_its_length_is_measured() -> None:
    assert "not 60" in refused(schema_name=Liar("x" * 60)).problem
    assert "not 300" in refused(dimensions={"region": Liar("x" * 300)}).problem


# --- attributes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [dict, Facts, lambda facts: [Attribute(*item) for item in facts.items()]])
def test_an_event_has_at_most_10_attributes(kind: Any) -> None:
    facts = {f"a{n}": n for n in range(11)}

    error = refused(attributes=kind(facts))

    assert error.field == "attributes"
    assert "must be at most 10" in error.problem
    assert type(kind(facts)).__name__ in error.problem
    del facts["a10"]
    assert len(encoded(attributes=kind(facts))["attributes"]) == 10


@pytest.mark.parametrize(
    "endless", [lambda: (Attribute(f"a{n}", n) for n in count()), lambda: Items(endless_items())], ids=count()
)
def test_of_endless_attributes_11_are_read_at_most(endless: Any) -> None:
    assert refused_attributes(endless()) == "must be at most 10"


def endless_items() -> Iterator[tuple[str, int]]:
    for n in count():
        assert n < 11, "read on"
        yield f"a{n}", n


def refused_attributes(given: Any) -> str:
    with pytest.raises(InvalidEvent) as error:
        encoded(attributes=given)
    assert error.value.field == "attributes"
    return error.value.problem.partition(" (")[0]


@pytest.mark.parametrize("wrong", ["", "x" * 51])
def test_an_attributes_name_and_unit_have_1_to_50_characters(wrong: str) -> None:
    expected = f"must have 1 to 50 characters, not {len(wrong)} (str)"

    assert str(refused(attributes={wrong: 1})) == f"attribute name: {expected}"
    assert str(refused(attributes={"latency": (1, wrong)})) == f"attribute unit: {expected}"
    with pytest.raises(InvalidEvent, match=r"^attribute unit"):
        Attribute("latency", 1, wrong)


@pytest.mark.parametrize(
    "given", [{7: 1}, {None: 1}, {("a",): 1}, {"latency": (1, 7)}, {"latency": (1, ["s"])}]
)
def test_an_attributes_name_and_unit_are_texts(given: Any) -> None:
    assert "must be a str of 1 to 50 characters, not " in refused(attributes=given).problem


@pytest.mark.parametrize(
    "given",
    [
        [Attribute("count", 1), Attribute("count", 2)],
        Items([("count", 1), ("count", 2)]),
        {Liar("count"): 1, Liar("count"): 2},
        {Liar("count"): 1, "count": 2},
    ],
)
def test_attributes_have_different_names(given: Any) -> None:
    error = refused(attributes=given)

    assert error.field == "attributes"
    assert error.problem.startswith("must have different names (")


@pytest.mark.parametrize(
    "given", [None, 7, "count", b"count", object(), [7], ["ab"], [("a", 1, "s")], [Given], {"a"}], ids=count()
)
def test_attributes_that_are_none_are_refused_with_their_type(given: Any) -> None:
    error = refused(attributes=given)

    assert error.field == "attributes"
    assert error.problem.startswith("must ")
    inner = next(iter(given)) if isinstance(given, (list, set)) else given
    assert error.problem.endswith(f"not {type(inner).__name__}")


def test_attributes_may_come_as_mapping_pairs_or_objects_with_or_without_unit() -> None:
    expected = encoded(attributes={"count": 1, "latency": (12.5, "Seconds"), "size": (3, None)})["attributes"]

    assert expected == [
        {"name": "count", "value": "1"},
        {"name": "latency", "value": "12.5", "unit": "Seconds"},
        {"name": "size", "value": "3"},
    ]
    pairs = {"count": 1, "latency": (12.5, "Seconds"), "size": (3, None)}
    objects = [Attribute("count", 1), Attribute("latency", 12.5, "Seconds"), Attribute("size", 3, None)]
    for same in (
        Facts(pairs),
        pairs.items(),
        objects,
        iter(objects),
        tuple(objects),
        MappingProxyType(pairs),
    ):
        assert encoded(attributes=same)["attributes"] == expected


@pytest.mark.parametrize("given", [(1,), (1, "s", "s"), (), [1, "s"]])
def test_a_value_that_is_no_pair_of_amount_and_unit_is_refused(given: Any) -> None:
    error = refused(attributes={"latency": given})

    assert str(error) == f"attributes['latency']: must be a number, not {type(given).__name__}"


# --- numbers ----------------------------------------------------------------------------------------------


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


# --- dimensions -------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "facts", [{"dimensions": {"a": "x" * 300}}, {"account_id": "x" * 600}, {"attributes": {"a": "x"}}]
)
def test_a_refusal_never_shows_the_value(facts: dict[str, Any]) -> None:
    assert "xx" not in str(refused(**facts))
    assert "'x'" not in str(refused(**facts))


# --- hostile objects --------------------------------------------------------------------------------------


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


# --- time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-31T12:00:00.000Z",
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00z",
        "2026-01-31 12:00:00,0+00:00",
        "2026-01-31T12:00:00.0009999999Z",
        "2026-01-31T14:30:00+02:30",
        "2026-01-31T14:30:00+0230",
        "2026-01-30T22:00:00-14:00",
        Text("2026-01-31T12:00:00Z"),
        datetime(2026, 1, 31, 12, tzinfo=timezone.utc),
        datetime(2026, 1, 31, 12, 0, 0, 999, tzinfo=timezone.utc),
        datetime(2026, 1, 31, 17, 45, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
    ids=count(),
)
def test_a_time_is_written_in_utc_with_milliseconds(given: Any) -> None:
    assert timestamp_text(given) == NOON
    assert Event("api_call", "acme", timestamp=given).timestamp == NOON


@pytest.mark.parametrize(
    "given",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00 Z",
        "2026-01-31T12:00:00Z\n",
        "20260131T120000Z",
        "2026-01-31T12Z",
        "1769860800",
        "\u0662026-01-31T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-00-10T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00-99:99",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        Text("2026-01-31"),
        datetime(2026, 1, 31, 12),  # noqa: DTZ001  that is the point
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1))),
        1769860800,
        1769860800.5,
        datetime(2026, 1, 31, tzinfo=timezone.utc).date(),
        b"2026-01-31T12:00:00Z",
        True,
        object(),
    ],
    ids=count(),
)
def test_a_time_without_zone_or_that_does_not_exist_is_refused_with_its_type(given: Any) -> None:
    for way in (timestamp_text, lambda given: Event("api_call", "acme", timestamp=given)):
        with pytest.raises(InvalidEvent) as error:
            way(given)
        assert error.value.field == "timestamp"
        assert type(given).__name__ in error.value.problem or "(str)" in error.value.problem
        assert "2026-01-31T12:00:00" not in error.value.problem


def test_a_zone_that_does_not_know_its_offset_is_none() -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, dt: datetime | None) -> None:
            return None

    with pytest.raises(InvalidEvent, match=r"^timestamp: must have a zone: billing time is not guessed"):
        timestamp_text(datetime(2026, 1, 31, tzinfo=Nowhere()))


@given(moments)
def test_the_text_of_a_time_is_that_time_to_the_millisecond(moment: datetime) -> None:
    text = timestamp_text(moment)

    back = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)
    assert timestamp_text(text) == text == timestamp_text(moment.isoformat())


@given(st.integers(0, 9_000_000_000 * 10**9))
@example(999_999)
@example(10**9 - 1)
def test_the_stamp_of_an_instant_is_its_text(nanoseconds: int) -> None:
    stamp = Stamp()
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=nanoseconds // 1000)

    assert stamp(nanoseconds) == timestamp_text(moment)
    assert stamp(nanoseconds) == timestamp_text(moment), "the second is known by now"


def test_an_event_without_a_time_is_of_now() -> None:
    before = timestamp_text(datetime.now(timezone.utc))

    assert before <= Event("api_call", "acme").timestamp <= timestamp_text(datetime.now(timezone.utc))


# --- identity ---------------------------------------------------------------------------------------------


def test_the_namespace_of_derived_ids_is_frozen() -> None:
    assert str(IDEMPOTENCY_NAMESPACE) == "9eb775de-57c7-4dc1-b6c0-5d7a8c180f59"


@pytest.mark.parametrize(
    ("facts", "event_id"),
    [
        (("api_call", "acme", "order-7/1"), "90373177-30ab-5e55-a745-356d5e415b2e"),
        (("api_call", "acme", "order-7/2"), "2e86cb14-8b60-5549-84d7-48fab03c749e"),
        (("a", "b", ""), "ec87a069-a2f0-5427-96b4-c24025e3ae6a"),
        (('say "x"', "back\\slash", "line\nend"), "f1b5b612-e9b2-5cd9-87ba-b00981fa32c9"),
        (("schéma", "compte €", "clé 😀"), "2a83cc9b-8365-5110-8bd0-b5c7453db6a7"),
        (("a", "b", "\ud83d"), "a472a204-b4d5-55bb-99a1-a18003c1f6a4"),
    ],
)
def test_a_derived_id_is_the_same_for_ever(facts: tuple[str, str, str], event_id: str) -> None:
    assert derived_id(*facts) == event_id
    if facts[2]:  # an empty key is refused at the door
        assert chosen_id(facts[0], facts[1], None, facts[2]) == event_id


def test_derived_ids_differ_wherever_their_texts_do() -> None:
    facts = [
        ("a", "b", "c"),
        ("ab", "", "c"),
        ("a", "bc", ""),
        ('a","b', "c", ""),
        ("a", 'b","c', ""),
        ("a", "c", "b"),
    ]

    assert len({derived_id(*each) for each in facts}) == len(facts)


def test_a_derived_id_is_of_the_text_and_not_of_its_type() -> None:
    plain = chosen_id("count", "acme", None, "key")

    assert chosen_id(Name.COUNT, Text("acme"), None, Text("key")) == plain


@pytest.mark.parametrize("key", [7, b"key", ("a",), True])
def test_an_idempotency_key_is_a_text(key: Any) -> None:
    with pytest.raises(InvalidEvent, match=rf"^idempotency_key: must be a str, not {type(key).__name__}$"):
        chosen_id("api_call", "acme", None, key)


def test_an_idempotency_key_is_of_a_valid_schema_and_account() -> None:
    with pytest.raises(InvalidEvent, match=r"^schema_name"):
        chosen_id("", "acme", None, "key")
    with pytest.raises(InvalidEvent, match=r"^account_id"):
        chosen_id("api_call", 7, None, "key")


def test_an_id_and_an_idempotency_key_exclude_each_other() -> None:
    with pytest.raises(InvalidEvent, match=r"^event_id: and idempotency_key exclude each other"):
        chosen_id("api_call", "acme", "id", "key")


def test_fresh_ids_are_distinct_and_may_be_looked_up() -> None:
    made = {fresh_id() for _ in range(1000)}

    assert len(made) == 1000
    assert all(1 <= len(each) <= 50 for each in made)
    assert Event("a", "b").id != Event("a", "b").id


@given(st.tuples(names, names, ids))
def test_the_id_is_found_without_reading_the_rest(facts: tuple[str, str, str]) -> None:
    schema_name, account_id, event_id = facts
    body = encode(schema_name, account_id, {}, {'"id":"': '"id":"x"'}, NOON, event_id)

    assert id_of(body) == json.loads(body)["id"] == event_id


@given(*[st.text('"\\:,id{}\n', min_size=1, max_size=12)] * 2)
@example('"id":"', '"id":"\\')
@example("id", '"')
@example('\\","id":"x', "\\")
def test_quotes_in_a_schemas_name_do_not_hide_the_id(schema_name: str, event_id: str) -> None:
    assert id_of(encode(schema_name, "acme", {}, None, NOON, event_id)) == event_id


def test_the_id_of_somebody_elses_json_is_read_as_json() -> None:
    assert id_of(b'{ "id" : "7" }') == "7"


# --- the whole --------------------------------------------------------------------------------------------


@given(givens)
def test_what_is_encoded_decodes_to_what_was_given(given: Given) -> None:
    event = json.loads(given.encoded())

    assert event["schemaName"] == given.schema_name
    assert event["accountId"] == given.account_id
    assert event["id"] == given.id
    assert event["dimensions"] == given.dimensions
    assert event["timestamp"] == timestamp_text(given.timestamp)
    assert [attribute["name"] for attribute in event["attributes"]] == list(given.attributes)
    for attribute, value in zip(event["attributes"], given.attributes.values(), strict=True):
        amount, unit = value if isinstance(value, tuple) else (value, None)
        assert Decimal(attribute["value"]) == Decimal(repr(amount) if isinstance(amount, float) else amount)
        assert attribute.get("unit") == unit


@given(givens)
def test_what_is_encoded_is_an_event_in_the_servers_eyes(given: Given) -> None:
    payload = contract.parse(b'{"event":' + given.encoded() + b"}")

    (event,) = contract.unwrap(payload, "event")
    contract.check(event, "event", strict=True)


@given(givens)
def test_however_the_same_facts_are_given_the_bytes_are_the_same(given: Given) -> None:
    def retyped(facts: Mapping[str, Any]) -> dict[str, Any]:
        return {Text(name): Text(value) if isinstance(value, str) else value for name, value in facts.items()}

    plain = given.encoded()

    attributes = given.event().attributes
    assert attrs.evolve(given, attributes=attributes).encoded() == plain
    assert attrs.evolve(given, attributes=iter(attributes)).encoded() == plain
    assert attrs.evolve(given, attributes=given.attributes.items()).encoded() == plain
    for other in (Facts, MappingProxyType, retyped):
        assert (
            attrs.evolve(
                given,
                schema_name=Text(given.schema_name),
                account_id=Text(given.account_id),
                attributes=other(given.attributes),
                dimensions=other(given.dimensions),
            ).encoded()
            == plain
        )


@given(givens)
def test_an_event_encodes_to_what_its_facts_encode_to_and_comes_back(given: Given) -> None:
    event = given.event()

    assert event.encode() == given.encoded()
    assert decode(event.encode()) == event
    assert hash(event) == hash(decode(event.encode()))


@given(givens)
def test_an_event_can_be_pickled_copied_and_evolved(given: Given) -> None:
    event = given.event()

    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == attrs.evolve(event) == event  # noqa: S301  our own


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


def memory_that(remembers: Callable[[], None]) -> int:
    """The bytes that are left once something is done."""
    gc.collect()
    tracemalloc.start()
    try:
        remembers()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_remembered_of_earlier_events_is_bounded() -> None:
    def ever_other_names() -> None:
        for n in range(6000):
            name = f"{n:#<50}"
            encoded(schema_name=name, account_id=name, attributes={name: (1, name)}, dimensions={name: name})

    assert memory_that(remembers=ever_other_names) < 2_000_000  # 1,000 of each kind; all would be 5 MB


def test_what_is_remembered_is_the_same_the_second_time() -> None:
    for n in [*range(1500), *range(1500)]:
        name = f'"{n}"'
        event = encoded(
            schema_name=name, account_id=name, attributes={name: (1, name)}, dimensions={name: name}
        )
        assert (event["schemaName"], event["accountId"], event["dimensions"]) == (name, name, {name: name})
        assert event["attributes"] == [{"name": name, "value": "1", "unit": name}]


def test_a_long_text_is_not_remembered() -> None:
    def long_accounts() -> None:
        for n in range(900):
            account = f"{n:*<500}"
            assert encoded(account_id=account)["accountId"] == account

    assert memory_that(remembers=long_accounts) < 200_000  # all would be 1 MB
