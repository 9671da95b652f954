"""A connection that sends only while the lease is surely ours, and Redis knows that our key is tried."""

from __future__ import annotations

from collections.abc import Callable

from togai_shipper._engine.batching import Batch
from togai_shipper._engine.destination import Connection
from togai_shipper._engine.transport import NoSession
from togai_shipper._engine.verdict import Reply
from togai_shipper._secret import Secret

from .lease_keeper import Keeper

PATIENCE = 1.5  # seconds that a batch waits for the lease, before it goes into its backoff


class Leased:
    """Sends by another connection. Where it does not, nothing was sent, and the batch stays."""

    def __init__(self, connection: Connection, keeper: Keeper, tell_key: Callable[[], object]) -> None:
        self._connection = connection
        self._keeper = keeper
        self._trial = keeper.trial
        self._tell_key = tell_key

    def open(self) -> object:
        """Wait for the lease, and open a session. Raises ``NoSession``."""
        if not self._keeper.wait_to_send(PATIENCE):
            raise NoSession("not sent: it is not sure that this drainer still has the relay's lease")
        self._trial.want()
        self._tell_key()
        return self._connection.open()

    def send(
        self,
        batch: Batch,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Send, if the lease is ours still when the first byte would go."""
        request = object()
        reply = self._connection.send(
            batch,
            key,
            time_left,
            lambda: self._keeper.may_send() and self._trial.begin(request) and may_begin(),
        )
        self._trial.end(request, reply)
        self._tell_key()  # before anybody acts by the reply: an entry leaves the stream after that
        return reply

    def look_up(
        self,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
        event_id: str | None = None,
    ) -> Reply:
        """Look something up, if the lease is ours. Redis need not know of it: Togai takes nothing by that."""
        if not self._keeper.wait_to_send(PATIENCE):
            return Reply(None, error="the relay's lease may be another's", sent=False)
        return self._connection.look_up(
            key, time_left, lambda: self._keeper.may_send() and may_begin(), event_id
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
