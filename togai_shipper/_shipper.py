"""The facade: what an application calls."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import attrs

from ._config import ApiKey, Config, Keeps, Overflow, RelaySource, SessionFactory, unset_when_left_out
from ._engine.runtime import Runtime
from ._event import Attributes, Event
from ._intake import Intake
from ._metering import Call, Measure, P, R, metering
from ._option_values import check_key
from ._outcome import Finding, FlushReport, LeftOut, Outcome, Stats
from ._process import exits, sigterm
from ._process.event_loop import in_a_thread
from ._process.per_process import PerProcess
from ._recipe import AttributesOf, DimensionsOf, Recipe, TextOf
from ._secret import hidden, hide
from .exceptions import ConfigurationError, InvalidEvent, QueueFull, TogaiShipperError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ._engine.transport import Transport
    from ._pipeline import Pipeline

_runtime = Runtime()


class Shipper:
    """Carries usage events to Togai: ``track()`` returns in microseconds, daemon threads deliver.

    Making one does no I/O and starts nothing; that happens at the first ``track()`` or ``flush()``. Use one
    for the whole process, from any thread. Every option that is no function is also read from the environment
    as ``TOGAI_<OPTION>`` (``TOGAI_API_KEY``, ``TOGAI_FLUSH_INTERVAL=2``, ``TOGAI_TIMEOUT=5,30``,
    ``TOGAI_RATE_LIMIT=none``); an argument wins.

    Args:
        api_key: Togai's secret key or token, or a callable that returns one (called on a flusher, outside
            locks, and again after a 401). Required unless ``enabled=False`` or with ``relay``.
        base_url: where requests go (default ``https://api.togai.com``); Togai's sandbox is
            ``https://sandbox-api.togai.com``. Plain ``http`` only to loopback.
        allow_insecure: allow plain ``http`` to any host, and by a proxy (default false).
        batch_size: events a call of ``/ingestBatch``, 1 to 500 (default 500).
        max_batch_bytes: bytes of a request's body (default 900,000). A single event that needs more is
            invalid.
        flush_interval: seconds that the oldest pending event waits at most before its batch goes (default 5;
            0.5 with ``relay``); after replies of 429 up to a minute, so that processes sharing a quota send
            less often.
        max_queue_size: pending events, in flight included, before the buffer is full (default 100,000).
        max_queue_bytes: the same in bytes (default 64 MiB); whichever is reached first.
        overflow: what ``track()`` does when the buffer is full (default ``"drop_new"``: it returns ``None``).
            ``"block"``: it waits up to ``block_timeout`` for room, but never on a flusher or under a running
            event loop. ``"raise"``: it raises ``QueueFull``.
        block_timeout: seconds that ``track()`` waits at most with ``overflow="block"`` (default 1).
        max_in_flight: requests on the wire at once, and flusher threads at most (default 4). One is started
            at first, another when a batch is due and all are busy.
        timeout: seconds to connect and to the end of the reply (default ``(5, 30)``).
        backoff_initial: seconds that a retry waits at most at first (default 0.5). The wait is random, and
            the most doubles with each attempt.
        backoff_max: seconds that this most grows to (default 30).
        rate_limit: requests a second to each endpoint, for this shipper (default 45; Togai's quota is 50 for
            the account, which several processes share by their 429s), or ``None``.
        close_timeout: seconds that ``close()`` and ``flush()`` without an argument, and the exit of the
            process, may take (default 10).
        single_ingest_limit: on close, a last remainder of at most this many events goes by ``/ingest``
            (default 5).
        strict: raise ``InvalidEvent`` in ``track()``'s caller (default false: counted, logged, told to
            ``on_error``).
        enabled: deliver (default true). If false, no key is needed and nothing is sent; ``track()`` still
            checks its events.
        on_error: ``on_error(error, events)``: events that ended undelivered, and why, at most 500 a call; an
            empty tuple where none ended.
        on_delivered: ``on_delivered(events)``, called after they were counted, on the thread that sent them
            (a flusher, or one that flushes) or one of ``close()``'s, with at most 500 a call. One that takes
            its time holds up nobody else, and ``flush()`` and ``close()`` for a second at most.
        before_send: ``before_send(event) -> Event | None``, called in ``track()``: change an event, or drop
            it by ``None``. If it raises, the event is not sent.
        handle_sigterm: on SIGTERM close, then do what would have been done without: die of it, or call the
            handler that was there before (default false). Only from the main thread of the main interpreter.
        session_factory: returns a new ``requests.Session`` (proxies, TLS), called by each thread that sends,
            and again after a failure of its own. It is made to keep to the bound on a reply's whole time, not
            to retry by itself, and to send and keep no cookies.
        verify: look-ups a minute (default 0.1; 0 is off): whether Togai bills what it took. Some delivered
            events are looked up, one of each schema first, on a thread that is there for this alone. It needs
            a key that may read events, and is off with ``relay``, which has none.
        on_unbilled: ``on_unbilled(finding)``: a delivered event that was looked up, and that Togai does not
            bill: a ``Finding``. It is at Togai: do not track it again.
        spool: a directory on a local disk. What is accepted is written there within some 10 ms, and stays
            until it is settled: it survives the process, which a later one with the same directory delivers.
        max_spool_bytes: bytes of pending events there (default 1 GiB); at that ``overflow`` decides. Where a
            program that reads a file keeps it from getting smaller, new events stay in memory alone at that.
        journal: what the spool keeps for 90 days of what it has delivered, to prove a day (default
            ``"counts"``): how many events by day and schema; ``"accounts"``: by account, too, which may be
            personal data; ``"ids"``: for 35 days the ids themselves as well, some 20 bytes each. With
            ``relay`` its drainers count, and only ``"counts"`` may be asked for.
        relay: a Redis, by its URL (``redis://``, ``rediss://``, ``unix://``) or a function that returns a
            ``redis.Redis``: batches are handed over to it, and ``togai-shipper drain`` delivers them for all
            processes of an account. No key is needed then, and there is no ``rate_limit``.
        relay_name: which relay it is in that Redis (default ``"togai"``): one account has one.
        relay_replicas: replicas of Redis that must have a batch before it counts as relayed (default 0).
        relay_hold: seconds after which the Redis that took a batch must show that it is still the same one
            (default 10); until then the batch is kept in memory, and handed over again if it is another.
        max_relay_bytes: bytes of events in the relay (default 256 MiB); at that they wait here.

    Raises:
        ConfigurationError: an option is missing or wrong; the message names it and its value, never the key.

    >>> from togai_shipper.testing import FakeTogai
    >>> with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
    ...     event_id = shipper.track("api_call", "acme", {"count": 1}, {"region": "eu-west-1"})
    ...     bool(shipper.flush())
    True

    """

    @unset_when_left_out
    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str = "https://api.togai.com",
        allow_insecure: bool = False,
        batch_size: int = 500,
        max_batch_bytes: int = 900_000,
        flush_interval: float = 5.0,
        max_queue_size: int = 100_000,
        max_queue_bytes: int = 64 * 1024**2,
        overflow: Overflow = "drop_new",
        block_timeout: float = 1.0,
        max_in_flight: int = 4,
        timeout: tuple[float, float] = (5.0, 30.0),
        backoff_initial: float = 0.5,
        backoff_max: float = 30.0,
        rate_limit: float | None = 45.0,
        close_timeout: float = 10.0,
        single_ingest_limit: int = 5,
        strict: bool = False,
        enabled: bool = True,
        on_error: Callable[[TogaiShipperError, tuple[Event, ...]], object] | None = None,
        on_delivered: Callable[[tuple[Event, ...]], object] | None = None,
        before_send: Callable[[Event], Event | None] | None = None,
        handle_sigterm: bool = False,
        session_factory: SessionFactory | None = None,
        verify: float = 0.1,
        on_unbilled: Callable[[Finding], object] | None = None,
        spool: str | os.PathLike[str] | None = None,
        max_spool_bytes: int = 1024**3,
        journal: Keeps = "counts",
        relay: RelaySource | None = None,
        relay_name: str = "togai",
        relay_replicas: int = 0,
        relay_hold: float = 10.0,
        max_relay_bytes: int = 256 * 1024**2,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        hide(options)
        del (
            api_key,
            base_url,
            session_factory,
            relay,
        )  # a traceback may be shown with all that its frames hold
        self._config = Config.load(os.environ, **options)
        self._own: PerProcess[Intake] = PerProcess(partial(_opened, self._config, None))
        if self._config.handle_sigterm and self._config.enabled:
            sigterm.handle(self._own)

    @property
    def _intake(self) -> Intake:
        """Return the intake of this process."""
        intake = self._own.latest
        return intake if intake.process.pid == os.getpid() else self._own.here()

    @property
    def _pipeline(self) -> Pipeline:
        """Return the pipeline of this process."""
        return self._own.here().pipeline

    @contextmanager
    def _diverted(self, options: Mapping[str, Any], connect: Callable[[Config], Transport]) -> Iterator[None]:
        """Go on with these options and another transport for the time of a test; what is pending waits."""
        before = self._own
        self._own = diverted = PerProcess(partial(_opened, attrs.evolve(self._config, **options), connect))
        try:
            yield
        finally:
            diverted.here().pipeline.close(self._config.close_timeout)
            self._own = before

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
        intake = self._own.latest
        if intake.process.pid != os.getpid():
            intake = self._own.here()
        return intake.track(
            schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key
        )

    def track_event(self, event: Event) -> str | None:
        """Hand over an ``Event`` that you have built; everything else is as with ``track``.

        Its id counts as yours: tracking the same ``Event`` twice bills once.
        """
        return self._intake.track_event(event)

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
        """Hand an event over as ``track()`` does, and return a receipt for it.

        It is for the few events whose caller must know what became of them. The event goes with the others,
        so its outcome may take ``flush_interval``, and as long as Togai cannot be reached. The future cannot
        be cancelled, since neither can the event. Its callbacks are called on a flusher, or inside
        ``close()``, and should be quick.

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
            event is delivered, relayed, rejected, dropped or refused; at the latest when ``close()`` returns.

        Raises:
            InvalidEvent: with ``strict=True`` alone.
            QueueFull: with ``overflow="raise"`` alone.

        >>> from togai_shipper.testing import FakeTogai
        >>> with FakeTogai(api_key="secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
        ...     receipt = shipper.submit("plan_bought", "acme", {"seats": 5}, idempotency_key="order 7")
        ...     shipper.flush()
        ...     receipt.result().status
        FlushReport(delivered=1, rejected=0, dropped=0, pending=0, relayed=0, held=0)
        'delivered'

        """
        return self._intake.submit(
            schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key
        )

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
        failures: bool | None = None,
        when: Callable[[Call], bool] | None = None,
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
            when: a function that says whether the call counts. If it raises, the call counts, and the log
                says so.
            failures: without ``when``: count calls that raise, or are cancelled, too. Default: true, but
                false with an ``idempotency_key``, since what failed may come again under it.
            idempotency_key: a function that says which piece of your business the call was. It is billed
                once, by the first call with this key that ends well. Where one that failed counts, it is
                billed beside it, with an id of its own.

        Raises:
            TypeError: at the decorated function: it is a generator function, whose call only begins its work;
                or no function at all (``metered`` goes beneath ``@classmethod``, ``@staticmethod``,
                ``@property``). Before that: ``when`` is no plain function, or stands beside
                ``failures=False``.

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
            schema_name,
            account_id,
            attributes,
            dimensions,
            duration,
            outcome,
            failures,
            idempotency_key,
            when,
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
        failures: bool | None = None,
        when: Callable[[Measure], bool] | None = None,
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
            when: a function of the ``Measure``, asked once the block is over, that says whether it counts.
                If it raises, the block counts, and the log says so.
            failures: without ``when``: track it, too, where the block raises. Default: true, but false with
                an ``idempotency_key``, since what failed may come again under it.
            idempotency_key: any text of your business. It is billed once, by the first block with this key
                that ends well. Where one that raised counts, it is billed beside it, with an id of its own.

        Raises:
            TypeError: ``when`` is no plain function, or stands beside ``failures=False``.

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
            when,
        )
        return Measure(self._meter, recipe, account_id, dimensions)

    def _meter(self, recipe: Recipe[Any], work: Any) -> bool:
        """Track an event of some work that is over; return whether there was one to track.

        It raises nothing, since whoever did the work is not to notice.
        """
        try:
            is_counted = recipe.counts(work)
        except Exception as error:  # the application's code: what it cannot tell may be money, so it counts
            self._intake.tell_undecided(recipe.schema_name, error)
            is_counted = True
        if not is_counted:
            self._intake.leave_out("when")
            return False
        try:
            fields = recipe.fields_of(work)
        except Exception as error:  # likewise, and nothing can be made of what it did not say
            self._intake.refuse_unmeasured(error)
            return False
        if fields is None:
            self._intake.leave_out("no account")
            return False
        try:
            self.track(
                recipe.schema_name,
                fields.account_id,
                fields.attributes,
                fields.dimensions,
                idempotency_key=fields.idempotency_key,
            )
        except (InvalidEvent, QueueFull) as error:  # strict, overflow="raise": counted, and not told yet
            self._intake.tell_refused("full" if isinstance(error, QueueFull) else "invalid", error)
        return True

    def _leave_out(self, reason: LeftOut) -> None:
        """Count work that was measured and is no event, for what it is."""
        self._intake.leave_out(reason)

    # --- ends ---

    def flush(self, timeout: float | None = None) -> FlushReport:
        """Send what is pending now, without waiting for ``flush_interval``; wait until it is settled.

        Backoff, Retry-After and rate limit stay in force. While delivery is parked (a refused key) this
        returns at once. The callbacks of these events have returned, too, unless that takes more than a
        second. Inside a callback it does not wait.

        Args:
            timeout: seconds to wait at most (default ``close_timeout``).

        Returns:
            A ``FlushReport``: true only if every event accepted before the call is delivered, or relayed.

        """
        return self._pipeline.flush(self._seconds(timeout))

    def sync(self, timeout: float | None = None) -> bool:
        """Wait until everything accepted so far is on disk (``spool``), though not delivered.

        Inside a callback it does not wait.

        Args:
            timeout: seconds to wait at most (default ``close_timeout``).

        Returns:
            Whether it is: it now survives the process, and a power cut. With ``relay`` and no spool: whether
            the relay has it. Without both, false.

        """
        return self._pipeline.sync(self._seconds(timeout))

    async def aflush(self, timeout: float | None = None) -> FlushReport:
        """Do as ``flush()`` does, for coroutines: the event loop goes on meanwhile."""
        return await in_a_thread(self.flush, timeout)

    def close(self, timeout: float | None = None) -> FlushReport:
        """Accept no more events, deliver what is pending, and end the threads.

        Batches go by ``/ingestBatch`` until time is up, and a request that is under way has as long. A last
        remainder of at most ``single_ingest_limit`` events goes by ``/ingest``, one each, if time and
        ``rate_limit`` leave room for that. What is undelivered when time is up stays on
        disk with ``spool``, and is pending still; else it is counted as ``dropped["closed"]``, told to
        ``on_error`` and logged. All callbacks have returned, too; one that hangs keeps this for a second at
        most. ``on_error`` is told of as many events as there is time for, until half a second after time is
        up; of how many it is not told is logged. A second call waits for the first and returns its report;
        inside a callback a call does not wait.

        Args:
            timeout: seconds that all of this may take (default ``close_timeout``).

        Returns:
            A ``FlushReport``: true only if everything was delivered, or relayed.

        """
        return self._pipeline.close(self._seconds(timeout))

    async def aclose(self, timeout: float | None = None) -> FlushReport:
        """Do as ``close()`` does, for coroutines: the event loop goes on meanwhile."""
        return await in_a_thread(self.close, timeout)

    @property
    def close_timeout(self) -> float:
        """Seconds that ``close()`` and ``flush()`` without an argument, and the process's end, may take."""
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
        own: PerProcess[Intake] | None = getattr(self, "_own", None)
        if own is None or not own.latest.process.is_here:
            return
        pipeline = own.latest.pipeline
        if pipeline.shutdown.has_begun:
            return
        has_pending = pipeline.pending > 0
        pipeline.abandon()
        if has_pending:
            warnings.warn(
                f"unclosed {self!r}; its events are still delivered, at the latest at exit",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Shipper belongs to its process and can be neither pickled nor copied")

    # --- state ---

    def set_api_key(self, api_key: ApiKey) -> None:
        """Use another key (or callable) from now on, from any thread; parked delivery tries it at once.

        Raises:
            ConfigurationError: it cannot be a key; the one in use stays.

        """
        key = hidden(api_key)
        del api_key  # a traceback may be shown with all that its frames hold
        self._pipeline.set_api_key(key if callable(key.reveal()) else check_key(key))

    def stats(self) -> Stats:
        """Return every count of this shipper in this process, at one instant."""
        return self._pipeline.health.stats()

    @property
    def pending(self) -> int:
        """Events accepted and neither delivered, rejected nor dropped."""
        return self._pipeline.pending

    @property
    def healthy(self) -> bool:
        """Whether events get through as they should; if not, ``stats().last_error`` says why.

        False while parked; for a minute after an event found no room (``refused["full"]``); while every
        attempt of the last minute failed; while the oldest pending event is older than 5 minutes; while an
        event is set aside on which Togai keeps failing, or that a gateway refuses; while Togai rejects all
        that has one account, schema or shape, or most requests find what it rejects; while callbacks that do
        not return hold up every flusher; while no thread can be started; while the spool does not work, or
        holds events that are not sent from here. With ``relay`` it speaks of the hand-over alone: ``stats()``
        has ``relay_stalled`` and ``relay_dead``.
        """
        return self._pipeline.health.complaint() is None

    def __repr__(self) -> str:
        if getattr(self, "_own", None) is None:
            return "<Shipper that was not made>"
        now = self._pipeline.health.stats()
        return (
            f"<Shipper {now.state}: {now.pending} pending, {now.delivered} delivered, "
            f"{f'{now.relayed} relayed, ' if now.relayed else ''}"
            f"{now.rejected} rejected, {sum(now.dropped.values())} dropped>"
        )


def _opened(
    config: Config,
    connect: Callable[[Config], Transport] | None,
    inherited: Intake | None,
    runtime: Runtime = _runtime,
) -> Intake:
    """Open a pipeline that begins with nothing, in this process; ``connect`` leads elsewhere than to Togai.

    The runtime's clocks are read where this module is imported: what comes later may come inside freezegun,
    which would stand still all deadlines of this process for ever.
    """
    # requests and tenacity: who makes no shipper does not wait for them. Imported here, not on a flusher: a
    # fork in the middle of an import would leave the child with locks that nobody lets go.
    try:
        # First, since urllib3 would go without for ever if it could not be opened just now.
        with suppress(ModuleNotFoundError):
            import ssl  # noqa: F401, PLC0415
        from ._engine.transport import connected  # noqa: PLC0415
        from ._pipeline import Pipeline  # noqa: PLC0415

        pipeline = Pipeline(config, runtime, connect or connected)
    except (OSError, ImportError) as error:  # no descriptor to be had, for instance: it may work later
        raise ConfigurationError(f"no shipper can be made: {type(error).__name__}: {error}") from error
    if inherited is not None:  # set_api_key() may have been called before the fork
        pipeline.key.replace(inherited.pipeline.key.source.given)
    exits.remember(pipeline)
    was_closed = inherited is not None and inherited.pipeline.shutdown.has_begun
    # Asked afterwards: an exit that has not found this one is seen here.
    if was_closed or exits.is_over():
        pipeline.close(0.0)
    return Intake(config, pipeline)
