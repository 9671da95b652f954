"""What goes wrong in the demo, and when: phases of faults, which begin one after another as events arrive.

The sandbox asks for the fault of each request, in its server's thread.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

import attrs

from togai_shipper.testing import Received, faults

from .workload import is_poison


@attrs.frozen
class FaultPhase:
    """Several faults, one after another.

    Attributes:
        title: what the viewer reads.
        after: the share of all events that has arrived when the phase begins.
        faults: one for each request, while they last.

    """

    title: str
    after: float
    faults: Sequence[faults.Fault]


_DOWN = faults.Refuse(503, "the service is unavailable")
_LOST = (
    faults.Html(502, ingest="all"),
    faults.Reset(ingest="all"),
    faults.Html(502, ingest="half"),
    faults.Reset(ingest="half"),
    faults.Cut(),
)

PHASES = (
    FaultPhase("503: Togai is down", 0.10, (_DOWN,) * 8),
    FaultPhase("429: over quota, Retry-After 1", 0.25, (faults.Throttle(retry_after=1),)),
    FaultPhase("replies lost: a batch is accepted, its reply is not sent", 0.40, _LOST),
    FaultPhase("207: two events of a batch are not accepted", 0.55, (faults.Partial("A", bad=(0, 1)),)),
    FaultPhase("503: Togai is down again", 0.70, (_DOWN,) * 4),
)
CLEAR = "none"  # what the viewer reads while nothing goes wrong
_CLEARING = 6  # requests in a row without a fault before it counts as clear: long enough to be seen
POISONED = "400: a batch holds the poison event"


class FaultPlan:
    """Gives each request the fault that is due, and knows what goes wrong now and what went wrong before.

    Args:
        arrived: returns the share of all events that has arrived.
        phases: what is to go wrong, in order.

    """

    def __init__(self, arrived: Callable[[], float], phases: Sequence[FaultPhase] = PHASES) -> None:
        self._arrived = arrived
        self._coming = deque(phases)
        self._left: deque[faults.Fault] = deque()  # faults that the present phase still has
        self._title = CLEAR  # of the present phase
        self._unharmed = 0  # requests in a row that met no fault
        self.now = CLEAR
        self.past: Counter[str] = Counter()  # title -> how many requests met it

    def __call__(self, received: Received) -> faults.Fault | None:
        """Return the fault of this request: none if the poison is in it, which must never be accepted."""
        if any(map(is_poison, received.events)):
            return self._note(POISONED, None)
        if not self._left and self._coming and self._arrived() >= self._coming[0].after:
            phase = self._coming.popleft()
            self._title, self._left = phase.title, deque(phase.faults)
        if self._left:
            return self._note(self._title, self._left.popleft())
        self._unharmed += 1
        if self._unharmed >= _CLEARING:
            self.now = CLEAR
        return None

    def _note(self, title: str, fault: faults.Fault | None) -> faults.Fault | None:
        self._unharmed = 0
        self.now = title
        self.past[title] += 1
        return fault
