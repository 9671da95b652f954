"""The default shipper: one for the whole process, for applications that would rather not carry one around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from ._config import Options
from ._event import Attributes
from ._outcome import FlushReport, Stats
from ._shipper import Shipper

if TYPE_CHECKING:
    from typing_extensions import Unpack

_made: dict[
    str, Shipper
] = {}  # "default": the one; a dict, since its setdefault is atomic and a lock could be forked
_makers: list[Callable[..., Shipper]] = [Shipper]  # the last one makes it


def shipper() -> Shipper:
    """Return the default shipper; make it at its first use."""
    made = _made.get("default")
    return _made.setdefault("default", _makers[-1]()) if made is None else made


def made() -> Shipper | None:
    """Return the default shipper, or ``None`` where none was made yet."""
    return _made.get("default")


@contextmanager
def replaced(make: Callable[..., Shipper]) -> Iterator[None]:
    """Let ``make(**options)`` make the default shipper for the time of a test; the one before waits."""
    before = dict(_made)
    _made.clear()
    _makers.append(make)
    try:
        yield
    finally:
        _makers.pop()
        stood_in = made()
        _made.clear()
        _made.update(before)
        if stood_in is not None:
            stood_in.close()


def configure(**options: Unpack[Options]) -> None:
    """Make the default shipper, with the options of ``Shipper``; one that is there already is closed first.

    Without this the first ``track()`` makes it, with options from the environment alone.

    Raises:
        ConfigurationError: an option is missing or wrong; a default shipper that is there stays.

    """
    fresh = _makers[-1](**options)
    before = _made.get("default")
    _made["default"] = fresh
    if before is not None:
        before.close()


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


def flush(timeout: float | None = None) -> FlushReport:
    """Flush the default shipper, by ``Shipper.flush``; ``timeout`` is in seconds."""
    return shipper().flush(timeout)


def close(timeout: float | None = None) -> FlushReport:
    """Close the default shipper, by ``Shipper.close``; then ``track()`` is refused until ``configure()``."""
    return shipper().close(timeout)


def stats() -> Stats:
    """Return the counts of the default shipper, by ``Shipper.stats``."""
    return shipper().stats()
