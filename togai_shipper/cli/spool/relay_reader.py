"""Read the events in a relay, pending and dead, one after another; and check what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs

from togai_shipper._event import is_encoded
from togai_shipper.cli.formats import plural
from togai_shipper.relay.dead_letters import DeadLetters
from togai_shipper.relay.entries import Entry, NotOurs, read
from togai_shipper.relay.letters import read as read_letter
from togai_shipper.relay.link import Link
from togai_shipper.relay.survey import FACTS, KINDS, Survey, facts
from togai_shipper.spool.rows import CORRUPT

from .events import StoredEvent
from .verification import Findings

PAGE = 20  # entries in memory at once; one has 16 MB at most
MAX_NAMED = 5  # entries that are named, of those that are not ours


@attrs.frozen
class Key:
    """A key of the relay, and an entry of it."""

    name: str
    entry: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.entry}".rstrip()


class RelayReader:
    """Reads every event, in little memory; ``problems`` says what is not ours. All raise ``RelayError``."""

    def __init__(self, link: Link, letters: DeadLetters) -> None:
        self._link = link
        self._letters = letters
        self.problems: list[str] = []
        self.ids: list[bytes] = []  # of the letters that were read, by their numbers

    def dead(self) -> Iterator[StoredEvent]:
        """Read every dead letter."""
        key, seen = Key(self._link.keys["dead"]), set[bytes]()
        for event_id, text in self._letters.each():
            if event_id in seen:
                continue
            seen.add(event_id)
            self.ids.append(event_id)
            letter = read_letter(event_id.decode("utf-8", "backslashreplace"), text)
            yield StoredEvent(key, len(self.ids), letter.body, letter.accepted_ms, letter)

    def pending(self) -> Iterator[StoredEvent]:
        """Read every event that waits for the drainer."""
        foreign = 0
        for entry_id, found in self._entries():
            if isinstance(found, str):
                foreign += 1
                if foreign <= MAX_NAMED:
                    self.problems.append(f"{self._link.keys['events']} {entry_id}: {found}; it is not sent")
                continue
            key = Key(self._link.keys["events"], entry_id)
            for number, body in enumerate(found.events, 1):
                yield StoredEvent(key, number, bytes(body), found.accepted_ms)
        if foreign > MAX_NAMED:
            self.problems.append(f"and {plural(foreign - MAX_NAMED, 'entry', 'entries')} more like these")

    def findings(self, before: Survey) -> Iterator[Findings]:
        """Read all that there is, and say what is wrong with it."""
        wrong, keys = before.wrong_kinds, self._link.keys
        for part in KINDS:
            if keys[part] in wrong:
                problem = f"it is a {wrong[keys[part]]}, not a {KINDS[part]}: somebody else uses this name"
                yield Findings(Key(keys[part]), problems=(problem,))
        if keys["events"] not in wrong:
            stream = self._stream()
            yield stream
            yield Findings(
                Key(keys["relay"]), problems=(*_odd_facts(before), *self._miscounted(before, stream))
            )
        if keys["dead"] not in wrong:
            corrupt = Counter(
                letter.message
                for event in self.dead()
                if (letter := event.letter) and letter.reason == CORRUPT
            )
            problems = (f"{plural(count, 'dead letter')}: {why}" for why, count in corrupt.items())
            yield Findings(
                Key(keys["dead"]),
                dead=len(self.ids) - corrupt.total(),
                is_readable=True,
                problems=tuple(problems),
            )

    def _stream(self) -> Findings:
        pending = sum(1 for _ in self.pending())
        prefix = f"{self._link.keys['events']} "
        problems = tuple(problem.removeprefix(prefix) for problem in self.problems)
        return Findings(Key(self._link.keys["events"]), pending=pending, is_readable=True, problems=problems)

    def _miscounted(self, before: Survey, stream: Findings) -> Iterator[str]:
        """Say how far the relay's count differs from its stream, if nothing has come or gone meanwhile."""
        count = before.number("events")
        is_quiet = not stream.problems and facts(self._link) == before.facts
        if is_quiet and count != stream.pending:
            yield f"it counts {plural(count, 'event')}, and the stream has {stream.pending:,}"

    def _entries(self) -> Iterator[tuple[str, Entry | str]]:
        """Yield each entry, or why it is none of ours."""
        after = "0"
        while page := self._link.read(after, PAGE):
            for entry_id, fields in page:
                yield entry_id, _checked(entry_id, fields)
            after = page[-1][0]


def _checked(entry_id: str, fields: dict[bytes, bytes]) -> Entry | str:
    try:
        entry = read(entry_id, fields)
    except NotOurs as error:
        return str(error)
    wrong = [number for number, body in enumerate(entry.events, 1) if not is_encoded(bytes(body))]
    return f"number {wrong[0]} in it is no event" if wrong else entry


def _odd_facts(found: Survey) -> Iterator[str]:
    """Say what is wrong with the relay's hash."""
    if not found.facts:
        if found.entries:
            yield "it is gone, and with it what was counted; the entries are delivered all the same"
        return
    texts, of_drainers = {"epoch", "base_url", "key", "trying"}, {"key", "trying"}
    for name in FACTS:
        text = found.facts.get(name)
        if text is None and name not in of_drainers:
            yield f"its field {name} is missing"
        elif text is not None and name not in texts and not text.lstrip("-").isdecimal():
            yield f"its field {name} is no number"
