"""A master with a replica that lags, and what loses confirmed events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from servers import RedisServer, running, until
from way import Way, way_to

QUICK_SYNC = ("--repl-diskless-sync-delay", "0")


@attrs.define
class Pair:
    """A master, its replica, and the one address under which producers and drainers know them."""

    master: RedisServer
    replica: RedisServer
    way: Way

    def lag(self) -> None:
        """Let the replica get nothing from now on; what is on its way to it is lost, too."""
        self.replica.freeze()
        self.master.client().client_kill_filter(_type="replica")

    def fail_over(self) -> None:
        """Let the replica take over as it is."""
        self.master.kill()
        self.replica.thaw()
        self.replica.client().replicaof("NO", "ONE")
        self.way.lead_to(self.replica)


@contextmanager
def pair(directory: Path) -> Iterator[Pair]:
    with running(directory / "a", *QUICK_SYNC) as master:
        of_master = ("--replicaof", f"127.0.0.1 {master.port}")
        with running(directory / "b", *QUICK_SYNC, *of_master) as replica, way_to(master) as way:
            until(lambda: replica.client().info("replication")["master_link_status"] == "up")
            yield Pair(master, replica, way)
