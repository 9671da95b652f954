"""A process of the world: a shipper, threads, locks, and its own copy of what modules remember."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from togai_shipper import Shipper
from togai_shipper._config import Config
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.transport import Transport
from togai_shipper._engine.verdict import Reply
from togai_shipper._process import exits, forks
from togai_shipper._process.per_process import PerProcess
from togai_shipper._secret import Secret
from togai_shipper._shipper import _opened
from togai_shipper.spool import claims

from . import kernel
from .locks import VirtualBell

if TYPE_CHECKING:
    from togai_shipper._pipeline import Pipeline

    from .disk import SimulatedConnection
    from .network import Connection
    from .scheduler import Task
    from .world import World

# Events that are another's now, as a process tells: of a file in the spool, or of the relay.
TAKEN_OVER = re.compile(r"another process has taken over (\d+)|; (\d+) events? in memory left to it")


class Process:
    """One process, from its start to its end."""

    is_drainer = False

    def __init__(self, world: World, pid: int, slot: int) -> None:
        self.world = world
        self.pid = pid
        self.slot = slot
        self.is_alive = True
        self.is_frozen = False
        self.is_ending = False
        self.thawed_at = float("-inf")
        self.tasks: set[Task] = set()
        self.held_up: list[Task] = []
        self.locked: dict[int, int] = {}  # descriptor -> inode
        self.connections: list[SimulatedConnection] = []
        self.sockets: list[Connection] = []
        self.random = random.Random(f"process {world.plan.seed} {pid}")
        self.shipper: Shipper | None = None
        self._claims: dict[str, object] = {}  # what the package remembers of locks
        self._holding: list[Any] = []  # what it holds during a fork
        # --- what the judge knows of it ---
        self.accepted = 0
        self.tracking = 0  # calls under way
        self.short_since = 0.0  # until then its figures added up
        self.taken_over = 0  # events that are another process's now, as it has told
        self.names: set[str] = set()  # of events that are its own, or were its parent's
        self.told: set[str] = set()
        self.failing_since: float | None = None
        self.verifying: set[object] = set()  # tasks that look up whether an event is billed
        self.looked_at = 0.0
        self.lines: list[tuple[float, int, str]] = []

    def __str__(self) -> str:
        return f"process {self.pid}"

    # --- its clocks ---

    def clock(self) -> float:
        """Monotonic seconds."""
        return self.world.scheduler.now - self.world.booted_at + 1000.0

    def wall(self) -> float:
        """Seconds since 1970, as its machine has them."""
        return self.world.true_wall() + self.world.wall_is_off

    # --- running ---

    def enter(self) -> None:
        """Put its own memory where the package's modules look."""
        claims._held, forks._held = self._claims, self._holding

    def leave(self) -> None:
        """Take its memory away again."""

    def begin(self, options: dict[str, Any]) -> None:
        """Make its shipper, on a thread of its own."""
        self.shipper = shipper = Shipper(
            self.world.key_in_use,
            base_url="http://togai.test",
            allow_insecure=True,
            on_delivered=self.world.judge.delivered,
            on_error=self.world.judge.undelivered,
            on_unbilled=self.world.judge.unbilled,
            **options,
        )
        shipper._own = PerProcess(partial(_opened, shipper._config, connected, runtime=self.runtime()))

    def runtime(self) -> Runtime:
        """The world, as this process has it."""
        return Runtime(
            clock=self._clock_here,
            wall=self._wall_here,
            random=self.random.random,
            bell=VirtualBell,
            start_thread=start_thread,
            boot=lambda: f"booted at {self.world.booted_at}",
        )

    @staticmethod
    def _clock_here() -> float:
        here = kernel.process()
        return kernel.world().scheduler.now if here is None else here.clock()

    @staticmethod
    def _wall_here() -> float:
        here = kernel.process()
        return kernel.world().true_wall() if here is None else here.wall()

    @property
    def pipeline(self) -> Pipeline:
        """What its shipper has in this process."""
        assert self.shipper is not None
        return self.shipper._own.latest.pipeline

    @property
    def is_running(self) -> bool:
        """Whether it has come so far that something can be done to it."""
        return self.shipper is not None

    @property
    def has_begun(self) -> bool:
        """Whether it has a shipper of its own, by now."""
        return self.shipper is not None and self.pipeline.process.pid == self.pid

    @property
    def is_open(self) -> bool:
        """Whether its shipper takes events, or did so far."""
        return self.has_begun and not self.pipeline.shutdown.has_begun

    def do(self, what: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Let a thread of the application do something."""
        self.world.tell(self, what)
        self.world.scheduler.spawn(self, function, arguments)

    # --- its ends ---

    def fork(self, child: Process) -> None:
        """On a thread of this process: make a child, with a copy of all that is in memory."""
        forks._hold()
        shipper = object.__new__(Shipper)
        assert self.shipper is not None
        shipper.__dict__.update(self.shipper.__dict__)
        own: PerProcess[Any] = object.__new__(type(self.shipper._own))
        own.__dict__.update(self.shipper._own.__dict__)
        own.__dict__["_children"] = dict(own.__dict__["_children"])
        shipper._own = own
        child.shipper = shipper
        child._claims = {
            name: claim for name, claim in self._claims.items() if isinstance(claim, claims.Claim)
        }
        forks._let_go()
        self.world.born(child)

    def exit(self) -> None:
        """On a thread of this process: end, as an interpreter does."""
        self.is_ending = True
        begun, pending = self.world.scheduler.now, self.pipeline.pending if self.has_begun else 0
        exits.end()
        self.world.tell(self, "has ended")
        if self.is_alive and self.has_begun:
            self.world.judge.gave_up(self, begun, self.pipeline.close_timeout, pending)
        self.world.judge.ended(self)
        self.world.bury(self)

    def freeze(self) -> None:
        """Let none of its threads run."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let them run again."""
        self.is_frozen = False
        self.thawed_at = self.world.scheduler.now
        tasks, self.held_up = self.held_up, []
        self.world.scheduler.resume(tasks)

    # --- what the judge sees ---

    def began_attempt(self) -> None:
        """It sends, or tries to connect; whether an event is billed says nothing of its delivery."""
        if kernel.scheduler().task in self.verifying:
            return
        if self.failing_since is None:
            self.failing_since = self.world.scheduler.now

    def answered(self) -> None:
        """It gets, or may get, a good reply."""
        self.failing_since = None


class Seen(Transport):
    """A transport that says for what it is used."""

    def look_up(
        self,
        key: Secret[str],
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
        event_id: str | None = None,
    ) -> Reply:
        here, task = kernel.process(), kernel.scheduler().task
        assert here is not None
        if event_id is not None:
            here.verifying.add(task)
        try:
            return super().look_up(key, time_left, may_begin, event_id)
        finally:
            here.verifying.discard(task)


def connected(config: Config) -> Transport:
    """A transport by the clock of the process that runs."""
    return Seen(
        config.base_url,
        config.timeout,
        config.session_factory,
        Process._clock_here,
        allow_insecure=config.allow_insecure,
    )


def start_thread(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
    """Start a thread in the process that runs."""
    here = kernel.process()
    assert here is not None, "nobody but a process starts a thread"
    here.world.scheduler.spawn(here, function, arguments)


class Lines(logging.Handler):
    """What processes log."""

    def createLock(self) -> None:  # noqa: N802  logging's name
        """One thread at a time runs: none is needed."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        here = kernel.process()
        if here is not None:
            text = record.getMessage()
            here.lines.append((here.world.scheduler.now, record.levelno, text))
            if found := TAKEN_OVER.search(text):
                here.taken_over += int(found[1] or found[2])
            here.world.tell(here, f"logs {record.levelname}: {text}")
            if record.exc_info:
                here.world.trouble(here, record)
