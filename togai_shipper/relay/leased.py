"""A connection that sends only while the lease is surely ours."""

from __future__ import annotations

from collections.abc import Callable

from togai_shipper._engine.batching import Batch
from togai_shipper._engine.destination import Connection
from togai_shipper._engine.transport import NoSession
from togai_shipper._engine.verdict import Reply
from togai_shipper._secret import Secret

from .keeper import Keeper

PATIENCE = 1.5  # seconds that a batch waits for the lease, before it goes into its backoff


class Leased:
    """Sends by another connection. Where it does not, nothing was sent, and the batch stays."""

    def __init__(self, connection: Connection, keeper: Keeper) -> None:
        self._connection = connection
        self._keeper = keeper

    def open(self) -> object:
        """Wait for the lease, and open a session. Raises ``NoSession``."""
        if not self._keeper.wait_to_send(PATIENCE):
            raise NoSession("not sent: it is not sure that this drainer still has the relay's lease")
        return self._connection.open()

    def send(
        self,
        batch: Batch,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Send, if the lease is ours still when the first byte would go."""
        return self._connection.send(batch, key, time_left, lambda: self._keeper.may_send() and may_begin())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
