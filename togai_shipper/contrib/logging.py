"""A handler that makes events of log records: of those that carry ``extra={"togai": …}``, and of no others.

::

    import logging
    from togai_shipper.contrib.logging import Handler

    usage = logging.getLogger("usage")
    usage.setLevel(logging.INFO)       # what is below the level is not billed: give usage a logger of its own
    usage.addHandler(Handler(shipper))

    usage.info("rendered", extra={"togai": {
        "schema_name": "render", "account_id": "acme", "attributes": {"pages": 12},
    }})
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from togai_shipper import InvalidEvent, Shipper, _default
from togai_shipper._event import fresh_id

FIELDS = (
    "schema_name",
    "account_id",
    "attributes",
    "dimensions",
    "timestamp",
    "event_id",
    "idempotency_key",
)


class Handler(logging.Handler):
    """Tracks each record's ``togai``: a mapping of what ``Shipper.track`` takes, under the same names.

    Without a ``timestamp`` the event has the time at which the record was made. Without an id of yours it has
    one that stays on the record, as ``togai_event_id``: however many handlers get it, Togai bills it once.

    The shipper's own log records are no events, nor are those of its requests, nor what its callbacks log on
    its threads: those count as ``refused["feedback"]``.

    It never raises, and waits only where ``overflow="block"`` does. What is no event (a field is missing,
    unknown or wrong) is counted in ``stats().refused["invalid"]``, logged once a minute under
    ``togai_shipper``, and told to ``on_error``. What the shipper is told to raise (``strict``,
    ``overflow="raise"``) goes the way of all that logging handlers raise: to stderr, unless
    ``logging.raiseExceptions`` is false.

    Args:
        shipper: the one to track with (default: that of ``togai_shipper.track``).
        level: of the records that are looked at; all by default.

    >>> from togai_shipper import Shipper
    >>> usage = logging.getLogger("usage")
    >>> usage.setLevel(logging.INFO)
    >>> with Shipper(enabled=False) as shipper:
    ...     usage.addHandler(Handler(shipper))
    ...     usage.info("signed in")
    ...     usage.info("rendered", extra={"togai": {"schema_name": "render", "account_id": "acme"}})
    >>> shipper.stats().refused["disabled"]
    1

    """

    def __init__(self, shipper: Shipper | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._shipper = shipper

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter a record and track it, without the lock that other handlers take: ``track()`` needs none."""
        passed: Any = self.filter(record)  # since Python 3.12 a filter may give another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Track what the record carries, if anything."""
        usage = getattr(record, "togai", None)
        if usage is None:
            return
        try:
            self._track(usage, record)
        except Exception:  # the shipper's, told to raise
            self.handleError(record)

    def _track(self, usage: Any, record: logging.LogRecord) -> None:
        shipper = self._shipper or _default.shipper()
        if not isinstance(usage, Mapping):
            problem = f"must be a mapping, not {type(usage).__name__}"
        elif unknown := [name for name in usage if name not in FIELDS]:
            problem = f"has unknown {unknown[0]!r:.60}; there is {', '.join(FIELDS)}"
        else:
            given: dict[str, Any] = {"schema_name": None, "account_id": None, **usage}
            if "timestamp" not in given:
                given["timestamp"] = datetime.fromtimestamp(record.created, timezone.utc)
            if given.get("event_id") is None and given.get("idempotency_key") is None:
                # Another handler, here or behind a queue, may be given this record, too: one id, billed once.
                given["event_id"] = record.__dict__.setdefault("togai_event_id", fresh_id())
            shipper.track(**given)
            return
        error = InvalidEvent("togai", problem)
        shipper._intake.refuse_invalid(error, usage)  # noqa: SLF001  track() knows no such field
