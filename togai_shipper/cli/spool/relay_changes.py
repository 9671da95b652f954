"""Replay a relay's dead letters, or delete them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import attrs

from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.entries import MARK_BYTES, MOST_EVENTS, fields_of
from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.letters import read
from togai_shipper.spool.rows import CORRUPT, DeadLetter, is_past_window

from .change_request import ChangeResult, ChangeState
from .relay_reader import Key

MAX_BYTES = 1_000_000  # of an entry's events, but for one that is larger by itself
DAY_MS = 86_400_000  # no two events of an entry were accepted more than this apart


@attrs.frozen
class RelayChange:
    """A request to replay or to delete dead letters of a relay; whoever drains needs not be asked.

    Attributes:
        letters: the relay's dead letters.
        key: where they are.
        what: ``"replay"`` or ``"purge"``.
        now_ms: the time of the wall clock.
        is_risky: replay, too, what Togai may bill twice.

    """

    letters: DeadLetters
    key: Key
    what: str
    now_ms: int
    is_risky: bool = False

    def run(self, ids: Sequence[bytes]) -> list[ChangeResult]:
        """Change these letters, as many at once as an entry has events."""
        done = failed = 0
        why = "changed meanwhile, as by another operator: look at them, and try again"
        for start in range(0, len(ids), MOST_EVENTS):
            portion = ids[start : start + MOST_EVENTS]
            try:
                count = self._purge(portion) if self.what == "purge" else self._replay(portion)
            except RelayError as error:
                failed, why = failed + len(ids) - start, str(error)
                break
            done, failed = done + count, failed + len(portion) - count
        results = [(ChangeState.DONE, done, ""), (ChangeState.FAILED, failed, why)]
        return [
            ChangeResult(self.key, state, count, by=0, why=text) for state, count, text in results if count
        ]

    def _purge(self, ids: Sequence[bytes]) -> int:
        return self.letters.purge(self.letters.these(ids), self.now_ms)

    def _replay(self, ids: Sequence[bytes]) -> int:
        texts = self.letters.these(ids)
        found = {event_id: read(_text(event_id), text) for event_id, text in texts.items()}
        good = {event_id: letter for event_id, letter in found.items() if self._may_go(letter)}
        done = 0
        for group in _groups(good, self.now_ms):
            mark = os.urandom(MARK_BYTES)
            fields = fields_of(
                [good[event_id].body for event_id in group],
                mark,
                min(accepted(good[event_id], self.now_ms) for event_id in group),
            )
            if self.letters.replay({event_id: texts[event_id] for event_id in group}, fields):
                done += len(group)
        return done

    def _may_go(self, letter: DeadLetter) -> bool:
        return letter.reason != CORRUPT and (self.is_risky or not is_past_window(letter, self.now_ms))


def accepted(letter: DeadLetter, now_ms: int) -> int:
    """Return when the event was accepted: now, where it goes though Togai may have forgotten its id.

    That Togai knows the id until some day is said by this time alone.
    """
    return now_ms if is_past_window(letter, now_ms) else min(letter.accepted_ms, now_ms)


def _groups(letters: Mapping[bytes, DeadLetter], now_ms: int) -> Iterator[list[bytes]]:
    """Divide letters into entries: none too large, and in none two that were accepted far apart."""
    group: list[bytes] = []
    first = size = 0
    for event_id in sorted(letters, key=lambda each: accepted(letters[each], now_ms)):
        letter = letters[event_id]
        if group and (accepted(letter, now_ms) - first > DAY_MS or size + len(letter.body) > MAX_BYTES):
            yield group
            group, size = [], 0
        if not group:
            first = accepted(letter, now_ms)
        group.append(event_id)
        size += len(letter.body) + 1
    if group:
        yield group


def _text(event_id: bytes) -> str:
    return event_id.decode("utf-8", "backslashreplace")
