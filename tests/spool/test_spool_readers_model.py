"""Programs read a spool's file, for as long as they like: its bound holds; nothing is lost, or silent."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import floats, integers
from spooled import files, on_disk, reader, stats
from virtual import world

from togai_shipper._outcome import FlushReport

LARGE = 50_000  # bytes of an event
SMALL = 3_000_000  # bytes that the spool may take
SLACK = 2_000_000  # bytes: a -wal that nobody keeps, with a commit, and rows that are removed


class Readers(RuleBasedStateMachine):
    """Any number of programs that read the file, for as long as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.folder = Path(self.directory.name) / "spool"
        self.world = world(spool=str(self.folder), max_spool_bytes=SMALL, batch_size=10)
        self.readers = ExitStack()
        self.accepted = 0
        self.is_read = False

    @rule(count=integers(1, 12))
    def track(self, count: int) -> None:
        for _ in range(count):
            self.accepted += self.world.put_one(f"event-{self.accepted}", LARGE) is None
        self.world.pipeline.sync(0.0)

    @rule()
    def deliver(self) -> None:
        self.world.pipeline.flush(100)
        self.let_time_pass(0.2)  # in which what is delivered is removed

    @rule(seconds=floats(0.0, 90.0))
    def let_time_pass(self, seconds: float) -> None:
        self.world.clock.now += seconds
        self.world.pipeline.flush(0.0)

    @precondition(lambda self: files(self.folder))
    @rule()
    def begin_to_read(self) -> None:
        self.readers.enter_context(reader(files(self.folder)[0]))
        self.is_read = True

    @rule()
    def stop_reading(self) -> None:
        self.readers.close()
        self.is_read = False
        self.let_time_pass(1.0)

    @invariant()
    def the_disk_takes_no_more_than_its_bound(self) -> None:
        if self.folder.exists():
            assert on_disk(self.folder) < SMALL + SLACK, list(self.folder.iterdir())

    @invariant()
    def nothing_is_lost_and_what_is_not_safe_is_told(self) -> None:
        figures = stats(self.world)
        assert figures.delivered + figures.pending == self.accepted
        assert figures.durable or self.world.pipeline.health.complaint() is not None or not figures.delivered
        assert self.is_read or "reads it" not in str(self.world.pipeline.health.complaint())

    def teardown(self) -> None:
        self.stop_reading()
        self.deliver()
        self.let_time_pass(1.0)  # after which it is asked again whether there is room
        self.track(1)
        assert stats(self.world).durable
        self.deliver()
        assert len(self.world.server.metered) == self.accepted
        assert self.world.pipeline.close(100) == FlushReport()
        assert files(self.folder) == []
        self.directory.cleanup()


Readers.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    phases=[Phase.generate],  # to shrink takes minutes
)
TestReaders = Readers.TestCase
