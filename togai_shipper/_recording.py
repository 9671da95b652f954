"""Recording for tests: real shippers, on a transport that keeps what it is given.

``pytest_plugin`` hands it out as the fixture ``recorded_events``. What is recorded is what Togai would have
been sent: it has passed every check of ``track()``, ``before_send``, the buffer and a flusher.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from . import _default
from ._catalog import problems_of, read_catalog
from ._config import Config, Options
from ._engine.transport import Transport
from ._engine.verdict import Reply
from ._event import Event, read
from ._expected_event import ExpectedEvent, shown
from ._plural import counted
from ._secret import Secret
from ._shipper import Shipper
from ._stand_in import StandIn
from .exceptions import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Whatever else a shipper was told: nothing leaves the process, and what was tracked comes at once, in order.
_RECORDING: Options = {
    "api_key": "recorded",
    "base_url": "https://recorded.invalid",
    "enabled": True,
    "strict": True,
    "flush_interval": 0.0,
    "max_in_flight": 1,
    "rate_limit": None,
    "session_factory": None,
    "verify": 0.0,
    "spool": None,
    "relay": None,
    "handle_sigterm": False,
}
_SHOWN = 3  # events in a message: arbitrary, what one reads


class _Recorder(Transport):
    """Accepts every event and keeps it, in place of sending."""

    def __init__(self, config: Config, events: dict[str, Event]) -> None:
        super().__init__(config.base_url, config.timeout)
        self._events = events

    def post(
        self,
        path: str,  # noqa: ARG002  as a transport is called
        body: bytes,
        key: Secret[str],  # noqa: ARG002  likewise
        time_left: float,  # noqa: ARG002  likewise
        may_begin: Callable[[], bool] = lambda: True,  # noqa: ARG002  likewise
    ) -> Reply:
        """Keep the events of one request, each id once, as Togai counts it."""
        content = json.loads(body)
        for wire in content["events"] if "events" in content else [content["event"]]:
            event = read(wire)
            self._events.setdefault(event.id, event)
        return Reply(202, b'{"success": true}')


class RecordedEvents:
    """Holds the events tracked in a test, oldest first: iterate over it, take its ``len()``, or index it.

    The fixture ``recorded_events`` is one. Togai counts one id once, and so does this: where an id comes
    again (``event_id``, ``idempotency_key``), the first event with it is kept.

    It is a context manager, for use without pytest. Within it the default shipper (``togai_shipper.track``)
    records; ``configure()`` makes another one that records, too, with your options but for where it sends.

    >>> with RecordedEvents() as recorded:
    ...     event_id = recorded.shipper.track("api_call", "acme", {"count": 1}, {"region": "eu-west-1"})
    ...     events = recorded.assert_tracked("api_call", account="acme", attributes={"count": 1})
    >>> events[0].dimensions
    {'region': 'eu-west-1'}

    Args:
        catalog: a file of the event schemas that Togai has, as ``togai-shipper catalog`` writes it, for
            ``assert_in_catalog``.

    Raises:
        ConfigurationError: the file cannot be read, or is no catalog.

    """

    def __init__(self, catalog: str | os.PathLike[str] | None = None) -> None:
        self._taken: dict[str, Event] = {}
        self._forgotten: list[Event] = []  # by clear(); Togai would have been sent them all the same
        self._shippers: list[Shipper] = []
        self._restored = ExitStack()
        self._catalog = None if catalog is None else read_catalog(catalog)

    # --- shippers that record ---

    def __enter__(self) -> RecordedEvents:  # noqa: PYI034  typing.Self comes with Python 3.11
        self._restored.enter_context(_default.replaced(self.make))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.events  # noqa: B018  what is still on its way is recorded, too
        finally:
            self._restored.close()
            self._shippers.clear()

    @property
    def shipper(self) -> Shipper:
        """Return the default shipper, a real one that records and is ``strict``, for your application.

        Raises:
            ConfigurationError: an option is wrong in the environment.

        """
        shipper = _default.shipper()
        if isinstance(shipper, StandIn):
            raise shipper.error
        return shipper

    def make(self, **options: Unpack[Options]) -> Shipper:
        """Make another shipper that records here, with your options: ``make(before_send=redact)``.

        It is ``strict``, and closed at the end of the test.

        Raises:
            ConfigurationError: an option is wrong.

        """
        options.update(_RECORDING)
        shipper = Shipper(**options)
        shipper.close()  # what it is again after the test, when somebody still holds it
        self.record(shipper)
        return shipper

    def record(self, shipper: Shipper) -> None:
        """Let a shipper that is there already record here until the end of the test, instead of sending.

        For the one that your application makes at import, with ``enabled=False`` or ``TOGAI_ENABLED=0`` or a
        key of no use. It keeps its callbacks; what it has pending waits meanwhile.
        """
        if shipper not in self._shippers:
            self._restored.enter_context(shipper._diverted(_RECORDING, self._connect))  # noqa: SLF001  made for this
            self._shippers.append(shipper)

    def _connect(self, config: Config) -> Transport:
        return _Recorder(config, self._taken)

    # --- what they recorded ---

    @property
    def events(self) -> tuple[Event, ...]:
        """Return every event so far, oldest first."""
        for shipper in self._shippers:
            shipper.flush()
        return tuple(self._taken.values())

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int) -> Event:
        return self.events[index]

    def __repr__(self) -> str:
        return f"<RecordedEvents: {counted(len(self), 'event')}>"

    def clear(self) -> None:
        """Forget what was tracked so far."""
        self._forgotten += self.events  # what is still on its way is forgotten, too
        self._taken.clear()

    def assert_tracked(
        self,
        schema_name: object,
        account: object = None,
        attributes: Mapping[str, object] | None = None,
        dimensions: Mapping[str, object] | None = None,
        *,
        timestamp: datetime | str | None = None,
        event_id: object = None,
        times: int | None = None,
    ) -> tuple[Event, ...]:
        """Assert that such an event was tracked; what is left out may be anything.

        Args:
            schema_name: Togai's event schema.
            account: its account id.
            attributes: some of its attributes: ``{"count": 1}``, whatever the unit, or ``{"latency": (12.5,
                "Milliseconds")}``. Amounts are compared as numbers; ``pytest.approx(12.5)`` and
                ``unittest.mock.ANY`` may stand for one.
            dimensions: some of its dimensions; ``ANY`` may stand for a value.
            timestamp: an aware ``datetime`` or ISO 8601 text, compared to the millisecond.
            event_id: its id.
            times: how many such events there must be (default: one or more; 0: none).

        Returns:
            The events that are as expected, oldest first.

        Raises:
            AssertionError: there are none, or not as many as ``times``; it says what was tracked instead, and
                what differs.

        """
        __tracebackhide__ = True
        expected = ExpectedEvent(
            schema_name, account, attributes or {}, dimensions or {}, timestamp, event_id
        )
        events = self.events
        found = tuple(event for event in events if not expected.differences(event))
        if times is None and not found:
            raise AssertionError(f"not tracked: {expected}\n{self._nearest(expected, events)}")
        if times is not None and len(found) != times:
            told = f"tracked {counted(len(found), 'time')}, not {times}: {expected}"
            lines = _lines(found) if len(found) > times else [self._nearest(expected, events)]
            raise AssertionError("\n".join([told, *lines]))
        return found

    def assert_nothing_tracked(self) -> None:
        """Assert that no event was tracked.

        Raises:
            AssertionError: some were; it says which.

        """
        __tracebackhide__ = True
        events = self.events
        if events:
            raise AssertionError("\n".join([f"{counted(len(events), 'event')} tracked:", *_lines(events)]))

    def assert_in_catalog(self) -> None:
        """Assert that Togai would bill every event that was tracked, also those that were forgotten since.

        That is: its event schema is in the catalog, and is active, and the event has the attributes and
        dimensions that the schema has. Units, and whether there is a usage meter, are not looked at.

        Raises:
            AssertionError: it would not bill some of them; it says why, and which.
            ConfigurationError: there is no catalog.

        """
        __tracebackhide__ = True
        if self._catalog is None:
            raise ConfigurationError("catalog: missing; give RecordedEvents(catalog=), or set togai_catalog")
        wrong: dict[str, list[Event]] = {}
        for event in (*self._forgotten, *self.events):
            for problem in problems_of(event, self._catalog):
                if problem.is_failure:
                    wrong.setdefault(problem.text, []).append(event)
        if wrong:
            lines = [line for text, events in wrong.items() for line in (f"{text}:", *_lines(tuple(events)))]
            raise AssertionError("\n".join(["Togai would take these events, and not bill them", *lines]))

    def _nearest(self, expected: ExpectedEvent, events: tuple[Event, ...]) -> str:
        """Tell which tracked events are most like the expected one, and how many were refused."""
        near = sorted(
            ((differing, event) for event in events if (differing := expected.differences(event))),
            key=lambda near: len(near[0]),
        )
        lines = [f"of {counted(len(events), 'event')} tracked, the nearest:"] if near else []
        if not events:
            lines = ["nothing was tracked"]
        for differing, event in near[:_SHOWN]:
            lines += [_line(event), *(f"      {difference}" for difference in differing)]
        return "\n".join(lines + self._refusals())

    def _refusals(self) -> list[str]:
        default = _default.made()
        if isinstance(default, StandIn):
            return [f"no shipper can be made: {default.error}"]
        refused: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        for shipper in self._shippers:
            stats = shipper.stats()
            refused.update(stats.refused)
            left_out.update(stats.left_out)
        counts = {"refused by track()": refused, "left out": left_out}
        told = {
            what: ", ".join(f"{why} {n}" for why, n in each.items() if n) for what, each in counts.items()
        }
        return [f"{what}: {reasons}" for what, reasons in told.items() if reasons]


def _lines(events: tuple[Event, ...]) -> list[str]:
    left = len(events) - _SHOWN
    return [*map(_line, events[:_SHOWN]), *([f"  and {left} more"] if left > 0 else [])]


def _line(event: Event) -> str:
    attributes = ", ".join(f"{each.name!r}: {shown(each)}" for each in event.attributes)
    return (
        f"  {event.schema_name!r} for {event.account_id!r}, {{{attributes}}}, {event.dimensions!r}, "
        f"at {event.timestamp}, id {event.id!r}"
    )
