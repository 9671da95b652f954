"""What goes wrong in the sandbox by chance, and the names under which a user chooses it.

A 207 is Togai's reply to a batch alone: a request with a single event, or a look-up, never meets it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from togai_shipper.sandbox import faults
from togai_shipper.sandbox.journal import Received

#: A fault by the name that a user gives it.
FAULTS: Mapping[str, faults.Fault] = {
    "503": faults.Refuse(503, "the service is unavailable"),
    "500": faults.Refuse(500, "internal error"),
    "429": faults.Throttle(retry_after=1),
    "207": faults.Partial("A"),
    "lost": faults.Html(502, ingest="all"),
    "half": faults.Html(502, ingest="half"),
    "reset": faults.Reset(ingest="all"),
    "cut": faults.Cut(),
    "slow": faults.Slow(2.0),
}


_BATCH = "/ingestBatch"


class RandomFaults:
    """Gives each request a fault with the same chance.

    Args:
        share: how many of all requests get one, 0 to 1.
        names: names of ``FAULTS``; the fault is one of them.
        seed: with the same seed the same requests get the same faults; ``None``: each run differs.
        latency: seconds that every request takes longer.

    """

    def __init__(self, share: float, names: Sequence[str], seed: int | None, latency: float) -> None:
        self._share = share
        self._faults = [FAULTS[name] for name in names]
        self._faults_of_one = [each for each in self._faults if not isinstance(each, faults.Partial)]
        self._random = Random(seed)  # noqa: S311  it guards nothing
        self._latency = latency

    def __call__(self, received: Received) -> faults.Fault | None:
        """Return the fault of this request, if it gets one."""
        possible = self._faults if received.path == _BATCH else self._faults_of_one
        is_hit = self._random.random() < self._share
        fault = self._random.choice(possible) if is_hit and possible else None
        return faults.Slow(self._latency, then=fault) if self._latency else fault
