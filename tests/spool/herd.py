"""Processes on one spool: started, killed, heard, and judged by the ledger and the dead letters on disk."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from togai_shipper._journal import read_journals
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.file import SpoolFile
from togai_shipper.testing import FakeTogai, Received, faults

PROGRAM = Path(__file__).parent.parent / "programs" / "spooling.py"
POISON = 101  # every so many-th event of a producer is refused
KILLED = -signal.SIGKILL


class Herd:
    """Processes on one spool, and what they said."""

    def __init__(self, togai: FakeTogai, folder: Path) -> None:
        self.spool = folder / "spool"
        self._togai = togai
        self._folder = folder
        self._lifeline, self._held = os.pipe()  # every process holds an end of it, forked ones too
        self._count = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """One more process."""
        self._count += 1
        with (
            Path(self._folder / f"{self._count}.said").open("wb") as said,
            Path(self._folder / f"{self._count}.errors").open("wb") as errors,
        ):
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAM), *arguments],
                env={
                    **os.environ,
                    "TOGAI_API_KEY": "secret",
                    "TOGAI_BASE_URL": self._togai.url,
                    "TOGAI_SPOOL": str(self.spool),
                    "TOGAI_JOURNAL": "ids",
                    **environment,
                },
                stdout=said,
                stderr=errors,
                pass_fds=(self._held,),
            )
        self._processes.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> int:
        """One more process, until it ends; returns its status."""
        return self.start(*arguments, **environment).wait(110)

    def killed(self, *arguments: str) -> None:
        """One more process, which kills itself."""
        assert self.run(*arguments) == KILLED, self.errors

    def hear(self, process: subprocess.Popen[bytes], word: str) -> None:
        """Wait until it has said so, or has ended."""
        said = Path(self._folder / f"{self._processes.index(process) + 1}.said")
        while not any(line.startswith(word) for line in said.read_text().splitlines()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
                return

    def left(self, *arguments: str, word: str) -> str:
        """One more process, killed once it has said this word; which it was."""
        process = self.start(*arguments)
        self.hear(process, word)
        process.kill()
        assert process.wait() == KILLED, self.errors
        return str(process.pid)

    def killed_at_random(self, chance: random.Random, many: int, what: str) -> None:
        """Some more processes, each killed within half a second of work."""
        processes = [self.start(what) for _ in range(many)]
        for process in processes:
            self.hear(process, "ready")
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.0, 0.5 / many))
            process.kill()
            assert process.wait() == KILLED, self.errors

    def drained(self) -> None:
        """A last process sees to what is left."""
        assert self.run("drain") == 0, self.errors
        assert self.words("closed") == ["True"], (self.words("closed"), self.errors)

    def bury(self) -> None:
        """Wait until all have ended, forked ones too."""
        os.close(self._held)
        self._held = -1
        assert select.select([self._lifeline], [], [], 110)[0]
        self._lifeline, self._held = self._reopened()

    def _reopened(self) -> tuple[int, int]:
        os.close(self._lifeline)
        return os.pipe()

    def end(self) -> None:
        """Of the test."""
        for process in self._processes:
            process.kill()
            process.wait()
        os.close(self._lifeline)
        os.close(self._held)

    # --- what they said ---

    def lines(self) -> list[list[str]]:
        """Every line of every process, in order, the last of a killed one if it is whole."""
        return [
            line.split()
            for number in range(self._count)
            for line in Path(self._folder / f"{number + 1}.said").read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]

    def words(self, first: str) -> list[str]:
        """This word and what follows it, of every line that begins so."""
        return [word for line in self.lines() if line[0] == first for word in line[1:] or [first]]

    @property
    def safe(self) -> dict[str, str]:
        """The id of every event that was said to be on disk, by its name."""
        return dict(word.split("=") for word in self.words("safe"))

    @property
    def complaints(self) -> list[str]:
        """What an operator would be called for, but for the poison events that Togai refuses."""
        lines = [line for line in self.errors.splitlines() if line.startswith(("ERROR", "Traceback"))]
        return [line for line in lines if "undelivered: event was refused by the sandbox" not in line]

    @property
    def left_behind(self) -> list[str]:
        """Files that belong to nothing: all that may be there is the last process's, for its dead letters."""
        return sorted(
            path.name
            for path in self.spool.iterdir()
            if f"-{self._processes[-1].pid}-" not in path.name and path.name != NAME
        )

    @property
    def errors(self) -> str:
        """What they logged."""
        return "".join(
            Path(self._folder / f"{number + 1}.errors").read_text() for number in range(self._count)
        )


@pytest.fixture
def herd(togai: FakeTogai, tmp_path: Path) -> Iterator[Herd]:
    made = Herd(togai, tmp_path)
    yield made
    made.end()


# --- the judgement ---------------------------------------------------------------------------------------


@attrs.frozen
class Judgement:
    """Of what was said to be safe, and of what the server has."""

    safe: int
    metered: int
    dead: int
    lost: set[str]
    twice: set[str]
    buried_in_error: set[str]
    miscounted: int  # by how many the journal's count is wrong
    misnamed: set[str]  # ids that the journal has, or lacks, in error
    doubts: set[str]  # of the journal

    @property
    def is_right(self) -> bool:
        """Nothing is lost, nothing billed twice."""
        return not (self.lost or self.twice or self.buried_in_error)

    @property
    def is_counted(self) -> bool:
        """The journal says what the ledger says, and has no doubt."""
        return not (self.miscounted or self.misnamed or self.doubts)


def is_poison(event: dict[str, list[dict[str, str]]]) -> bool:
    return int(event["attributes"][0]["value"]) % POISON == 0


def dead_letters(folder: Path) -> dict[str, str]:
    """The reason of every one, by its id."""
    found = {}
    for path in folder.glob("*.db"):
        file = SpoolFile.peek(path)
        for _, letter in file.dead():
            found[letter.id] = letter.reason
        file.close()
    return found


def judged(togai: FakeTogai, herd: Herd) -> Judgement:
    metered: dict[str, list[str]] = {}
    for record in togai.ledger.records:
        if record.status == "INGESTION_COMPLETED_EVENT_METERED":
            metered.setdefault(record.event["accountId"], []).append(record.event["id"])
    dead = dead_letters(herd.spool)
    safe = herd.safe
    journals = read_journals(herd.spool)
    counts = [each for journal in journals for each in journal.counts]
    billed = {event_id for ids in metered.values() for event_id in ids}
    return Judgement(
        safe=len(safe),
        metered=len(billed),
        dead=len(dead),
        lost={name for name, event_id in safe.items() if event_id not in billed and event_id not in dead},
        twice={name for name, ids in metered.items() if len(ids) > 1} | togai.ledger.billed_twice,
        miscounted=sum(each.count for each in counts if each.fate == "delivered") - len(billed),
        misnamed=billed.symmetric_difference(
            event_id for journal in journals for each in journal.listed or () for event_id in each.ids
        ),
        doubts={journal.why_not for journal in journals if journal.why_not},
        buried_in_error=(dead.keys() & billed) | {each for each, why in dead.items() if why != "rejected"},
    )


def show(judgement: Judgement, togai: FakeTogai) -> None:
    """For who asks for it by ``-s``."""
    print(f"{judgement.safe} safe, {judgement.metered} metered, {judgement.dead} dead letters; {togai}")  # noqa: T201


def misbehave(togai: FakeTogai, seed: int) -> None:
    """Now and then; and some events are refused for good."""
    chance = random.Random(seed)
    nothing_taken = (faults.Refuse(503), faults.Reset(), faults.Throttle(0.02))
    taken = (
        faults.Refuse(503, ingest="all"),
        faults.Reset(ingest="all"),
        faults.Cut(),
        faults.Html(502, ingest="half"),
    )

    def fault(received: Received) -> faults.Fault | None:
        if chance.random() > 0.3:
            return None
        has_poison = any(map(is_poison, received.events))  # of which Togai would take nothing
        return chance.choice(nothing_taken if has_poison else nothing_taken + taken)

    togai.poison(is_poison)
    togai.on_request = fault


def behave(togai: FakeTogai) -> None:
    togai.on_request = None
