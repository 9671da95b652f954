"""The sandbox as tests hold it in hand."""

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
    """A stand-in for Togai: real HTTP on loopback, strict where Togai is documented, else switchable.

    Use it as a context manager, or call ``start()`` and ``stop()``. It keeps a ledger of what reached it and
    of what it would bill, so that a delivery can be judged by the receiving end::

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

    Besides the arguments below it takes every switch of ``Switches`` as a keyword; each is an attribute too,
    and may be turned while the sandbox runs.

    Attributes:
        api_key: what must come as ``Authorization: Bearer``; ``None``: anything does.
        host: the address to listen on.
        port: the port to listen on; 0: a free one, kept over a stop and a new start.

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
        """Listen; returns when it does. The ledger, requests and script stay as they were before a stop."""
        if self._server is None:
            self._server = Server(self._app.asgi, self.host, self.port)
            self.port = self._server.port
        return self

    def stop(self) -> None:
        """Close the port and drop every connection, requests that hang included.

        Raises:
            Exception: what a callback of yours (``on_request``, a predicate of poison) raised meanwhile.

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
        """The key that is good now."""
        return self._api_key

    @property
    def url(self) -> str:
        """Where it listens, for instance ``"http://127.0.0.1:49152"``."""
        if not self.port:
            raise RuntimeError("the sandbox was not started")
        return f"http://{self.host}:{self.port}"

    # --- what goes wrong ---

    def script(self, *faults: Fault | None) -> None:
        """Queue faults: the next ingestion requests take them in order, one each; ``None`` means behave."""
        self._app.script.add(*faults)

    @property
    def script_left(self) -> int:
        """How many of the queued faults no request has met yet."""
        return self._app.script.left

    @property
    def on_request(self) -> Callable[[Received], Fault | None] | None:
        """Asked about each ingestion request that finds the queue empty; returns its fault, or ``None``.

        Called in the server's thread, which serves nothing else meanwhile. What it raises, ``stop()`` raises.
        """
        return self._app.script.on_request

    @on_request.setter
    def on_request(self, callback: Callable[[Received], Fault | None] | None) -> None:
        self._app.script.on_request = callback

    def poison(
        self,
        events: str | Callable[[dict[str, Any]], Any],
        status: int = 400,
        message: str = "event was refused by the sandbox",
    ) -> None:
        """Refuse every request that holds such an event, and take nothing of it, until ``cure()``.

        Args:
            events: an id, or a predicate on an event (as a dict).
            status: the answer. 207: only such events are refused, in the shape ``partial_shape``.
            message: what is said.

        """
        self._app.script.poison(which(events), status, message)

    def cure(self) -> None:
        """Let no event be poison any more."""
        self._app.script.cure()

    def release(self) -> None:
        """Let go every request that ``faults.Hold`` holds now."""
        if self._server is not None:
            self._server.release()

    def set_api_key(self, key: str | None) -> None:
        """Change the key from now on; the old one, and tokens made from it, get 401."""
        self._api_key = key
        self._credentials.change(key)

    # --- what came of it ---

    @property
    def ledger(self) -> BillingLedger:
        """Who sent which id how often, and what of it is billed."""
        return self._app.ledger

    @property
    def requests(self) -> tuple[Answered, ...]:
        """Every request so far, oldest first, those that still wait for an answer included."""
        return self._app.journal.requests

    def wait(self, predicate: Callable[[], Any], timeout: float = 10.0) -> bool:
        """Wait until the predicate is true; whether it became so within ``timeout`` seconds.

        It is asked again whenever a request came or was answered, or the ledger changed:
        ``assert togai.wait(lambda: togai.ledger.metered == 3)``.
        """
        return self._app.journal.wait(predicate, timeout)

    def clear(self) -> None:
        """Forget ledger and requests; queue, poison and switches stay."""
        self._app.ledger.clear()
        self._app.journal.clear()
