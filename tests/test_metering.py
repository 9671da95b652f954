"""Measured code: one event at its end, and the code never notices."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper import Attribute, InvalidEvent, Measure, QueueFull, Shipper
from togai_shipper._metering import Call, metering
from togai_shipper._recipe import Recipe
from togai_shipper.testing import RecordedEvents

BODY = "the application's own"


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    with RecordedEvents() as recorded:
        yield recorded


@pytest.fixture
def shipper(recorded_events: RecordedEvents) -> Shipper:
    return recorded_events.shipper


def test_each_call_of_a_metered_function_is_an_event_with_what_its_functions_say(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    @shipper.metered(
        "render",
        lambda call: call.arguments["account"],
        {"pages": lambda call: len(call.result), "size": lambda call: (len(call.args[1]), "Bytes"), "one": 1},
        {"format": lambda call: call.arguments["form"], "region": "eu"},
        idempotency_key=lambda call: call.kwargs.get("job"),
    )
    def render(account: str, text: str, form: str = "pdf", job: str | None = None) -> list[str]:
        """Cut it up."""
        return text.split("#")

    assert render("acme", "one#two") == ["one", "two"]
    assert render("beta", "one", form="ps", job="7") == render("beta", "one", form="ps", job="7")

    recorded_events.assert_tracked(
        "render",
        account="acme",
        attributes={"pages": 2, "size": (7, "Bytes"), "one": 1},
        dimensions={"format": "pdf", "region": "eu"},
    )
    recorded_events.assert_tracked("render", account="beta", dimensions={"format": "ps"}, times=1)
    assert (render.__name__, render.__doc__) == ("render", "Cut it up.")
    assert list(inspect.signature(render).parameters) == ["account", "text", "form", "job"]


def test_all_attributes_and_dimensions_may_be_one_function(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    @shipper.metered("render", "acme", lambda call: [Attribute("n", call.result)], lambda call: {"a": "b"})
    def render() -> int:
        return 3

    render()
    recorded_events.assert_tracked("render", account="acme", attributes={"n": 3}, dimensions={"a": "b"})


def test_a_coroutine_function_stays_one_and_is_measured_to_its_end(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    @shipper.metered("render", "acme", {"n": lambda call: call.result}, outcome="outcome")
    async def render(fails: bool = False) -> int:  # noqa: FBT001, FBT002  as an application may have it
        await asyncio.sleep(0)
        if fails:
            raise KeyError(BODY)
        return 3

    async def main() -> None:
        assert await render() == 3
        recorded_events.assert_tracked("render", attributes={"n": 3}, dimensions={"outcome": "ok"}, times=1)

    assert inspect.iscoroutinefunction(render)
    asyncio.run(main())


def test_a_coroutine_that_is_cancelled_is_cancelled_and_counts_as_failed(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    @shipper.metered("render", "acme", outcome="outcome")
    async def render() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(render())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    recorded_events.assert_tracked("render", dimensions={"outcome": "error"}, times=1)


def test_a_call_that_raises_counts_unless_told_otherwise(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    def fail() -> None:
        raise LookupError(BODY)

    counted = shipper.metered("counted", "acme", outcome="status")(fail)
    uncounted = shipper.metered("uncounted", "acme", failures=False)(fail)
    for function in (counted, uncounted):
        with pytest.raises(LookupError, match=BODY):
            function()
    with pytest.raises(LookupError), shipper.measure("uncounted", "acme", failures=False):
        fail()

    recorded_events.assert_tracked("counted", dimensions={"status": "error"}, times=1)
    recorded_events.assert_tracked("uncounted", times=0)


def test_a_function_says_which_calls_and_blocks_count(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    @shipper.metered("call", "acme", when=lambda call: call.result > 1)
    def answer(number: int) -> int:
        return number

    for number in (1, 2):
        answer(number)
        with shipper.measure("block", "acme", when=lambda measured: "a" in measured.dimensions) as measured:
            measured.dimensions["ab"[number - 1]] = "x"

    recorded_events.assert_tracked("call", times=1)
    recorded_events.assert_tracked("block", dimensions={"a": "x"}, times=1)
    assert shipper.stats().left_out["when"] == 2


def test_failures_is_short_for_a_function_that_leaves_out_what_failed(shipper: Shipper) -> None:
    with pytest.raises(LookupError), shipper.measure("block", "acme", failures=False):
        raise LookupError

    assert shipper.stats().left_out["when"] == 1


def test_what_when_cannot_tell_counts_and_the_log_says_so_once_a_minute(
    shipper: Shipper, recorded_events: RecordedEvents, caplog: pytest.LogCaptureFixture
) -> None:
    function = shipper.metered("call", "acme", when=lambda call: call.result > 1)(lambda: None)
    assert [function(), function()] == [None, None]

    recorded_events.assert_tracked("call", times=2)
    (record,) = caplog.records
    assert record.getMessage() == "when raised TypeError for schema call: what it was asked about counts"


async def later(call: Call) -> bool:
    return True


class Later:
    async def __call__(self, call: Call) -> bool:
        return True


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"when": True}, "not bool"),
        ({"when": later}, "not a coroutine function"),
        ({"when": Later()}, "not a coroutine function"),
        ({"when": lambda work: True, "failures": False}, "failures=False cannot stand beside when"),
    ],
)
def test_what_cannot_say_which_calls_count_is_an_error_at_once(
    shipper: Shipper, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        shipper.metered("call", "acme", **wrong)
    with pytest.raises(TypeError, match=message):
        shipper.measure("block", "acme", **wrong)


@given(
    attempts=st.lists(st.sampled_from(["fails", "ends well"]), min_size=1, max_size=6),
    failures=st.sampled_from([None, False, True]),
    key=st.sampled_from([None, "job 7"]),
    is_block=st.booleans(),
)
def test_whatever_fails_before_or_after_it_what_ends_well_under_a_key_is_billed_once(
    attempts: list[str],
    failures: bool | None,  # noqa: FBT001  hypothesis passes it by name
    key: str | None,
    is_block: bool,  # noqa: FBT001  likewise
) -> None:
    with RecordedEvents() as recorded:
        shipper = recorded.shipper
        for attempt in attempts:
            fails = attempt == "fails"
            with suppress(LookupError):
                if is_block:
                    with shipper.measure(
                        "job", "acme", {"pages": 12}, {"was": attempt}, failures=failures, idempotency_key=key
                    ):
                        work(fails=fails)
                else:
                    shipper.metered(
                        "job",
                        "acme",
                        {"pages": lambda call: 12 if call.result else 0},
                        {"was": attempt},
                        failures=failures,
                        idempotency_key=key and (lambda call: key),
                    )(work)(fails=fails)
        billed = Counter(event.dimensions["was"] for event in recorded.events)

    expected = Counter(attempts)
    if failures is False or (failures is None and key):
        del expected["fails"]
    if key:  # at most once each
        expected = Counter(set(expected))
    assert billed == expected


def work(*, fails: bool) -> bool:
    if fails:
        raise LookupError(BODY)
    return True


def test_nobody_to_be_billed_is_no_event(shipper: Shipper, recorded_events: RecordedEvents) -> None:
    shipper.metered("render", lambda call: None)(lambda: None)()
    with shipper.measure("render", None):
        pass

    recorded_events.assert_tracked("render", times=0)
    assert sum(shipper.stats().refused.values()) == 0
    assert shipper.stats().left_out["no account"] == 2


@pytest.mark.parametrize(
    "recipe",
    [
        {"account_id": lambda call: call.arguments["nobody"]},
        {"account_id": "acme", "attributes": lambda call: 1 / 0},
        {"account_id": "acme", "attributes": {"n": lambda call: 1 / 0}},
        {"account_id": "acme", "attributes": {"n": lambda call: "many"}},
        {"account_id": "acme", "attributes": {"n": "many"}},
        {"account_id": "acme", "dimensions": {"d": lambda call: 7}},
        {"account_id": "acme", "idempotency_key": lambda call: 1 / 0},
        {"account_id": lambda call: 7},
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_wrong_with_an_event_never_reaches_the_measured_code(
    recorded_events: RecordedEvents, recipe: dict[str, Any], caplog: pytest.LogCaptureFixture, *, strict: bool
) -> None:
    told: list[Exception] = []
    shipper = recorded_events.make(strict=strict, on_error=lambda error, events: told.append(error))

    @shipper.metered("render", **recipe)
    def render(account: str) -> str:
        return account

    assert [render(BODY) for _ in range(3)] == [BODY] * 3
    assert shipper.stats().refused["invalid"] == 3
    assert [type(error) for error in told] == [InvalidEvent] * 3
    (line,) = [record.getMessage() for record in caplog.records]  # the others of this minute are counted
    assert line.startswith("an event was refused (invalid)")
    assert BODY not in line


def test_a_full_buffer_never_reaches_the_measured_code(ship: Callable[..., Shipper]) -> None:
    told: list[Exception] = []
    shipper = ship(
        max_queue_size=1,
        overflow="raise",
        flush_interval=60,
        on_error=lambda error, events: told.append(error),
    )
    render = shipper.metered("render", "acme")(lambda: 7)

    assert [render(), render()] == [7, 7]
    assert shipper.stats().refused["full"] == 1
    assert [type(error) for error in told] == [QueueFull]


def test_a_generator_function_is_refused_where_it_is_decorated(shipper: Shipper) -> None:
    def numbers() -> Any:
        yield 1

    async def later() -> Any:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match=r"is a generator function; use measure\(\) inside it"):
            shipper.metered("render", "acme")(function)
    with pytest.raises(TypeError, match="is a generator function"):
        shipper.metered("render", "acme")(partial(numbers))


@pytest.mark.parametrize("kind", [classmethod, staticmethod, property])
def test_what_is_above_a_method_is_refused_and_what_is_beneath_is_measured(
    shipper: Shipper, recorded_events: RecordedEvents, kind: Any
) -> None:
    metered = shipper.metered("render", "acme")
    with pytest.raises(TypeError, match=f"is a {kind.__name__}, not a function; put metered beneath it"):
        metered(kind(lambda *_: 7))

    class Document:
        render = kind(metered(lambda *_: 7))

    render = Document().render
    assert (render if kind is property else render()) == 7
    recorded_events.assert_tracked("render", times=1)


def test_an_object_that_is_called_as_a_coroutine_is_measured_to_its_end(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    class Render:
        async def __call__(self) -> None:
            await asyncio.sleep(0)
            raise KeyError(BODY)

    with pytest.raises(KeyError):
        asyncio.run(shipper.metered("render", "acme", outcome="outcome")(Render())())

    recorded_events.assert_tracked("render", dimensions={"outcome": "error"}, times=1)


@pytest.mark.parametrize("duration", [None, "took"])
def test_attributes_of_a_generator_are_those_of_every_call(
    shipper: Shipper, recorded_events: RecordedEvents, duration: str | None
) -> None:
    attributes = (Attribute(name, 1) for name in ("a", "b"))
    render = shipper.metered("render", "acme", attributes, duration=duration)(lambda: None)
    for _ in range(2):
        render()

    recorded_events.assert_tracked("render", attributes={"a": 1, "b": 1}, times=2)


def test_a_block_is_one_event_that_is_filled_while_it_runs(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    with shipper.measure("chat", None, {"calls": 1, "size": (3, "Bytes")}, {"a": "b"}) as measured:
        measured.account_id = "acme"
        measured.add("tokens", 12)
        measured.add("tokens")
        measured.add("price", 0.1)
        measured.add("price", Decimal("0.20"))
        measured.add("size", 4, "Bytes")
        measured.dimensions["model"] = "small"

    (event,) = recorded_events
    assert event.account_id == "acme"
    assert {each.name: (each.value, each.unit) for each in event.attributes} == {
        "calls": ("1", None),
        "size": ("7", "Bytes"),
        "tokens": ("13", None),
        "price": ("0.30", None),  # exact, as 0.1 + 0.2 is not
    }
    assert event.dimensions == {"a": "b", "model": "small"}


def test_blocks_of_one_measure_each_count_what_was_added_in_them(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    measured = shipper.measure("chat", "acme", {"calls": 1})
    for tokens in (5, 3):
        with measured:
            measured.add("tokens", tokens)

    for tokens in (5, 3):
        recorded_events.assert_tracked("chat", attributes={"calls": 1, "tokens": tokens}, times=1)


def test_what_a_block_has_raised_is_not_kept_nor_what_was_in_the_block(shipper: Shipper) -> None:
    def chat() -> None:
        prompt = Prompt()
        kept.append(weakref.ref(prompt))
        with shipper.measure("chat", "acme") as measured:
            measured.add("tokens", 12)
            raise KeyError(BODY)

    class Prompt:
        pass

    kept: list[Any] = []
    gc.disable()
    with suppress(KeyError):
        chat()
    alive = kept[0]()
    gc.enable()

    assert alive is None


def test_a_block_may_raise_and_its_event_is_made_all_the_same(
    shipper: Shipper, recorded_events: RecordedEvents
) -> None:
    def chat() -> None:
        with shipper.measure("chat", "acme", outcome="outcome") as measured:
            measured.add("tokens", 12)
            raise KeyError(BODY)

    with pytest.raises(KeyError, match=BODY):
        chat()

    recorded_events.assert_tracked("chat", attributes={"tokens": 12}, dimensions={"outcome": "error"})


WRONG: dict[str, Callable[[Measure], object]] = {
    "no number": lambda measured: measured.add("tokens", "many"),
    "two units": lambda measured: measured.add("tokens", 1, "Pieces"),
    "no name": lambda measured: measured.add("", 1),
    "too many": lambda measured: [measured.add(f"n{n}") for n in range(11)],
    "no text": lambda measured: measured.dimensions.update(a=7),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("add", WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_block_is_told_at_its_end(
    shipper: Shipper, add: Callable[[Measure], object]
) -> None:
    with shipper.measure("chat", "acme", [Attribute("tokens", 1)]) as measured:
        add(measured)

    assert shipper.stats().refused["invalid"] == 1


@pytest.mark.parametrize("attributes", [7, [7], {"n": True}])
def test_attributes_that_are_none_are_told_at_the_end_of_a_block(shipper: Shipper, attributes: Any) -> None:
    with shipper.measure("chat", "acme", attributes):
        pass

    assert shipper.stats().refused["invalid"] == 1


@pytest.mark.parametrize("dimensions", [7, "region", ["region"]])
@pytest.mark.parametrize("outcome", [None, "outcome"])
def test_dimensions_that_are_none_are_told_at_the_end_of_a_block(
    shipper: Shipper, dimensions: Any, outcome: str | None
) -> None:
    with shipper.measure("chat", "acme", {}, dimensions, outcome=outcome) as measured:
        measured.dimensions["model"] = "small"

    assert shipper.stats().refused["invalid"] == 1


def test_attributes_without_end_have_one_in_a_block(shipper: Shipper) -> None:
    with shipper.measure("chat", "acme", (Attribute(f"n{number}", 1) for number in count())):
        pass

    assert shipper.stats().refused["invalid"] == 1


def test_a_block_adds_from_any_thread(shipper: Shipper, recorded_events: RecordedEvents) -> None:
    with shipper.measure("chat", "acme") as measured:
        threads = [
            threading.Thread(target=lambda: [measured.add("n") for _ in range(1000)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    recorded_events.assert_tracked("chat", attributes={"n": 4000})


def test_time_is_an_attribute_in_milliseconds() -> None:
    def meter(recipe: Recipe[Any], work: Any) -> None:
        usage = recipe.fields_of(work)
        assert usage is not None
        made.append(usage.attributes)

    made: list[Any] = []
    recipe: Recipe[Any] = Recipe("render", "acme", {"n": 1}, duration="took")
    meter(recipe, Call(len, (), {}, None, None, 0.0123456))
    recipe = Recipe("render", "acme", [Attribute("n", 1)], duration="took")
    meter(recipe, Call(len, (), {}, None, None, 2))
    ticks = iter([5.0, 7.5, 9.25])
    with Measure(meter, recipe, "acme", None, clock=lambda: next(ticks)) as measured:
        pass
    metering(meter, recipe, len)("")

    took = [Attribute("n", 1), Attribute("took", 2000, "Milliseconds")]
    assert made[:2] == [{"n": 1, "took": (12.346, "Milliseconds")}, took]
    assert made[2][1] == Attribute("took", 1750.0, "Milliseconds")
    assert measured.seconds == 1.75
    assert len(made) == 4


class Hostile(dict[str, Any]):
    """Raises where it is looked at."""

    def values(self) -> Any:
        raise RuntimeError(BODY)


def test_an_object_that_raises_when_it_is_looked_at_harms_nobody(shipper: Shipper) -> None:
    shipper.metered("render", "acme", Hostile())(lambda: None)()

    assert shipper.stats().refused["invalid"] == 1
