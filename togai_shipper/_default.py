"""The default shipper: one for the whole process, for applications that do not pass one on.

What is missing or wrong in the environment raises nothing here: a stand-in refuses events, and says so, until
the environment is right. ``configure()`` does raise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from ._config import Options
from ._event import Attributes
from ._metering import Call, Measure, P, R, metering
from ._outcome import FlushReport, Outcome, Stats
from ._recipe import AttributesOf, DimensionsOf, Recipe, TextOf
from ._secret import hide
from ._shipper import Shipper
from ._stand_in import StandIn
from .exceptions import ConfigurationError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from typing_extensions import Unpack

LOOK_AGAIN = 1.0  # seconds before an environment that was wrong is read again


class DefaultShipper:
    """The one shipper of a process: made when it is first asked for, or, meanwhile, what stands in for it."""

    def __init__(
        self, make: Callable[..., Shipper] = Shipper, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._clock = clock
        # Dicts, since their setdefault is atomic, and a lock could be forked.
        self._made: dict[str, Shipper] = {}  # "it", once it was made
        self._instead: dict[str, StandIn] = {}  # "of it", once it could not be made
        self._look_at = 0.0  # monotonic seconds before which the environment is not read again

    def shipper(self) -> Shipper:
        """Return it, or what stands in for it; make it at its first use."""
        made = self._made.get("it")
        return self._looked_for() if made is None else made

    def made(self) -> Shipper | None:
        """Return it, or what stands in for it; ``None`` where nobody has used it yet."""
        return self._made.get("it") or self._instead.get("of it")

    def _looked_for(self) -> Shipper:
        stand_in = self._instead.get("of it")
        now = self._clock()
        if stand_in is not None and (now < self._look_at or stand_in.is_closed):
            return stand_in
        self._look_at = now + LOOK_AGAIN  # before: meanwhile others are refused, and do not look as well
        try:
            made = self._made.setdefault("it", self._make())
        except ConfigurationError as error:
            wrong = error
        except Exception as error:  # no memory, a library that cannot be imported: not the request's fault
            wrong = ConfigurationError(f"no shipper can be made: {type(error).__name__}: {error}")
        else:
            if stand_in is not None:
                stand_in.tell_over()
            return made
        stand_in = self._instead.setdefault("of it", StandIn(self._clock))
        stand_in.note(wrong)
        return stand_in

    def configure(self, **options: Unpack[Options]) -> None:
        """Make it, with these options; one that is there already is closed."""
        hide(options)
        fresh = self._make(**options)
        before, stand_in = self._made.get("it"), self._instead.get("of it")
        self._made["it"] = fresh
        if stand_in is not None:
            stand_in.tell_over()
        if before is not None:
            before.close()

    def stats(self) -> Stats:
        """Return its counts, and what was refused and left out before it could be made."""
        shipper = self.shipper()
        now, stand_in = shipper.stats(), self._instead.get("of it")
        if stand_in is None or stand_in is shipper:
            return now
        before = stand_in.stats()
        return attrs.evolve(
            now,
            refused={reason: count + before.refused[reason] for reason, count in now.refused.items()},
            left_out={reason: count + before.left_out[reason] for reason, count in now.left_out.items()},
        )


_defaults = [DefaultShipper()]  # the last one counts


def shipper() -> Shipper:
    """Return the default shipper, or what stands in for it; make it at its first use."""
    return _defaults[-1].shipper()


def made() -> Shipper | None:
    """Return the default shipper, or what stands in for it; ``None`` where nobody has used it yet."""
    return _defaults[-1].made()


@contextmanager
def replaced(make: Callable[..., Shipper]) -> Iterator[None]:
    """Let ``make(**options)`` make the default shipper for the time of a test; the one before waits."""
    _defaults.append(DefaultShipper(make))
    try:
        yield
    finally:
        stood_in = _defaults.pop().made()
        if stood_in is not None:
            stood_in.close()


def configure(**options: Unpack[Options]) -> None:
    """Make the default shipper, with the options of ``Shipper``; one that is there already is closed first.

    Without this the first ``track()`` makes it, with options from the environment alone. Where those are
    wrong, no function but this one raises: events are refused as ``misconfigured``, which is logged once a
    minute, and the environment is read again, once a second at most.

    Raises:
        ConfigurationError: an option is missing or wrong; a default shipper that is there stays.

    """
    hide(options)
    _defaults[-1].configure(**options)


def track(
    schema_name: str,
    account_id: str,
    attributes: Attributes = (),
    dimensions: Mapping[str, str] | None = None,
    *,
    timestamp: datetime | str | None = None,
    event_id: str | None = None,
    idempotency_key: str | None = None,
) -> str | None:
    """Hand one usage event over to the default shipper, by ``Shipper.track``; return its id, or ``None``."""
    return shipper().track(
        schema_name,
        account_id,
        attributes,
        dimensions,
        timestamp=timestamp,
        event_id=event_id,
        idempotency_key=idempotency_key,
    )


def submit(
    schema_name: str,
    account_id: str,
    attributes: Attributes = (),
    dimensions: Mapping[str, str] | None = None,
    *,
    timestamp: datetime | str | None = None,
    event_id: str | None = None,
    idempotency_key: str | None = None,
) -> Future[Outcome]:
    """Hand one usage event over to the default shipper, by ``Shipper.submit``; return a receipt for it."""
    return shipper().submit(
        schema_name,
        account_id,
        attributes,
        dimensions,
        timestamp=timestamp,
        event_id=event_id,
        idempotency_key=idempotency_key,
    )


def metered(
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
    """Decorate a function as ``Shipper.metered`` does; each call asks which shipper is the default one."""
    recipe = Recipe(
        schema_name, account_id, attributes, dimensions, duration, outcome, failures, idempotency_key, when
    )
    return lambda function: metering(_meter, recipe, function)


def _meter(recipe: Recipe[Any], work: Any) -> None:
    shipper()._meter(recipe, work)  # noqa: SLF001  what Shipper.metered() does, too


def measure(
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
    """Track one event at the end of a block, on the default shipper, by ``Shipper.measure``."""
    return shipper().measure(
        schema_name,
        account_id,
        attributes,
        dimensions,
        duration=duration,
        outcome=outcome,
        failures=failures,
        when=when,
        idempotency_key=idempotency_key,
    )


def flush(timeout: float | None = None) -> FlushReport:
    """Flush the default shipper, by ``Shipper.flush``; ``timeout`` is in seconds."""
    return shipper().flush(timeout)


def sync(timeout: float | None = None) -> bool:
    """Wait until what the default shipper has accepted is on disk, by ``Shipper.sync``."""
    return shipper().sync(timeout)


def close(timeout: float | None = None) -> FlushReport:
    """Close the default shipper, by ``Shipper.close``; then ``track()`` is refused until ``configure()``."""
    return shipper().close(timeout)


def stats() -> Stats:
    """Return the counts of the default shipper, by ``Shipper.stats``."""
    return _defaults[-1].stats()
