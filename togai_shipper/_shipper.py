"""The façade: what the application calls."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import attrs

from ._config import UNSET, ApiKey, Config, Overflow, SessionFactory, Unset, check_key
from ._engine.batching import ENVELOPE
from ._engine.receipts import Receipt, receipt
from ._event import (
    Attributes,
    ChosenId,
    Event,
    Stamp,
    chosen_id,
    decode,
    encode,
    fresh_id,
    id_of,
    timestamp_text,
)
from ._metering import AttributesOf, Call, DimensionsOf, Measure, P, R, Recipe, TextOf, metering
from ._outcome import FlushReport, Outcome, Refusal, Stats
from ._process import exits, sigterm
from ._process.event_loop import in_a_thread, is_running
from ._wording import counted
from .exceptions import InvalidEvent, QueueFull, ShipperClosed, TogaiShipperError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ._engine.transport import Transport
    from ._pipeline import Pipeline

_stamp = Stamp()
# A parent's, kept so that no destructor of ours touches what the parent still uses.
_inherited: list[Pipeline] = []


def _encoded(
    schema_name: Any,
    account_id: Any,
    attributes: Any,
    dimensions: Any,
    timestamp: Any,
    event_id: Any,
    idempotency_key: Any,
) -> tuple[bytes, str]:
    """An event as it goes to Togai, and its id."""
    is_ours = event_id is None and idempotency_key is None
    event_id = fresh_id() if is_ours else chosen_id(schema_name, account_id, event_id, idempotency_key)
    stamp = _stamp(time.time_ns()) if timestamp is None else timestamp_text(timestamp)
    event = encode(schema_name, account_id, attributes, dimensions, stamp, event_id)
    return (event if is_ours else ChosenId(event)), event_id


def _invalid(error: Exception) -> InvalidEvent:
    """Whatever the caller's objects raised."""
    if isinstance(error, InvalidEvent):
        return error
    invalid = InvalidEvent("event", f"could not be read: {type(error).__name__}")
    invalid.__cause__ = error
    return invalid


def _refused(pipeline: Pipeline, reason: Refusal, event_id: str | None = None) -> Outcome:
    pipeline.refuse(reason)
    return Outcome(event_id, "refused", reason)


class Shipper:
    """Carries usage events to Togai: ``track()`` returns in microseconds, daemon threads deliver.

    Making one does no I/O and starts nothing; that happens at the first ``track()`` or ``flush()``. Use one
    for the whole process, from any thread. Every option that is no callable is also read from the environment
    as ``TOGAI_<OPTION>`` (``TOGAI_API_KEY``, ``TOGAI_FLUSH_INTERVAL=2``, ``TOGAI_TIMEOUT=5,30``,
    ``TOGAI_RATE_LIMIT=none``); an argument wins.

    Args:
        api_key: Togai's secret key or token, or a callable that returns one (called on a flusher, outside
            locks, and again after a 401). Required unless ``enabled=False``.
        base_url: default ``https://api.togai.com``; Togai's sandbox is ``https://sandbox-api.togai.com``.
            Plain ``http`` only to loopback.
        allow_insecure: allow plain ``http`` to any host (default false).
        batch_size: events a call of ``/ingestBatch``, 1 to 500 (default 500).
        max_batch_bytes: bytes of a request's body (default 900,000). A single event that needs more is
            invalid.
        flush_interval: seconds that the oldest pending event waits at most before its batch goes (default 5);
            after replies of 429 up to a minute, so that processes which share a quota send less often.
        max_queue_size: pending events, in flight included, before the buffer is full (default 100,000).
        max_queue_bytes: the same in bytes (default 64 MiB); whichever is reached first.
        overflow: when it is full: ``"drop_new"`` (default: ``track()`` returns ``None``), ``"block"`` (wait
            up to ``block_timeout``, then the same; never on a flusher or under a running event loop), or
            ``"raise"``.
        block_timeout: seconds (default 1).
        max_in_flight: requests on the wire at once, and flusher threads at most (default 4). One is started
            at first, another when a batch is due and all are busy.
        timeout: seconds to connect and to the end of the reply (default ``(5, 30)``).
        backoff_initial: seconds (default 0.5); a random wait up to this, doubling with each attempt,
        backoff_max: and never more than this (default 30).
        rate_limit: requests a second to each endpoint, for this shipper (default 45; Togai's quota is 50 for
            the account, which several processes share by their 429s), or ``None``.
        close_timeout: seconds that ``close()`` and ``flush()`` without an argument, and the exit of the
            process, may take (default 10).
        single_ingest_limit: on close, a last remainder of at most this many events goes by ``/ingest``
            (default 5).
        strict: raise ``InvalidEvent`` in ``track()``'s caller (default false: counted, logged, told to
            ``on_error``).
        enabled: false: no key needed, nothing sent; ``track()`` still checks its events (default true).
        on_error: ``on_error(error, events)``: events that ended undelivered, and why; an empty tuple where
            none ended.
        on_delivered: ``on_delivered(events)``, called on a flusher after they were counted. One that takes
            its time holds up nobody but that flusher.
        before_send: ``before_send(event) -> Event | None``, called in ``track()``: change an event, or drop
            it by ``None``. If it raises, the event is not sent.
        handle_sigterm: on SIGTERM close, then do what would have been done without: die of it, or call the
            handler that was there before (default false). Only from the main thread.
        session_factory: returns a new ``requests.Session`` (proxies, TLS), called once for each flusher
            thread. It is made to keep to the bound on a reply's whole time, and not to retry by itself.
        spool: a directory on a local disk. What is accepted is written there within some 10 ms, and stays
            until it is settled: it survives the process, which a later one with the same directory delivers.
        max_spool_bytes: bytes of pending events there; at that ``overflow`` decides (default 1 GiB).

    Raises:
        ConfigurationError: an option is missing or wrong; the message names it and its value, never the key.

    >>> from togai_shipper.testing import FakeTogai
    >>> with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
    ...     event_id = shipper.track("api_call", "acme", {"count": 1}, {"region": "eu-west-1"})
    ...     bool(shipper.flush())
    True

    """

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | Unset = UNSET,
        allow_insecure: bool | Unset = UNSET,
        batch_size: int | Unset = UNSET,
        max_batch_bytes: int | Unset = UNSET,
        flush_interval: float | Unset = UNSET,
        max_queue_size: int | Unset = UNSET,
        max_queue_bytes: int | Unset = UNSET,
        overflow: Overflow | Unset = UNSET,
        block_timeout: float | Unset = UNSET,
        max_in_flight: int | Unset = UNSET,
        timeout: tuple[float, float] | Unset = UNSET,
        backoff_initial: float | Unset = UNSET,
        backoff_max: float | Unset = UNSET,
        rate_limit: float | Unset | None = UNSET,
        close_timeout: float | Unset = UNSET,
        single_ingest_limit: int | Unset = UNSET,
        strict: bool | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        on_error: Callable[[TogaiShipperError, tuple[Event, ...]], object] | None = None,
        on_delivered: Callable[[tuple[Event, ...]], object] | None = None,
        before_send: Callable[[Event], Event | None] | None = None,
        handle_sigterm: bool | Unset = UNSET,
        session_factory: SessionFactory | None = None,
        spool: str | os.PathLike[str] | Unset | None = UNSET,
        max_spool_bytes: int | Unset = UNSET,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self._config = Config.load(os.environ, **options)
        self._is_plain = self._config.enabled and self._config.before_send is None
        self._connect: Callable[[Config], Transport] | None = None  # another one than to Togai
        self._children: dict[int, Pipeline] = {}  # by process: a forked child may itself be a parent
        self._pipeline = self._made()
        if self._config.handle_sigterm and self._config.enabled:
            sigterm.handle(self._here)

    def _made(self, *, closed: bool = False, clock: Callable[[], float] = time.monotonic) -> Pipeline:
        """One that begins with nothing, in this process.

        ``clock`` is read where this module is imported: what comes later may come inside freezegun, which
        would stand still all deadlines of this process for ever.
        """
        # requests and tenacity: who makes no shipper does not wait for them. Imported here, not on a flusher:
        # a fork in the middle of an import would leave the child with locks that nobody lets go.
        from ._engine.transport import connected  # noqa: PLC0415
        from ._pipeline import Pipeline  # noqa: PLC0415

        connect = self._connect or connected
        pipeline = Pipeline(self._config, clock=clock, connect=connect, starting=exits.expect_exit)
        exits.remember(pipeline)
        # Asked afterwards: an exit that has not found this one is seen here.
        if closed or exits.is_over():
            pipeline.close(0.0)
        return pipeline

    def _here(self) -> Pipeline:
        """This process's pipeline: a forked child starts its own and leaves its parent's alone, for ever.

        Several threads may come here at once, or a signal handler in between: all get the same one.
        """
        pipeline, pid = self._pipeline, os.getpid()
        if pipeline.pid != pid:
            _inherited.append(pipeline)
            made = self._made(closed=pipeline.buffer.closing is not None)
            self._pipeline = pipeline = self._children.setdefault(pid, made)
        return pipeline

    @contextmanager
    def _diverted(self, options: Mapping[str, Any], connect: Callable[[Config], Transport]) -> Iterator[None]:
        """For the time of a test go on with these options and another transport; what is pending waits."""
        before = self._config, self._connect, self._pipeline
        self._config, self._connect = attrs.evolve(self._config, **options), connect
        self._is_plain = self._config.before_send is None
        self._pipeline = diverted = self._made()
        try:
            yield
        finally:
            diverted.close(self._config.close_timeout)
            self._config, self._connect, self._pipeline = before
            self._is_plain = self._config.enabled and self._config.before_send is None

    # --- tracking ---

    def track(
        self,
        schema_name: str,
        account_id: str,
        attributes: Attributes = (),
        dimensions: Mapping[str, str] | None = None,
        *,
        timestamp: datetime | str | None = None,
        event_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> str | None:
        """Hand one usage event over for delivery; no network I/O, no raising for what the world does.

        Args:
            schema_name: Togai's event schema, 1 to 50 characters.
            account_id: Togai's account id or alias, 1 to 512 characters.
            attributes: at most 10: ``{"count": 1, "latency": (12.5, "Milliseconds")}``, or ``Attribute``
                objects. Values are ``int``, ``float``, ``Decimal``, numpy scalars or plain digits as ``str``,
                and are written exactly.
            dimensions: strings to strings of 1 to 200 characters.
            timestamp: an aware ``datetime`` or ISO 8601 text with a zone (default: now). Togai bills by it.
            event_id: your own id, 1 to 50 characters. Togai counts one id once in 45 days.
            idempotency_key: any text of your business (an order's number and line), so that a job that is run
                again bills once; the id is a UUIDv5 of schema name, account and key.

        Returns:
            The event's id; ``None`` where it was not accepted, which is counted in ``stats().refused``.

        Raises:
            InvalidEvent: with ``strict=True`` alone.
            QueueFull: with ``overflow="raise"`` alone.

        """
        pipeline = self._pipeline
        if pipeline.pid != os.getpid():
            pipeline = self._here()
        if pipeline.is_feedback():
            return _refused(pipeline, "feedback").event_id
        try:
            event, accepted_id = _encoded(
                schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key
            )
            self._check_size(event)
        except Exception as error:  # whatever the caller's objects raise
            given = (schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key)
            return self._refuse_invalid(pipeline, error, given).event_id
        if self._is_plain and pipeline.put(event) is None:
            return accepted_id
        return self._hand_over(pipeline, event).event_id

    def track_event(self, event: Event) -> str | None:
        """Hand over an ``Event`` that you have built; everything else is as with ``track``.

        Its id counts as yours: tracking the same ``Event`` twice bills once.
        """
        pipeline = self._here()
        if pipeline.is_feedback():
            return _refused(pipeline, "feedback").event_id
        try:
            if not isinstance(event, Event):
                raise InvalidEvent("event", f"must be an Event, not {type(event).__name__}")  # noqa: TRY301  told like the rest
            encoded = ChosenId(event.encode())
            self._check_size(encoded)
        except Exception as error:  # whatever a subclass raises
            return self._refuse_invalid(pipeline, error, event).event_id
        return self._hand_over(pipeline, encoded).event_id

    def submit(
        self,
        schema_name: str,
        account_id: str,
        attributes: Attributes = (),
        dimensions: Mapping[str, str] | None = None,
        *,
        timestamp: datetime | str | None = None,
        event_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Future[Outcome]:
        """``track()`` with a receipt, for the few events whose caller must know what became of them.

        The event goes with the others, so its outcome may take ``flush_interval``, and as long as Togai
        cannot be reached. The future cannot be cancelled, since neither can the event. Its callbacks are
        called on a flusher, or inside ``close()``, and should be quick.

        Args:
            schema_name: as for ``track()``, and so are all the others.
            account_id: Togai's account id or alias.
            attributes: at most 10.
            dimensions: strings to strings.
            timestamp: default: now.
            event_id: your own id.
            idempotency_key: any text of your business.

        Returns:
            A future of this process (a forked child's copy never ends). It has an ``Outcome`` once the
            event is delivered, rejected, dropped or refused; at the latest when ``close()`` returns.

        Raises:
            InvalidEvent: with ``strict=True`` alone.
            QueueFull: with ``overflow="raise"`` alone.

        >>> from togai_shipper.testing import FakeTogai
        >>> with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
        ...     receipt = shipper.submit("plan_bought", "acme", {"seats": 5}, idempotency_key="order 7")
        ...     shipper.flush()
        ...     receipt.result().status
        FlushReport(delivered=1, rejected=0, dropped=0, pending=0)
        'delivered'

        """
        pipeline = self._here()
        if pipeline.is_feedback():
            return receipt(_refused(pipeline, "feedback"))
        given = (schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key)
        try:
            event, _ = _encoded(*given)
            self._check_size(event)
        except Exception as error:  # whatever the caller's objects raise
            return receipt(self._refuse_invalid(pipeline, error, given))
        wanted = self._wanted(pipeline, event)
        if isinstance(wanted, Outcome):
            return receipt(wanted)
        held = receipt()
        outcome = self._put(pipeline, wanted, held)
        return receipt(outcome) if outcome.status == "refused" else held

    # --- measuring ---

    def metered(
        self,
        schema_name: str,
        account_id: TextOf[Call],
        attributes: AttributesOf[Call] = (),
        dimensions: DimensionsOf[Call] | None = None,
        *,
        duration: str | None = None,
        outcome: str | None = None,
        failures: bool = True,
        idempotency_key: Callable[[Call], str | None] | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Track an event at the end of each call of a function or coroutine function: a decorator.

        The function's results, exceptions and signature stay as they are, whatever becomes of the event. A
        function that is no coroutine function, and returns an awaitable, is over when it returns.
        Whatever below may be a function is called at the end, with the ``Call``: its ``arguments`` by name,
        ``result``, ``error`` and ``seconds``. If one raises, the event is refused as invalid, counted and
        logged; nothing is raised, not with ``strict=True`` either.

        Args:
            schema_name: Togai's event schema.
            account_id: whom it is billed to, or a function that says so; ``None`` from it: no event.
            attributes: as for ``track()``; each value, or all of them, may be a function.
            dimensions: likewise.
            duration: the name of an attribute that gets the call's time, in ``"Milliseconds"``.
            outcome: the name of a dimension that gets ``"ok"``, or ``"error"`` where it raised.
            failures: count calls that raise, or are cancelled, too (default true).
            idempotency_key: a function that says which piece of your business the call was.

        Raises:
            TypeError: at the decorated function: it is a generator function, whose call only begins its work;
                or no function at all (``metered`` goes beneath ``@classmethod``, ``@staticmethod``,
                ``@property``).

        >>> from togai_shipper.testing import FakeTogai
        >>> with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
        ...     @shipper.metered("render", lambda call: call.arguments["account"],
        ...                      {"pages": lambda call: len(call.result)}, duration="took")
        ...     def render(account, text):
        ...         return text.split("#")
        ...
        ...     render("acme", "one#two")
        ['one', 'two']

        """
        recipe = Recipe(
            schema_name, account_id, attributes, dimensions, duration, outcome, failures, idempotency_key
        )
        return lambda function: metering(self._meter, recipe, function)

    def measure(
        self,
        schema_name: str,
        account_id: str | None,
        attributes: Attributes = (),
        dimensions: Mapping[str, str] | None = None,
        *,
        duration: str | None = None,
        outcome: str | None = None,
        failures: bool = True,
        idempotency_key: str | None = None,
    ) -> Measure:
        """Track one event at the end of a block: a context manager, also inside a coroutine or generator.

        What the block raises is raised; what is wrong with the event is counted and logged, and never raised.

        Args:
            schema_name: Togai's event schema.
            account_id: whom it is billed to; may be set in the block. ``None``: nobody, no event.
            attributes: as for ``track()``; ``add()`` in the block adds to them.
            dimensions: strings to strings; more may be set in the block.
            duration: the name of an attribute that gets the block's time, in ``"Milliseconds"``.
            outcome: the name of a dimension that gets ``"ok"``, or ``"error"`` where the block raised.
            failures: track it, too, where the block raises (default true).
            idempotency_key: any text of your business.

        >>> from togai_shipper.testing import FakeTogai
        >>> with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
        ...     with shipper.measure("completion", "acme", {"calls": 1}) as measured:
        ...         for token in ("a", "b", "c"):
        ...             measured.add("tokens")
        ...         measured.dimensions["model"] = "small"
        ...     bool(shipper.flush())
        True

        """
        is_mapping = dimensions is None or isinstance(dimensions, Mapping)  # if not, that is told at the end
        recipe: Recipe[Measure] = Recipe(
            schema_name,
            lambda measured: measured.account_id,
            lambda measured: measured.sums(attributes),
            lambda measured: measured.dimensions if is_mapping else dimensions,
            duration,
            outcome,
            failures,
            idempotency_key,
        )
        return Measure(self._meter, recipe, account_id, dimensions)

    def _meter(self, recipe: Recipe[Any], work: Any) -> None:
        """Track an event of some work that is over; whoever did it is told nothing, and nothing is raised."""
        pipeline = self._here()
        try:
            usage = recipe.usage(work)
        except Exception as error:  # the application's code
            self._refuse(pipeline, "invalid", _invalid(error))
            return
        if usage is None:
            return
        try:
            self.track(
                recipe.schema_name,
                usage.account_id,
                usage.attributes,
                usage.dimensions,
                idempotency_key=usage.idempotency_key,
            )
        except (InvalidEvent, QueueFull) as error:  # strict, overflow="raise": counted, and not told yet
            self._tell_refused(pipeline, "full" if isinstance(error, QueueFull) else "invalid", error)

    def _check_size(self, event: bytes) -> None:
        most = self._config.max_batch_bytes - ENVELOPE
        if len(event) > most:
            raise InvalidEvent(
                "event", f"must encode to at most {most} bytes (max_batch_bytes), has {len(event)}"
            )

    def _hand_over(self, pipeline: Pipeline, event: bytes) -> Outcome:
        """The longer way in: by ``before_send``, nowhere if not enabled, into a buffer that may be full."""
        wanted = self._wanted(pipeline, event)
        return wanted if isinstance(wanted, Outcome) else self._put(pipeline, wanted)

    def _wanted(self, pipeline: Pipeline, event: bytes) -> bytes | Outcome:
        """The event as it is to be sent, if it is to be sent."""
        if self._config.before_send is not None:
            changed = self._filtered(pipeline, event)
            if isinstance(changed, Outcome):
                return changed
            event = changed
        if not self._config.enabled:
            return _refused(pipeline, "disabled", id_of(event))
        return event

    def _put(self, pipeline: Pipeline, event: bytes, held: Receipt | None = None) -> Outcome:
        refused = pipeline.put(event, held)
        if refused == "full" and self._config.overflow == "block" and self._may_block(pipeline):
            refused = pipeline.put_waiting(event, self._config.block_timeout, held)
        if refused is None:
            return Outcome(id_of(event), "pending")
        if refused == "closed":
            closed = ShipperClosed("track() after close(); the event is not accepted")
            return self._refuse(pipeline, "closed", closed)
        raises = self._config.overflow == "raise"
        # Decoded only for who sees it: a full buffer must not slow its callers down as well.
        given = decode(event) if raises or self._config.on_error is not None else None
        full = QueueFull(
            f"the buffer is full, {counted(pipeline.pending, 'event waits', 'events wait')}; "
            "the event is not accepted",
            given,
        )
        if raises:
            pipeline.refuse("full")
            raise full
        return self._refuse(pipeline, "full", full)

    def _filtered(self, pipeline: Pipeline, event: bytes) -> bytes | Outcome:
        """What ``before_send`` makes of an event."""
        given = decode(event)
        try:
            changed = self._config.before_send(given)
            if changed is given:
                return event
            if changed is not None:
                if not isinstance(changed, Event):
                    raise TypeError(f"before_send returned {type(changed).__name__}")  # noqa: TRY301  told like what it raises
                encoded = changed.encode()
                self._check_size(encoded)
                return type(event)(encoded) if changed.id == given.id else ChosenId(encoded)
        except Exception as error:  # the application's code: an event that it cannot redact is not sent
            problem = InvalidEvent(
                "before_send", f"raised {type(error).__name__}; the event is not sent", given
            )
            problem.__cause__ = error
            return self._refuse(pipeline, "filtered", problem)
        return _refused(pipeline, "filtered")

    def _may_block(self, pipeline: Pipeline) -> bool:
        """Not on a flusher, which would wait for itself, nor under an event loop, which would stand still."""
        if is_running():
            text = 'overflow="block" does not block under a running event loop: the event is refused'
            pipeline.reporter.complain("event loop", text)
            return False
        return not pipeline.is_on_flusher

    # --- refusing ---

    def _refuse(self, pipeline: Pipeline, reason: Refusal, error: TogaiShipperError) -> Outcome:
        pipeline.refuse(reason)
        self._tell_refused(pipeline, reason, error)
        return Outcome(None, "refused", reason, error)

    def _tell_refused(self, pipeline: Pipeline, reason: Refusal, error: TogaiShipperError) -> None:
        kind = error.field.partition("[")[0] if isinstance(error, InvalidEvent) else ""
        pipeline.reporter.complain(f"{reason} {kind}", "an event was refused (%s): %s", reason, error)
        pipeline.reporter.undelivered(error)

    def _refuse_invalid(self, pipeline: Pipeline, error: Exception, given: Any) -> Outcome:
        """Count an invalid event and tell of it; or, strict, raise it in the caller."""
        invalid = _invalid(error)
        invalid.given = given
        if self._config.strict:
            pipeline.refuse("invalid")
            raise invalid
        return self._refuse(pipeline, "invalid", invalid)

    # --- ends ---

    def flush(self, timeout: float | None = None) -> FlushReport:
        """Send what is pending now, without waiting for ``flush_interval``; wait until it is settled.

        Backoff, Retry-After and rate limit stay in force. While delivery is parked (a refused key) this
        returns at once. Inside a callback it does not wait.

        Args:
            timeout: seconds to wait at most (default ``close_timeout``).

        Returns:
            A ``FlushReport``: true only if every event accepted before the call is delivered.

        """
        return self._here().flush(self._seconds(timeout))

    def sync(self, timeout: float | None = None) -> bool:
        """Wait until everything accepted so far is on disk (``spool``), though not delivered.

        Inside a callback it does not wait.

        Args:
            timeout: seconds to wait at most (default ``close_timeout``).

        Returns:
            Whether it is: it now survives the process, and a power cut. Without ``spool``, false.

        """
        return self._here().sync(self._seconds(timeout))

    async def aflush(self, timeout: float | None = None) -> FlushReport:
        """``flush()`` for coroutines: the event loop goes on meanwhile."""
        return await in_a_thread(self.flush, timeout)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Accept no more events, deliver what is pending, and end the threads.

        Batches go by ``/ingestBatch``; a last remainder of at most ``single_ingest_limit`` events, and the
        events of a batch that keeps failing, go by ``/ingest``. What is undelivered when time is up is
        counted as ``dropped["closed"]``, told to ``on_error`` and logged. A second call waits for the first
        and returns its report; inside a callback a call does not wait.

        Args:
            timeout: seconds that all of this may take (default ``close_timeout``).

        Returns:
            A ``FlushReport``: true only if everything was delivered.

        """
        return self._here().close(self._seconds(timeout))

    async def aclose(self, timeout: float | None = None) -> FlushReport:
        """``close()`` for coroutines: the event loop goes on meanwhile."""
        return await in_a_thread(self.close, timeout)

    @property
    def close_timeout(self) -> float:
        """Seconds that ``close()`` and ``flush()`` without an argument, and the end of the process, take."""
        return self._config.close_timeout

    def _seconds(self, timeout: float | None) -> float:
        if timeout is None:
            return self._config.close_timeout
        seconds = float(timeout)
        if math.isnan(seconds):
            raise ValueError("timeout: must be a number of seconds, not nan")
        return seconds

    async def __aenter__(self) -> Shipper:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Shipper:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        pipeline = getattr(self, "_pipeline", None)
        if pipeline is None or pipeline.pid != os.getpid() or pipeline.buffer.closing:
            return
        if not pipeline.pending:
            pipeline.begin_closing(0.0)  # nobody can track any more: its threads may end
        else:
            exits.keep(pipeline)
            warnings.warn(
                f"unclosed {self!r}; its events are still delivered, at the latest at exit",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Shipper belongs to its process and can be neither pickled nor copied")

    # --- how it stands ---

    def set_api_key(self, api_key: ApiKey) -> None:
        """Use another key (or callable) from now on, from any thread; a parked line tries it at once.

        Raises:
            ConfigurationError: it cannot be a key; the one in use stays.

        """
        self._here().set_api_key(api_key if callable(api_key) else check_key(api_key))

    def stats(self) -> Stats:
        """Every count of this shipper in this process, at one instant."""
        return self._here().health.stats()

    @property
    def pending(self) -> int:
        """Events accepted and neither delivered, rejected nor dropped."""
        return self._here().pending

    @property
    def healthy(self) -> bool:
        """Whether events get through as they should; if not, ``stats().last_error`` says why.

        False while parked; while every attempt of the last minute failed; while the oldest pending event is
        older than 5 minutes; while an event is set aside on which Togai keeps failing; while no thread can be
        started.
        """
        return self._here().health.complaint() is None

    def __repr__(self) -> str:
        now = self._here().health.stats()
        return (
            f"<Shipper {now.state}: {now.pending} pending, {now.delivered} delivered, "
            f"{now.rejected} rejected, {sum(now.dropped.values())} dropped>"
        )
