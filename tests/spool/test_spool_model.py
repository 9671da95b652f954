"""The model of test_model.py with a spool: processes are killed, and disks are full; the rules hold.

What ``sync()`` has called safe is, in the end, in the server's ledger or a dead letter, whatever happened;
an event's bytes never change, in no process. Mutants that this catches: rows removed before the request is
sent; an event sent again with another id; an orphan removed before its events were copied.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from spooled import die, files
from sqlite_handles import fill, make_room
from test_model import Life
from virtual import WALL, Sent, world

from togai_shipper import Event
from togai_shipper._engine.verdict import Reply
from togai_shipper.spool.file import SpoolFile

EXAMPLES = int(os.environ.get("TOGAI_TEST_EXAMPLES", "40"))


class SpoolLife(Life):
    """Track, commit, send, be killed, start again, adopt; fill the disk, and make room; grow too old."""

    @initialize(batch_size=st.integers(1, 7), in_flight=st.integers(1, 4), singles=st.integers(0, 3))
    def start(self, batch_size: int, in_flight: int, singles: int) -> None:
        self.options = {
            "batch_size": batch_size,
            "max_in_flight": in_flight,
            "single_ingest_limit": singles,
            "max_queue_size": 20,
            "on_delivered": lambda events: self.end("delivered", events),
            "on_error": self.on_error,
        }
        self.folder = Path(tempfile.mkdtemp()) / "spool"
        self.tracked = 0
        self.fates = []
        self.all: set[str] = set()
        self.safe: set[str] = set()
        self.told: set[str] = set()
        self.doubtful: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """A process starts."""
        before = getattr(self, "world", None)
        self.accepted: list[str] = []
        self.ends: dict[str, str] = {}
        self.world = world(spool=str(self.folder), **self.options)
        self.world.server.answer = self.serve
        if before is not None:
            self.world.clock.now = before.clock.now
            self.world.server.metered = before.server.metered
            self.world.server.seen = before.server.seen  # events never change, in no process

    def serve(self, sent: Sent) -> Reply:
        reply = super().serve(sent)
        return Reply(
            reply.status, reply.body, reply.retry_after, reply.error, date=WALL + self.world.clock.now
        )

    def end(self, how: str, events: tuple[Event, ...]) -> None:
        super().end(how, events)
        self.told |= {event.id for event in events}

    @rule(count=st.integers(1, 12))
    def track(self, count: int) -> None:
        before = len(self.accepted)
        super().track(count)
        self.all |= set(self.accepted[before:])

    @rule()
    def sync(self) -> None:
        if self.world.pipeline.sync(1.0):
            self.safe |= set(self.accepted)

    @rule()
    def be_killed(self) -> None:
        die(self.world)
        self.begin()

    @rule(seconds=st.sampled_from((0.0, 3.0)))
    @precondition(lambda self: len(self.accepted) > 5)
    def close(self, seconds: float) -> None:
        self.world.pipeline.close(seconds)
        stats = self.world.pipeline.health.stats()
        assert "closed" not in stats.dropped or not stats.durable
        self.safe |= set(self.accepted) - self.told
        self.the_ledger_balances()
        self.begin()

    # No precondition looks at the pipeline: in what order orphans are adopted depends on their random names.

    @rule()
    def mend(self) -> None:
        self.world.pipeline.set_api_key("another")

    @rule(change=st.sampled_from((fill, make_room)))
    def fill_or_free_the_disk(self, change: Callable[[Path], None]) -> None:
        change(self.folder)

    @rule()
    def weeks_pass(self) -> None:
        self.world.clock.now += 41 * 86_400

    @invariant()
    def the_ledger_balances(self) -> None:
        stats = self.world.pipeline.health.stats()
        settled = stats.delivered + stats.rejected + sum(stats.dropped.values())
        assert stats.accepted == settled + stats.pending
        assert stats.accepted == len(self.accepted) + stats.recovered
        assert stats.spooled <= stats.pending
        assert stats.in_flight == 0

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.fates = []
        make_room(self.folder)
        self.track(1)  # the reply to it says what time it is
        for _ in range(60):  # a look around, a file opened, a piece moved: each is a step of its own here
            self.world.pipeline.set_api_key("right")
            self.world.clock.now += 100
            self.world.pipeline.flush(1000)
        assert self.world.pipeline.close(100).pending == 0
        dead: set[str] = set()
        for path in files(self.folder):
            file = SpoolFile.peek(path)
            assert file.pending() == (0, 0)
            dead |= {letter.id for _, letter in file.dead()}
            file.close()
        metered = set(self.world.server.metered)
        assert self.safe <= metered | dead
        assert metered | dead <= self.all
        shutil.rmtree(self.folder.parent)


TestSpoolLife = SpoolLife.TestCase
TestSpoolLife.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
