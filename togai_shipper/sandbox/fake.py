"""``FakeTogai``: the sandbox, as a test uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from .app import App
from .credentials import Credentials
from .faults import Fault, which
from .server import Server
from .switches import Switches

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from .journal import Answered, Received
    from .ledger import BillingLedger


@attrs.define(eq=False, repr=False)
class FakeTogai(Switches):
    """A stand-in for Togai: real HTTP on loopback, strict where Togai documents what it does.

    Use it as a context manager, or call ``start()`` and ``stop()``. It keeps a ledger of what reached it and
    of what it would bill, so that a test can judge a delivery by what was received::

        >>> import requests
        >>> from togai_shipper.testing import FakeTogai, faults
        >>> event = {
        ...     "id": "e-1", "schemaName": "api_call", "accountId": "acme",
        ...     "timestamp": "2024-05-01T12:00:00Z",
        ...     "attributes": [{"name": "count", "value": "1"}], "dimensions": {},
        ... }
        >>> with FakeTogai(api_key="secret") as togai:
        ...     togai.script(faults.Refuse(503, ingest="all"))  # bills it, and says it did not
        ...     for attempt in range(2):
        ...         reply = requests.post(
        ...             togai.url + "/ingestBatch", json={"events": [event]},
        ...             headers={"Authorization": "Bearer secret"}, timeout=10,
        ...         )
        ...         print(reply.status_code, reply.json())
        503 {'message': 'refused by the sandbox'}
        202 {'success': True}
        >>> togai.ledger.get("e-1").accepted, togai.ledger.metered, togai.ledger.billed_twice
        (2, 1, set())

    What became of an event is looked up as at Togai: ``GET /events`` and ``/events/{id}``, ``POST /metrics``,
    ``GET /event_schema`` and ``/accounts``, ``POST /events/correction``.

    Besides the arguments below it takes every switch of ``Switches`` as a keyword; each is also an attribute,
    and may be changed while the sandbox runs.

    Attributes:
        api_key: the key that must come as ``Authorization: Bearer``; ``None``: any key is valid.
        host: the address to listen on.
        port: the port to listen on; 0: a free one, which it keeps when it is stopped and started again.

    """

    _api_key: str | None = attrs.field(default="secret")
    host: str = attrs.field(default="127.0.0.1", kw_only=True)
    port: int = attrs.field(default=0, kw_only=True)
    _credentials: Credentials = attrs.field(init=False)
    _app: App = attrs.field(init=False)
    _server: Server | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._credentials = Credentials(self._api_key, self)
        self._app = App(self, self._credentials)

    def __repr__(self) -> str:
        where = self.url if self.port else "not started"
        state = "" if self._server is not None or not self.port else ", stopped"
        return (
            f"<FakeTogai [{where}{state}, {self._app.journal.count} requests, {self.ledger.metered} metered]>"
        )

    # --- life ---

    def start(self) -> Self:
        """Listen; it does when this returns. Ledger, requests and queue are as they were before a stop."""
        if self._server is None:
            self._server = Server(self._app.asgi, self.host, self.port)
            self.port = self._server.port
        return self

    def stop(self) -> None:
        """Close the port and drop every connection, also those whose requests hang.

        Raises:
            Exception: what a callback of yours (``on_request``, a predicate of poison) has raised meanwhile.

        """
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        failure, self._app.journal.failure = self._app.journal.failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def api_key(self) -> str | None:
        """The key that is valid now."""
        return self._api_key

    @property
    def url(self) -> str:
        """Where it listens, for instance ``"http://127.0.0.1:49152"``."""
        if not self.port:
            raise RuntimeError("the sandbox was not started")
        return f"http://{self.host}:{self.port}"

    # --- what goes wrong ---

    def script(self, *faults: Fault | None) -> None:
        """Queue faults: the next ingestion requests meet them in order, one each; ``None`` is no fault."""
        self._app.script.add(*faults)

    @property
    def script_left(self) -> int:
        """How many of the queued faults no request has met yet."""
        return self._app.script.left

    def script_lookups(self, *faults: Fault | None) -> None:
        """Queue faults for look-ups and corrections: the next of these meet them in order, one each.

        What such a request asks for is not done, unless the fault is a wait. The body of ``Cut`` and ``Drip``
        begins with a 200 here.

        Raises:
            ValueError: for ``faults.Partial``, which is a reply to a batch of events.

        """
        self._app.script.add_lookups(*faults)

    @property
    def on_request(self) -> Callable[[Received], Fault | None] | None:
        """A function that is called for each ingestion request if the queue is empty, and returns its fault.

        It is called in the server's thread, which serves nothing else meanwhile. What it raises, ``stop()``
        raises.
        """
        return self._app.script.on_request

    @on_request.setter
    def on_request(self, callback: Callable[[Received], Fault | None] | None) -> None:
        self._app.script.on_request = callback

    @property
    def on_lookup(self) -> Callable[[Received], Fault | None] | None:
        """The same for each look-up and correction, if the queue of ``script_lookups`` is empty."""
        return self._app.script.on_lookup

    @on_lookup.setter
    def on_lookup(self, callback: Callable[[Received], Fault | None] | None) -> None:
        self._app.script.on_lookup = callback

    def poison(
        self,
        events: str | Callable[[dict[str, Any]], Any],
        status: int = 400,
        message: str = "event was refused by the sandbox",
    ) -> None:
        """Refuse every request that holds such an event, and accept nothing of it, until ``cure()``.

        Args:
            events: an id, or a predicate on an event (as a dict).
            status: of the reply. 207: only such events are refused, in the shape ``partial_shape``.
            message: in the reply.

        """
        self._app.script.poison(which(events), status, message)

    def cure(self) -> None:
        """Forget all poison."""
        self._app.script.cure()

    def release(self) -> None:
        """Release every request that ``faults.Hold`` holds now."""
        if self._server is not None:
            self._server.release()

    def set_api_key(self, key: str | None) -> None:
        """Change the key; from now on the old one, and tokens made from it, get a 401."""
        self._api_key = key
        self._credentials.change(key)

    # --- what came of it ---

    @property
    def ledger(self) -> BillingLedger:
        """Which id came how often, and which events are billed."""
        return self._app.ledger

    @property
    def requests(self) -> tuple[Answered, ...]:
        """Every request so far, oldest first, also those that have no reply yet."""
        return self._app.journal.requests

    def wait(self, predicate: Callable[[], Any], timeout: float = 10.0) -> bool:
        """Wait until the predicate is true; return whether it became so within ``timeout`` seconds.

        It is called again after each request, each reply, and each change of the ledger:
        ``assert togai.wait(lambda: togai.ledger.metered == 3)``.
        """
        return self._app.journal.wait(predicate, timeout)

    def clear(self) -> None:
        """Forget the ledger and the requests; queue, poison and switches stay."""
        self._app.ledger.clear()
        self._app.journal.clear()
