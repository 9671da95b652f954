"""Whether Togai takes a drainer's key, and what Redis knows of that.

    try -> request -> taken: the key is the relay's | refused: Redis forgets that it was tried

Two accounts' keys must never drain one relay, and a mistyped key must not bar the right one. So Redis is told
before the first request that may be taken; and told that there was none, once Togai has refused them all.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, TypeAlias

from togai_shipper._engine.verdict import Accepted, Park, Partly, Reply, TryLater, judge

Word: TypeAlias = Literal["try", "taken", "refused"]
Known: TypeAlias = Literal["taken", "tried", "none"]


NO_ANSWER = "one that has no answer"


class KeyTrial:
    """What one drainer knows of its key. Any thread may come at any time: each line is one step by itself."""

    def __init__(self) -> None:
        self.known: Known = "none"  # what Redis knows of the key, since we have the lease
        self._may_be_taken: set[Hashable] = set()  # requests
        self._is_wanted = False
        self._is_taken = False
        self._is_refused = False

    # --- requests ---

    def want(self) -> None:
        """Note that a request is about to go."""
        self._is_wanted = True

    def begin(self, request: Hashable) -> bool:
        """Return whether a request may go; it may be taken from then on."""
        if self.known == "taken":
            return True
        # Noted first: who is about to say that there is none looks for some after having set ``known``.
        self._may_be_taken.add(request)
        if self.known != "none":
            return True
        self._may_be_taken.discard(request)
        return False

    def end(self, request: Hashable, reply: Reply) -> None:
        """Note what came of a request."""
        if request not in self._may_be_taken:
            return
        verdict = judge(reply)
        is_refused = isinstance(verdict, Park) and verdict.status in (401, 403)
        is_void = is_refused or (isinstance(verdict, TryLater) and not verdict.maybe_read)
        if not is_void or reply.repeated:
            self._may_be_taken.add(NO_ANSWER)
        self._may_be_taken.discard(request)
        if isinstance(verdict, (Accepted, Partly)):
            self._is_taken = True
        elif is_refused:
            self._is_refused = True

    # --- Redis ---

    @property
    def word(self) -> Word | None:
        """What Redis is to be told; ``None``: nothing."""
        if self._is_taken:
            return None if self.known == "taken" else "taken"
        if self._is_refused and not self._may_be_taken:
            return "refused"
        return "try" if self._is_wanted and self.known == "none" else None

    def begin_to_tell(self, word: Word) -> bool:
        """Return whether the word is true still; let no request go if it says that there is none."""
        if word == "refused":
            known, self.known = self.known, "none"
            if self._may_be_taken:  # one has begun just now
                self.known = known
                return False
        return True

    def told(self, word: Word, known: Known) -> None:
        """Note what Redis knows, after it was told."""
        self.known = known
        if word == "taken":
            self._is_taken = known == "taken"
        else:
            self._is_refused = self._is_wanted = False

    def end_all(self) -> None:
        """Note that no request will follow: if none can have been taken, Redis need not know of any."""
        self._is_wanted = False
        self._is_refused = self._is_refused or self.known == "tried"

    def forget(self) -> None:
        """Note that Redis may not know what it was told."""
        self.known = "none"


def tried_key(trying: str) -> str:
    """Return the fingerprint of the key with which a request may have been taken, as Redis says it."""
    return trying.partition(" ")[0]
