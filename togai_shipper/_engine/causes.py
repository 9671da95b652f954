"""Why events are rejected, as far as what they share tells: facts in, decisions out. Pure, and bounded.

A cause is a trait (an account, a schema, both together, or a shape: the names in an event) of which all that
was tried lately was rejected, and nothing accepted. Of several the narrowest one is taken. One acceptance
ends it.

How many rejections it takes depends on how many events are rejected at all: so many that by chance alone it
would happen to one trait in a milliard. Where Togai rejects everything, nothing is to be learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

import attrs

from togai_shipper._event import Trait, id_of, traits_of
from togai_shipper._outcome import Rejected

from .batching import Batch
from .settlement import Settlement
from .verdict import Accepted, Partly, Refused, Verdict

LEAST = 3  # rejections that make a cause, at least
CHANCE = 1e-9  # how likely those may be where rejections have nothing to do with each other
MOST_SUSPECTS = 1000  # traits of which rejections are counted
MOST_KNOWN = 100
LATELY = 600.0  # seconds after which a cause that no rejection confirms is over
SOON = 60.0  # seconds: a cause that is over within them was none, and takes twice as many the next time
MOST_DOUBLINGS = 6
COUNTED = 20_000  # events on which the share of rejected ones is reckoned: older ones count ever less


@attrs.frozen
class Cause:
    """What is known of a cause.

    Attributes:
        trait: what its events have in common.
        example: the id of one that was rejected.
        traits: all that that one has in common with others.
        since: monotonic seconds at which it was learnt.

    """

    trait: Trait
    example: str
    traits: Sequence[Trait]
    since: float

    def __str__(self) -> str:
        kind, _ = self.trait
        which = "names (its shape)" if kind == "shape" else kind
        return f"the {which} of event {self.example}"


@attrs.frozen
class Learnt:
    """What a reply has taught: a cause more, or some that are over."""

    found: Sequence[Cause] = ()
    over: Sequence[Cause] = ()


def accepted_of(batch: Batch, verdict: Verdict) -> Sequence[bytes]:
    """Return the events of ``batch`` that Togai takes, by its word on each."""
    match verdict:
        case Accepted(relayed=False):
            return batch.events
        case Partly(named=named) if named and not batch.single:
            ids = list(map(id_of, batch.events))
            if named.keys() <= set(ids):
                return [
                    event for event_id, event in zip(ids, batch.events, strict=True) if event_id not in named
                ]
    return ()


def rejected_of(batch: Batch, verdict: Verdict, settlement: Settlement) -> Sequence[bytes]:
    """Return those that Togai does not take, by its word on each, for what others may share with them.

    That is neither an id that is known, nor a size.
    """
    match verdict:
        case Partly(named=named) if named and not batch.single:
            by_id = {id_of(event): event for event in batch.events}
            if named.keys() <= by_id.keys():
                return [by_id[event_id] for event_id, said in named.items() if not said.duplicate]
        case Partly() | Refused() if _is_rejected(settlement) and not _is_its_own(batch, verdict):
            return batch.events
    return ()


def is_refused_alone(batch: Batch, verdict: Verdict) -> bool:
    """Whether Togai refuses one event by itself, for what others may share with it."""
    return len(batch) == 1 and isinstance(verdict, (Partly, Refused)) and not _is_its_own(batch, verdict)


def _is_its_own(batch: Batch, verdict: Partly | Refused) -> bool:
    """Whether an event is refused for what no other shares: its id, or its size."""
    if isinstance(verdict, Partly):
        return verdict.named.get(id_of(batch.events[0]), verdict.refusal).duplicate
    return verdict.duplicate or verdict.too_large


def _is_rejected(settlement: Settlement) -> bool:
    return any(isinstance(outcome, Rejected) for outcome in settlement.outcomes)


class Causes:
    """What one shipper has learnt. Touched only while holding its lock, but where it says otherwise."""

    def __init__(self) -> None:
        self.known: dict[
            Trait, Cause
        ] = {}  # another one whenever it changes: who reads it may be interrupted
        self._is_shape_known = False  # one of them is a shape, which takes time to read
        self._is_shape_suspect = False
        self._confirmed: dict[Trait, float] = {}  # when Togai last rejected an event of a known one
        self._suspects: dict[Trait, int] = {}  # rejections of a trait of which nothing was accepted since
        self._doublings: dict[Trait, int] = {}
        self._accepted = self._rejected = 0.0  # events of late

    @property
    def is_curious(self) -> bool:
        """Whether it matters what accepted events have in common; read without the lock, too."""
        return bool(self._suspects or self.known)

    def of(self, event: bytes) -> Trait | None:
        """Return the known cause for which an event would be rejected, the narrowest one."""
        known = self.known
        for trait in traits_of(event, shape=self._is_shape_known):
            if trait in known:
                return trait
        return None

    def is_suspect(self, event: bytes) -> bool:
        """Whether events of the same account and schema were rejected, and none accepted since."""
        both = traits_of(event, shape=False)[:1]
        return not both or self._suspects.get(both[0], 0) > 0 or both[0] in self.known

    def at_work(self, now: float, waits_for: Callable[[Trait], bool]) -> Cause | None:
        """Return the latest cause by which events were rejected a moment ago, or for which some wait."""
        self.forget_old(now)
        for trait in reversed(self.known):
            if now - self._confirmed[trait] < SOON or waits_for(trait):
                return self.known[trait]
        return None

    # --- facts ---

    def traits_of_all(self, events: Iterable[bytes]) -> set[Trait]:
        """Return what any of these events has in common with others, as far as it matters.

        Called without the lock.
        """
        shape = self._is_shape_known or self._is_shape_suspect
        traits: set[Trait] = set()
        for event in events:
            traits.update(traits_of(event, shape=shape))
        return traits

    def note_accepted(self, count: int, traits: AbstractSet[Trait], now: float) -> list[Cause]:
        """Note that Togai took ``count`` events, which have these traits; return the causes that are over."""
        self._count(accepted=count)
        if not traits:
            return []
        if cleared := self._suspects.keys() & traits:
            for trait in cleared:
                del self._suspects[trait]
            self._is_shape_suspect = _has_shape(self._suspects)
        over = [cause for trait, cause in self.known.items() if trait in traits]
        for cause in over:
            self._end(cause.trait)
            if now - cause.since < SOON:
                self._double([trait for trait in cause.traits if trait in traits])
        return over

    def note_rejected(self, event: bytes, now: float) -> Cause | None:
        """Note that Togai does not take this event; return the cause, if that has made one known."""
        traits = traits_of(event)
        is_explained = False
        for trait in traits:
            if trait in self.known:
                self._confirmed[trait] = now
                is_explained = True
        if is_explained:
            return None
        self._count(rejected=1)
        for trait in traits:
            _keep(self._suspects, trait, self._suspects.pop(trait, 0) + 1)
        self._is_shape_suspect = True
        self.forget_old(now)
        needed = self._needed()
        for trait in traits:
            if self._suspects[trait] >= needed * 2 ** self._doublings.get(trait, 0):
                return self._learn(trait, event, now)
        return None

    def note_refused(self, event: bytes) -> None:
        """Note that Togai refuses this event while the line is parked: that is not believed.

        But of a second one that is like it, all those are suspected.
        """
        for trait in traits_of(event, shape=False)[:1]:
            before = self._suspects.pop(trait, -1)
            _keep(self._suspects, trait, max(before, min(1, before + 1)))

    def _double(self, traits: Sequence[Trait]) -> None:
        for trait in traits:
            doubled = self._doublings.pop(trait, 0) + 1
            _keep(self._doublings, trait, min(MOST_DOUBLINGS, doubled))

    def forget_old(self, now: float) -> None:
        """End the causes that nothing has confirmed lately."""
        for trait in [trait for trait, at in self._confirmed.items() if now - at > LATELY]:
            self._end(trait)

    def _learn(self, trait: Trait, event: bytes, now: float) -> Cause | None:
        if len(self.known) >= MOST_KNOWN:
            return None
        cause = Cause(trait, id_of(event), traits_of(event), now)
        self._know({**self.known, trait: cause})
        self._confirmed[trait] = now
        del self._suspects[trait]
        return cause

    def _end(self, trait: Trait) -> None:
        self._know({each: cause for each, cause in self.known.items() if each != trait})
        del self._confirmed[trait]

    def _know(self, causes: dict[Trait, Cause]) -> None:
        self._is_shape_known = _has_shape(causes)
        self.known = causes

    def _count(self, accepted: int = 0, rejected: int = 0) -> None:
        self._accepted += accepted
        self._rejected += rejected
        most = COUNTED / max(COUNTED, self._accepted + self._rejected)
        self._accepted *= most
        self._rejected *= most

    def _needed(self) -> float:
        """How many rejections, and no acceptance, make a cause now."""
        share = self._rejected / (self._accepted + self._rejected)
        return math.inf if share >= 1.0 else max(LEAST, math.ceil(math.log(CHANCE) / math.log(share)))


def _has_shape(traits: Iterable[Trait]) -> bool:
    return any(kind == "shape" for kind, _ in traits)


def _keep(counts: dict[Trait, int], trait: Trait, count: int) -> None:
    """Note a count as the latest one; the one that was noted before all others is forgotten."""
    counts[trait] = count
    if len(counts) > MOST_SUSPECTS:
        del counts[next(iter(counts))]
