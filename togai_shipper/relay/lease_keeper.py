"""The keeper of a drainer's lease: it asks Redis, tells it of the key, and says whether a request may go."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from togai_shipper._engine.bell import Bell
from togai_shipper._engine.runtime import FOREVER

from .errors import Foreign, another_key
from .key_trial import KeyTrial, tried_key
from .lease import WAIT, Lease
from .link import Link


class Keeper:
    """Keeps the lease for one drainer. One thread calls ``step``; any may ask the rest."""

    def __init__(
        self,
        link: Link,
        owner: str,
        clock: Callable[[], float],
        bell: Bell,
        *,
        fingerprint: str,
        base_url: str,
        new_key: bool = False,
    ) -> None:
        self._link = link
        self._clock = clock
        self._fingerprint = fingerprint
        self._base_url = base_url
        self._new_key = new_key  # until Togai has taken something with that
        self.trial = KeyTrial()
        self.bell = bell  # rung when requests may go
        self.lease = Lease(owner)  # replaced as a whole: it is read without a lock

    @property
    def owner(self) -> str:
        """Who we are."""
        return self.lease.owner

    def may_send(self) -> bool:
        """Whether a request may go now."""
        return self.lease.may_send(self._clock())

    def wait_to_send(self, seconds: float) -> bool:
        """Return whether a request may go; wait for that, so many seconds at most."""
        until = self._clock() + seconds
        while True:
            rings = self.bell.rings
            now, lease = self._clock(), self.lease
            if lease.may_send(now) or now >= until:
                return lease.may_send(now)
            self.bell.wait(rings, min(until - now, max(0.0, lease.taken + WAIT - now) or until - now))

    def step(self) -> None:
        """Look, take or renew, if that is due. Raises ``RelayError``."""
        lease, now = self.lease, self._clock()
        if now < lease.due_at():
            return
        act = lease.next_act(now)
        self.lease = lease.unanswered(now)
        word, said = self._link.lease(
            act,
            lease.owner,
            lease.said or "",
            fingerprint=self._fingerprint,
            new_key=self._new_key,
            base_url=self._base_url,
        )
        is_held = word == "held"
        if not lease.is_held:
            self.trial.forget()
        self.lease = lease.answered(now, self._clock(), is_held=is_held, said=said)
        if is_held:
            self.bell.ring()

    def tell_key(self) -> None:
        """Tell Redis what is new about the key. Raises ``RelayError``."""
        trial = self.trial
        while (word := trial.word) and trial.begin_to_tell(word):
            known = self._link.tell_key(word, self.owner, self._fingerprint, new_key=self._new_key)
            trial.told(word, known)
            self._new_key = self._new_key and known != "taken"

    def check(self, facts: Mapping[str, str]) -> None:
        """Raise ``Foreign`` where we cannot get the lease: the relay has another base URL, or key."""
        known, tried = facts.get("key", ""), tried_key(facts.get("trying", ""))
        is_known = self._fingerprint in (known, tried)
        if self.lease.is_held:
            if not is_known:
                self.trial.forget()
            return
        if facts.get("base_url", self._base_url) != self._base_url:
            raise Foreign(f"the relay is for {facts['base_url']}, and we ship to {self._base_url}")
        # One that is tried does not bar us yet: Togai may refuse it. The lease is not given to us meanwhile.
        if known and not is_known and not self._new_key:
            raise another_key(known, self._fingerprint)

    def note_lost(self, said: str) -> None:
        """Note that somebody else has it, as the answer to something else says."""
        now = self._clock()
        self.lease = self.lease.answered(now, now, is_held=False, said=said)

    def release(self) -> None:
        """Let another one take it at once; nothing is sent from now on. Raises ``RelayError``."""
        lease = self.lease
        self.lease = Lease(lease.owner, asked=FOREVER)
        self.trial.end_all()
        self.tell_key()
        if lease.is_held or lease.holder == lease.owner:
            self._link.lease("release", lease.owner)
