"""The seam between the pipeline and where its batches go: to Togai itself, or to a relay before it.

The pipeline makes one destination, and nobody else knows which one it is. Each flusher has a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from togai_shipper._config import Config
from togai_shipper._secret import Secret

from .batching import Batch
from .verdict import Reply


class Connection(Protocol):
    """One flusher's connection. Used by one thread at a time."""

    def open(self) -> object:
        """Get ready before the turn of a batch comes. Raises ``NoSession``."""

    def send(
        self, batch: Batch, key: Secret[str], time_left: float, may_begin: Callable[[], bool] = ...
    ) -> Reply:
        """Send a batch; return the reply, or why there is none, in at most ``time_left`` seconds.

        ``may_begin`` is asked before the first byte is sent, or could be; where it says no, none is.
        """

    def look_up(
        self,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = ...,
        event_id: str | None = ...,
    ) -> Reply:
        """Make a request that changes nothing: its reply says what time it is. Raises ``NoSession``.

        ``event_id``: of the event whose records are asked for; one, whichever, where it is not given.
        """

    def close(self) -> None:
        """Close it; it may be opened again."""


class Destination(Protocol):
    """Where batches go."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    @property
    def relay(self) -> str:
        """Where it is, for people, if it is a relay; else empty."""

    @property
    def keeps(self) -> bool:
        """Whether an event that it has taken survives this process, though it may not be delivered yet."""

    @property
    def held(self) -> int:
        """Events that it has taken, and may yet have to be given again. Asked under the shipper's lock."""

    def connect(self) -> Connection:
        """Return a connection for one more flusher; nothing is sent before the first batch."""

    def figures(self) -> Mapping[str, Any]:
        """Its part of ``Stats``, by the names of its fields. Asked under the shipper's lock."""

    def settle(self) -> None:
        """Give again what it is known to have lost, until the shutdown's deadline (without the lock)."""

    def finish(self) -> None:
        """Let go of everything: all is over."""


class Togai:
    """Togai itself: what it takes is delivered."""

    name = "Togai"
    relay = ""
    keeps = False
    held = 0

    def __init__(self, config: Config, connect: Callable[[Config], Connection]) -> None:
        self._config = config
        self._connect = connect

    def connect(self) -> Connection:
        """Return a transport."""
        return self._connect(self._config)

    def figures(self) -> Mapping[str, Any]:
        """There is nothing to be told."""
        return {}

    def settle(self) -> None:
        """Togai loses nothing that it has taken."""

    def finish(self) -> None:
        """Nothing is open."""
