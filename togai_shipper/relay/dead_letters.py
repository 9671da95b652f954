"""The dead letters of a relay, for those who look at them, replay and delete them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .answers import text_of
from .entries import FORMAT, size_of
from .errors import Foreign
from .journal import Counts, counted
from .letters import read
from .link import Link
from .scripts import PURGE, REPLAY, Script

PAGE = 500


class DeadLetters:
    """The hash of dead letters: a text under each event's id. All raise ``RelayError``."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._key = link.keys["dead"]

    def each(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every id with its text, in no order; one may come twice."""
        cursor, is_first = 0, True
        while cursor or is_first:
            after, found = self._link.ask("HSCAN", self._key, cursor, "COUNT", PAGE)
            cursor, is_first = int(after), False
            yield from found.items()

    def count(self) -> int:
        """Return how many there are."""
        return int(self._link.ask("HLEN", self._key))

    def these(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the texts of these letters, without those that are gone."""
        found = self._link.ask("HMGET", self._key, *ids)
        return {each: text for each, text in zip(ids, found, strict=True) if text is not None}

    def replay(self, letters: Mapping[bytes, bytes], fields: Mapping[bytes, bytes]) -> bool:
        """Replace letters by an entry with their events, if all are as they were read; return whether."""
        flat = [part for item in fields.items() for part in item]
        entry = [int(fields[b"n"]), size_of(fields), int(fields[b"t"]), *flat]
        return self._take(REPLAY, letters, entry) is not None

    def purge(self, letters: Mapping[bytes, bytes], now_ms: int) -> int:
        """Delete those of these letters that are as they were read; return how many that are.

        The journal counts them.
        """
        bodies = [(read(text_of(event_id), text).body,) for event_id, text in letters.items()]
        return self._take(PURGE, letters, [], counted(bodies, "purged", now_ms)) or 0

    def _take(
        self,
        script: Script,
        letters: Mapping[bytes, bytes],
        entry: Sequence[Any],
        counts: Counts | None = None,
    ) -> int | None:
        """Return how many letters were taken; ``None`` where one of them is gone, and so none was."""
        seen = [
            part
            for event_id, text in letters.items()
            for part in (event_id, hashlib.sha1(text, usedforsecurity=False).hexdigest())
        ]
        arguments = [FORMAT, len(letters), *seen, *entry]
        word, *said = self._link.run(script, ("events", "relay", "dead"), arguments, counts)
        if word == "none":
            raise Foreign("nothing was ever handed over under this name")
        self._link.heed(word, said, good=("ok", "gone"))
        return None if word == "gone" else int(said[0])
