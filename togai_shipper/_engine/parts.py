"""What one shipper is made of in one process. The pipeline puts it together."""

from __future__ import annotations

import threading

import attrs

from togai_shipper._config import Config

from .asking import Asking
from .buffer import Buffer
from .callbacks import Callbacks
from .delivery import Delivery
from .destination import Destination
from .flushers import Flushers
from .gate import Gate
from .key import Key
from .ledger import Ledger
from .line import Line
from .log import Log
from .receipts import Receipts
from .reporting import Reporter
from .runtime import Runtime
from .shutdown import Shutdown
from .store import Store
from .verifying import Verifying


@attrs.frozen
class Parts:
    """Each part, by its name. All of them share the lock and the shutdown."""

    config: Config
    runtime: Runtime
    lock: threading.RLock
    shutdown: Shutdown
    key: Key
    ledger: Ledger
    receipts: Receipts
    log: Log
    callbacks: Callbacks
    reporter: Reporter
    gate: Gate
    buffer: Buffer
    store: Store
    line: Line
    flushers: Flushers
    destination: Destination
    delivery: Delivery
    asking: Asking
    verifying: Verifying
