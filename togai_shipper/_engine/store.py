"""The seam between the line of pending events and what keeps them beyond a process's memory.

A store takes each event that is tracked, and hands it on to the buffer: at once (``Memory``), or through its
``Inlet``, once it is safe, and as there is room. It is told what became of each event, and keeps what is left
at the end: then ``save``, ``take_back`` and ``finish`` are called, in this order. The pipeline makes it, and
nobody else knows which one it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeAlias

import attrs

from togai_shipper._config import Config
from togai_shipper._outcome import Settled

from .batching import Batch
from .buffer import Buffer, PutAnswer
from .callbacks import Callbacks
from .flushers import Flushers
from .ledger import Ledger
from .log import Log
from .runtime import Runtime
from .saying import Saying
from .server_clock import ServerClock
from .shutdown import Shutdown
from .waiters import Waiters


class Store(Protocol):
    """What a shipper asks of its store. The first part is called under the shipper's lock.

    The buffer gives back the very objects that were added to it, never copies: a store may know them by their
    identity. An event whose id its caller chose is a ``ChosenId``; Togai may know that id already.
    """

    @property
    def place(self) -> str | None:
        """Where it keeps events, for the log; ``None``: nowhere."""

    @property
    def waiting(self) -> int:
        """Events accepted that are not in the buffer."""

    @property
    def coming(self) -> int:
        """How many of them will enter the buffer, behind those that are there; others are in files left."""

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which the oldest of those was accepted."""

    def note_settled(self, outcome: Settled) -> None:
        """Forget these events of the buffer, or keep them as dead letters: they have their outcome."""

    def take_back(self, left: Sequence[Batch]) -> list[Batch]:
        """Take back what is left in the buffer at the end; return what cannot be kept."""

    def complaint(self) -> str | None:
        """Why events are not as safe as they should be."""

    def figures(self) -> Mapping[str, Any]:
        """The store's part of ``Stats``, by the names of its fields."""

    def put(self, event: bytes) -> PutAnswer:
        """Take one encoded event, or say why not; ``"wake"``: taken, and ``wake`` is to be called.

        Called with the lock or without it, so it takes the lock itself.
        """

    # --- without the lock ---

    def stir(self) -> None:
        """Tell others how the shipper stands, where it does so: that has changed."""

    def wake(self) -> None:
        """See to it that somebody looks after what ``put`` has taken."""

    def begin_flush(self, *, works: bool) -> None:
        """Look for what earlier processes have left; ``works``: this thread may do the store's work."""

    def work_here(self) -> bool:
        """Do the store's own work here, if no thread of its own does; return whether there was some."""

    def sync(self, timeout: float, *, waits: bool = True) -> bool:
        """Return whether all that was accepted so far is durable; wait ``timeout`` seconds for it at most."""

    def save(self) -> None:
        """Make durable what can be, since the end is near."""

    def finish(self) -> None:
        """Let go of everything: the buffer has given back what was left."""


class Inlet:
    """A store's way into the line: what it hands in, and what it has to account for.

    All but ``wake`` is called under the shipper's lock. It counts, and tells nobody: a store that settles or
    loses events calls the ``Callbacks`` itself, without the lock, and wakes a flusher for those it deferred.
    """

    def __init__(self, buffer: Buffer, waiters: Waiters, ledger: Ledger, flushers: Flushers) -> None:
        self._buffer = buffer
        self._waiters = waiters
        self._ledger = ledger
        self._flushers = flushers
        self.progress = waiters.progress  # the bell that tells those who wait: for room, or until all is safe
        self.has_room = buffer.has_room  # asked for each event: without a call more
        self.over_lane = buffer.over_lane
        self.lane_room = buffer.lane_room
        self.is_caused = buffer.lane_entry.is_caused

    @property
    def count(self) -> int:
        """Events in the buffer."""
        return self._buffer.count

    @property
    def size(self) -> int:
        """Bytes of the events in the buffer."""
        return self._buffer.size

    @property
    def room_taken(self) -> tuple[int, int]:
        """How many events, and bytes, in the buffer leave no room for others."""
        return self._buffer.room_taken

    @property
    def seeks_unlike(self) -> bool:
        """Whether the line is parked until an event is found that is unlike those in the buffer."""
        return self._buffer.seeks_unlike

    def events(self) -> Iterator[bytes]:
        """All events in the buffer."""
        return self._buffer.events()

    def add(self, events: Sequence[bytes], since: float, *, known: bool = False) -> None:
        """Put events of one age into the buffer; ``wake`` is to be called once the lock is let go.

        ``known``: Togai may know their ids.
        """
        self._buffer.add_from_store(events, since, known=known)

    def note_known(self) -> None:
        """Note that another process may send all that is in the buffer, too: its file was left."""
        self._buffer.note_known()

    def wake(self) -> None:
        """See to it that a flusher looks at what was added, or does the store's work (without the lock)."""
        self._flushers.wake()

    def note_overtaking(self, count: int, after: int) -> None:
        """Note that events were added right after the first ``after`` ones that wait in the store.

        A flush() that waits for later ones waits for these, too.
        """
        self._waiters.overtake(count, self._buffer.position + after)

    def note_set_aside(self, events: Iterable[bytes], over: AbstractSet[int]) -> None:
        """Note of events that were to come in now which ones the store sets aside, by their identities."""
        position = self._buffer.position
        for event in events:
            if id(event) in over:
                self._waiters.set_aside(position)
            else:
                position += 1

    def note_back(self, event: bytes | None) -> None:
        """Note that the first one of those comes in now; ``None``: it never does."""
        self._waiters.come_back(event)

    def forget_aside(self) -> None:
        """Note that those stay where they are: their file was left."""
        self._waiters.forget_aside()

    def settle(self, outcome: Settled, *, waited_for: bool = False) -> None:
        """Count events that got their outcome in the store; ``waited_for``: somebody may wait for them."""
        self._ledger.record(outcome)
        if waited_for:
            self._waiters.count_lost(len(outcome.events))

    def lose(self, count: int) -> None:
        """Note that so many events belong to another process now: no flush() reports them as delivered."""
        self._waiters.count_lost(count)

    def withdraw(self, *, on_its_way: bool = True) -> None:
        """Take events out of the buffer, for good: they belong to another process now.

        ``on_its_way``: those that flushers carry, too; a reply that still comes for one changes nothing.
        """
        buffer = self._buffer
        left = buffer.give_up() if on_its_way else buffer.give_up_waiting()
        self.lose(sum(map(len, left)))


@attrs.frozen
class Surroundings:
    """What a store may need of the pipeline that it belongs to; ``ended``: a thread of the store's has."""

    config: Config
    runtime: Runtime
    lock: threading.RLock
    shutdown: Shutdown
    buffer: Buffer
    flushers: Flushers
    inlet: Inlet
    log: Log
    callbacks: Callbacks
    server_clock: ServerClock
    saying: Saying
    ended: Callable[[], None]


MakeStore: TypeAlias = Callable[[Surroundings], Store]


class Memory:
    """The store that keeps nothing: an event goes into the buffer at once, and what is left is given up."""

    place = None
    waiting = 0
    coming = 0

    def __init__(self, buffer: Buffer, flushers: Flushers) -> None:
        self._buffer = buffer
        self._flushers = flushers

    def put(self, event: bytes) -> PutAnswer:
        """Take the event into the buffer."""
        answer = self._buffer.put(event)
        return answer if answer is not None or self._flushers.available else "wake"

    def stir(self) -> None:
        """Nobody is told."""

    def wake(self) -> None:
        """See to it that a flusher looks at the buffer."""
        self._flushers.wake()

    def oldest_since(self) -> None:
        """Nothing waits here."""

    def note_settled(self, outcome: Settled) -> None:
        """Nothing is to be forgotten."""

    def take_back(self, left: Sequence[Batch]) -> list[Batch]:
        """Keep nothing of it."""
        return list(left)

    def complaint(self) -> None:
        """Events are as safe as they should be."""

    def figures(self) -> Mapping[str, Any]:
        """There is nothing to be told."""
        return {}

    def begin_flush(self, *, works: bool) -> None:
        """Nothing was left by earlier processes."""

    def work_here(self) -> bool:
        """There is no work but the flushers'."""
        return False

    def sync(self, timeout: float, *, waits: bool = True) -> bool:  # noqa: ARG002  the seam's
        """Nothing is durable."""
        return False

    def save(self) -> None:
        """Nothing can be made durable."""

    def finish(self) -> None:
        """Nothing is open."""
