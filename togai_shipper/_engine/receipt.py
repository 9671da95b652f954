"""A receipt: the future of an event's outcome, which is light while nobody waits for it.

A future of the standard library has a condition, a queue and two lists from the start: 1.5 kB. Here they are
made by who first waits, or leaves a callback; whoever settles a receipt that nobody has asked by then needs
none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

from togai_shipper._outcome import Outcome

DoneCallback: TypeAlias = Callable[[Future[Outcome]], object]
RUNNING, FINISHED = "RUNNING", "FINISHED"  # as the standard library calls the states of a future


class _Settled:
    """Stands for the condition of a receipt that is settled, and so waited for by nobody."""

    def acquire(self) -> None:
        """Hold nobody up."""

    def release(self) -> None:
        """Hold nobody up."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_settled = _Settled()


class Receipt(Future[Outcome]):
    """The future of one event's outcome. It cannot be cancelled, since no event can be recalled.

    Who waits takes its condition and then looks at its state. Who settles it puts ``_settled`` in the place
    of the condition, in one step, and only where there is none: that is its state from then on.
    """

    _result = _exception = None

    def __init__(self, outcome: Outcome | None = None) -> None:  # Future's own would make all of it
        if outcome is not None:
            self.settle_unseen(outcome)

    def __getattr__(self, name: str) -> Any:
        """Make what a future of the standard library has from the start, and this one has not."""
        own, fresh = vars(self), vars(Future())
        if name not in fresh:
            raise AttributeError(name)
        del fresh["_state"], fresh["_result"]  # those are its own
        for each, value in fresh.items():  # one by one: two threads may be here, and a third one settles it
            own.setdefault(each, value)
        return own[name]

    def __getstate__(self) -> Any:
        """Refuse to be copied or pickled: nobody would ever settle the other one. Raises ``TypeError``."""
        raise TypeError("a receipt cannot be copied or pickled")

    @property
    def _state(self) -> str:
        own = vars(self)
        return FINISHED if own.get("_condition") is _settled else own.get("state", RUNNING)

    @_state.setter
    def _state(self, state: str) -> None:
        vars(self)["state"] = state

    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._state == FINISHED

    def settle_unseen(self, outcome: Outcome) -> bool:
        """Set the outcome if nobody has waited, or left a callback; return whether that was so.

        It runs no code of the application's. Where somebody has, ``settle_watched`` is to be called.
        """
        own = vars(self)
        own["_result"] = outcome
        return own.setdefault("_condition", _settled) is _settled

    def settle_watched(self, outcome: Outcome) -> list[DoneCallback]:
        """Set the outcome and wake who waits for it; return the callbacks, which are to be called."""
        with self._condition:
            self._result = outcome
            self._state = FINISHED
            for waiter in self._waiters:
                waiter.add_result(self)
            self._condition.notify_all()
            return list(self._done_callbacks)
