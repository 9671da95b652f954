"""What the scripts are to do, in plain Python.

``test_scripts_model`` holds it beside a real Redis, and the simulated world runs the relay on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from togai_shipper.relay.answers import Done
from togai_shipper.relay.entries import size_of
from togai_shipper.relay.journal import Counts
from togai_shipper.spool.journal import days_before

DIGITS = 15  # of the time that an entry says
Fields = dict[bytes, bytes]


def new_figures(**more: int) -> dict[str, int]:
    return {"bytes": 0, "events": 0, "in": 0, "out": 0, "lost": 0, "dead": 0, **more}


@attrs.define
class Relay:
    """What the keys of a relay hold."""

    stream: dict[str, Fields] = attrs.field(factory=dict)
    has_stream: bool = False
    last_id: tuple[int, int] = (0, 0)
    epoch: str = ""
    words: dict[str, str] = attrs.field(factory=dict)  # of the hash; the epoch aside
    figures: dict[str, int] = attrs.field(factory=dict)  # likewise
    dead: dict[str, bytes] = attrs.field(factory=dict)
    lease: str = ""
    head: dict[str, str] = attrs.field(factory=dict)  # what the journal is; its id aside
    journal: dict[str, Counter[str]] = attrs.field(factory=dict)  # what left, by day
    producers: dict[bytes, bytes] = attrs.field(factory=dict)  # what each says of itself

    def copy(self) -> Relay:
        """What a replica has of it; entries and letters never change."""
        return attrs.evolve(
            self,
            stream=dict(self.stream),
            words=dict(self.words),
            figures=dict(self.figures),
            dead=dict(self.dead),
            head=dict(self.head),
            journal={day: Counter(counts) for day, counts in self.journal.items()},
            producers=dict(self.producers),
        )

    def facts(self) -> dict[str, str]:
        """All of the hash."""
        named = {"epoch": self.epoch} if self.epoch else {}
        return {**self.words, **named, **{name: str(it) for name, it in self.figures.items()}}

    @property
    def is_founded(self) -> bool:
        """Whether its hash says what it is; a key may be noted in it before that."""
        return "v" in self.words

    @property
    def holder(self) -> str:
        return self.lease.rpartition(":")[0]

    def _found(self, base_url: str, epoch: str, oldest: int) -> None:
        self.words |= {"v": "1", "base_url": base_url}
        self.epoch = epoch
        self.figures |= new_figures(oldest=oldest)

    def _count(self, **by: int) -> None:
        for name, number in by.items():
            self.figures[name] = self.figures.get(name, 0) + number

    def _lose_the_rest(self) -> None:
        """No entry is left; what is still counted was lost."""
        if self.is_founded:
            self._count(lost=self.figures["events"])
            self.figures |= {"events": 0, "bytes": 0}

    # --- ADD ---

    def add(self, fields: Fields, base_url: str, most: int, epoch: str = "") -> str:
        """Count an entry, which ``append`` puts in: ``ok``; or say why not."""
        count, accepted = int(fields[b"n"]), int(fields[b"t"])
        if self.words.get("base_url", base_url) != base_url:
            return "foreign"
        if (self.figures["bytes"] if self.is_founded else 0) + size_of(fields) > most:
            return "full"
        if not self.is_founded:
            self._found(base_url, epoch, accepted)
        if not self.has_stream:
            self._lose_the_rest()
        self._come_in(fields, count, accepted)
        return "ok"

    def _come_in(self, fields: Fields, count: int, accepted: int) -> None:
        if not self.figures["events"] or accepted < self.figures["oldest"]:
            self.figures["oldest"] = accepted
        self._count(**{"events": count, "bytes": size_of(fields), "in": count})

    def append(self, entry_id: str, fields: Fields) -> None:
        """Put an entry in, whoever's it is."""
        assert entry_id not in self.stream
        self.stream[entry_id], self.has_stream = fields, True

    def next_id(self, now_ms: int) -> str:
        """The id that a stream gives next: never one that is smaller than the last."""
        last_ms, number = self.last_id
        self.last_id = (now_ms, 0) if now_ms > last_ms else (last_ms, number + 1)
        return f"{self.last_id[0]}-{self.last_id[1]}"

    # --- SETTLE ---

    def settle(
        self, done: Sequence[Done], most_dead: int, counts: Counts | None = None
    ) -> tuple[list[str], list[str]]:
        removed, kept, taken = [], [], []
        before = self.figures.get("out", 0)
        for each in done:
            taken.append(False)
            if self.stream.get(each.id, {}).get(b"k") != each.mark:
                continue
            if each.letters and len(self.dead) + len(each.letters) > most_dead:
                kept.append(each.id)
                continue
            self.dead |= each.letters
            del self.stream[each.id]
            removed.append(each.id)
            taken[-1] = True
            if self.is_founded:
                self._leave(each.count, each.size)
        if self.is_founded:
            self.figures["dead"] = len(self.dead)
        first = next(iter(self.stream.values()), None)
        if first is None:
            self._lose_the_rest()
        elif self.is_founded and first.get(b"t", b"").isdigit() and len(first[b"t"]) <= DIGITS:
            self.figures["oldest"] = int(first[b"t"])
        if counts is not None:
            self._count_leaving(counts, taken, before, self.figures.get("out", 0))
        return removed, kept

    def _count_leaving(
        self, counts: Counts, taken: Sequence[bool], before: int | None = None, after: int | None = None
    ) -> None:
        """What left is in the journal; an entry that had gone before is not."""
        if not any(taken) and not counts.doubt:
            return
        noted, days = int(self.head.get("out", 0)), f"{self.head.get('day', '')}..{counts.day}"
        now = str(counts.now_ms)
        self.head = {"since_ms": now, **self.head, "v": "1", "day": counts.day, "until_ms": now}
        if before is not None:
            self.head["out"] = str(after)
            if before < noted:
                self.head[f"gone {days}"] = "1"
            elif before > noted:
                name = f"uncounted {days}"
                self.head[name] = str(int(self.head.get(name, 0)) + before - noted)
        if counts.doubt:
            self.head.setdefault(f"doubt {counts.day}", counts.doubt)
        left = sum((Counter(each) for each, left in zip(counts.each, taken, strict=True) if left), Counter())
        if left:
            self._add_to_day(counts.day, left)

    def _add_to_day(self, day: str, left: Counter[str]) -> None:
        name, is_first = f"total {day}", f"total {day}" not in self.head
        self.head[name] = str(int(self.head.get(name, 0)) + left.total())
        self.journal.setdefault(day, Counter()).update(left)
        if is_first:
            oldest = days_before(day, 90)
            self.head = {
                name: value for name, value in self.head.items() if " " not in name or name[-10:] >= oldest
            }

    def _leave(self, count: int, size: int) -> None:
        """What nobody has counted came in all the same; no figure is below 0."""
        uncounted = max(0, count - self.figures["events"])
        self._count(**{"in": uncounted, "events": uncounted - count, "out": count})
        self.figures["bytes"] = max(0, self.figures["bytes"] - size)

    # --- PART ---

    def part(self, entry_id: str, mark: bytes, size: int, parts: Sequence[Fields]) -> bool:
        """Whether the entry was there, and is gone; ``append`` puts its parts in."""
        if self.stream.get(entry_id, {}).get(b"k") != mark:
            return False
        del self.stream[entry_id]
        if self.is_founded:
            self.figures["bytes"] = max(0, self.figures["bytes"] - size + sum(map(size_of, parts)))
        return True

    # --- SAY ---

    def say(self, who: bytes, text: bytes, most: int) -> str:
        """Note how a producer stands, or that it has ended; how they are forgotten in time is left out."""
        if not text:
            self.producers.pop(who, None)
        elif who not in self.producers and len(self.producers) >= most:
            return "many"
        else:
            self.producers[who] = text
        return "ok"

    # --- RECOUNT ---

    def recount(self, owner: str, last: str, entries: int, events: int, size: int) -> bool:
        """Whether the owner leads, and has read all that is there; then it is counted as it says."""
        is_all = entries == len(self.stream) and all(_place(each) <= _place(last) for each in self.stream)
        if self.holder != owner or not is_all or not self.is_founded:
            return False
        more = events - self.figures["events"]
        self._count(**{"in": max(0, more), "lost": max(0, -more)})
        self.figures |= {"events": events, "bytes": size}
        return True

    # --- REPLAY and PURGE ---

    def replay(self, letters: Sequence[str], fields: Fields, count: int, accepted: int) -> None:
        """Count letters that ``append`` puts in again."""
        if not self.stream:
            self._lose_the_rest()
        self._come_in(fields, count, accepted)
        self.bury_no_more(letters)

    def purge(self, letters: Sequence[str], counts: Counts) -> None:
        self.bury_no_more(letters)
        self._count_leaving(counts, [True for _ in letters])

    def bury_no_more(self, letters: Sequence[str]) -> None:
        for each in letters:
            del self.dead[each]
        if self.is_founded:
            self.figures["dead"] = len(self.dead)

    # --- KEY ---

    @property
    def _tried(self) -> str:
        return self.words.get("trying", "").partition(" ")[0]

    def _bars(self, key: str) -> str:
        """The fingerprint that bars this one; empty: none does."""
        known = self.words.get("key") or self._tried
        return "" if key in (self.words.get("key"), self._tried) else known

    def _try(self, owner: str, key: str) -> None:
        if not self.words.get("key") and self._tried:
            self.words["key"] = self._tried
        self.words["trying"] = f"{key} {owner}"

    def tell_key(self, word: str, owner: str, key: str, *, new_key: bool) -> tuple[str, str]:
        """Return what is known of the key then, or ``key`` and which one bars it."""
        if word == "refused" and self.words.get("trying") == f"{key} {owner}":
            self.words["trying"] = ""
        elif word == "taken" and self._tried == key:
            self.words |= {"key": key, "trying": ""}
        elif word == "try" and key not in (self.words.get("key"), self._tried):
            if self.holder != owner:
                return "none", self.lease
            if (bar := self._bars(key)) and not new_key:
                return "key", bar
            self._try(owner, key)
        if self.words.get("key") == key:
            return "taken", self.lease
        return "tried" if self._tried == key else "none", self.lease

    # --- LEASE ---

    def speak(  # noqa: PLR0911  what the script says, one return each
        self,
        act: str,
        owner: str,
        seen: str = "",
        *,
        key: str = "",
        new_key: bool = False,
        base_url: str = "",
        epoch: str = "",
    ) -> tuple[str, str]:
        """Return what LEASE says: a word, and the lease, or whose the relay is."""
        before = self.lease
        if act == "look":
            return "seen", before
        if act == "release":
            self.lease = "released" if self.holder == owner else before
            return "released", before
        if act == "renew":
            if self.holder != owner:
                return "lost", before
            self.lease = f"{owner}:{int(before.rpartition(':')[2]) + 1}"
            return "held", self.lease
        if before != seen:
            return "seen", before
        if self.words.get("base_url", base_url) != base_url:
            return "foreign", self.words["base_url"]
        if (bar := self._bars(key)) and not new_key:
            return "key", bar
        if not self.is_founded:
            self._found(base_url, epoch, 0)
        if bar:
            self._try(owner, key)
        self.lease = f"{owner}:1"
        return "held", self.lease


def _place(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
