"""What goes wrong on purpose: fronts that pass over the demo, and mishaps by chance for the sandbox.

Both are asked by the sandbox about each request, in its server's thread.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from random import Random

import attrs

from togai_shipper.testing import Received, faults

from .workload import is_poison

# --- fronts: in order, as the demo's events arrive --------------------------------------------------------


@attrs.frozen
class Front:
    """Faults that come one after another.

    Attributes:
        title: what a viewer is told.
        after: the share of all events that has arrived when it begins.
        mishaps: one for each request, while they last.

    """

    title: str
    after: float
    mishaps: Sequence[faults.Fault]


_DOWN = faults.Refuse(503, "the service is unavailable")
_LOST = (
    faults.Html(502, ingest="all"),
    faults.Reset(ingest="all"),
    faults.Html(502, ingest="half"),
    faults.Reset(ingest="half"),
    faults.Cut(),
)

FRONTS = (
    Front("503: Togai is down", 0.10, (_DOWN,) * 8),
    Front("429: over quota, Retry-After 1", 0.25, (faults.Throttle(retry_after=1),)),
    Front("replies lost: a batch is taken, the reply is not sent", 0.40, _LOST),
    Front("207: two events of a batch are not taken", 0.55, (faults.Partial("A", bad=(0, 1)),)),
    Front("503: Togai is down again", 0.70, (_DOWN,) * 4),
)
CLEAR = "clear"
_CLEARING = 6  # requests in a row that must fare well before it counts as clear: long enough to be seen
POISONED = "400: a batch holds the poison event"


class Weather:
    """Lets fronts pass, and tells what the weather is now and has been.

    Args:
        arrived: the share of all events that has arrived.
        fronts: what comes.

    """

    def __init__(self, arrived: Callable[[], float], fronts: Sequence[Front] = FRONTS) -> None:
        self._arrived = arrived
        self._coming = deque(fronts)
        self._left: deque[faults.Fault] = deque()  # faults of the front that passes now
        self._front = CLEAR
        self._fair = 0  # requests in a row that fared well
        self.now = CLEAR
        self.past: Counter[str] = Counter()  # title -> requests it met

    def __call__(self, received: Received) -> faults.Fault | None:
        """What befalls this request. Nothing does if the poison is in it, for that must never be taken."""
        if any(map(is_poison, received.events)):
            return self._note(POISONED, None)
        if not self._left and self._coming and self._arrived() >= self._coming[0].after:
            front = self._coming.popleft()
            self._front, self._left = front.title, deque(front.mishaps)
        if self._left:
            return self._note(self._front, self._left.popleft())
        self._fair += 1
        if self._fair >= _CLEARING:
            self.now = CLEAR
        return None

    def _note(self, title: str, fault: faults.Fault | None) -> faults.Fault | None:
        self._fair = 0
        self.now = title
        self.past[title] += 1
        return fault


# --- chance: for the sandbox ------------------------------------------------------------------------------

MISHAPS: Mapping[str, faults.Fault] = {
    "503": _DOWN,
    "500": faults.Refuse(500, "internal error"),
    "429": faults.Throttle(retry_after=1),
    "207": faults.Partial("A"),
    "lost": faults.Html(502, ingest="all"),
    "half": faults.Html(502, ingest="half"),
    "reset": faults.Reset(ingest="all"),
    "cut": faults.Cut(),
    "slow": faults.Slow(2.0),
}


class Chance:
    """Each request fares ill with the same chance.

    Args:
        share: how many of all requests, 0 to 1.
        mishaps: names of ``MISHAPS``, one of which it then is.
        seed: the same requests fare the same with the same one; ``None``: no telling.
        latency: seconds that every request takes.

    """

    def __init__(self, share: float, mishaps: Sequence[str], seed: int | None, latency: float) -> None:
        self._share = share
        self._mishaps = [MISHAPS[name] for name in mishaps]
        self._random = Random(seed)  # noqa: S311  it guards nothing
        self._latency = latency

    def __call__(self, _received: Received) -> faults.Fault | None:
        """What befalls this request."""
        fault = self._random.choice(self._mishaps) if self._random.random() < self._share else None
        return faults.Slow(self._latency, then=fault) if self._latency else fault
