"""One world: a machine with processes, a disk and a network, and a Togai; it does what its plan says."""

from __future__ import annotations

import logging
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from togai_shipper._process import exits, forks, per_process
from togai_shipper._process.registry import Registry

from . import kernel
from .actions import ACTIONS
from .disk import Disk
from .drainer import RELAY, DrainerProcess
from .judge import Judge
from .plan import DRAINERS, Plan
from .process import Lines, Process
from .redis_server import Redis, Trap
from .scheduler import Scheduler, Task, Violation
from .togai import Togai
from .weather import Internet

WALL = 1_790_000_000.0  # true epoch seconds at which the world begins
DAY = 86_400.0
PATIENCE = 3 * 3600.0  # seconds of fair weather after which nothing may be pending
RELAY_OPTIONS = ("relay_replicas", "relay_hold", "max_relay_bytes")
SHM = Path("/dev/shm")  # noqa: S108  a file system in memory


@attrs.define
class Result:
    """How a world ended."""

    plan: Plan
    failure: str | None
    steps: int
    counts: Counter[str]
    story: list[str]


class World:
    """What there is, and what happens."""

    def __init__(self, plan: Plan, folder: Path, *, tells: bool = False) -> None:
        self.plan = plan
        self.tells = tells
        self.story: list[tuple[float, str]] = []
        self.counts: Counter[str] = Counter()
        self.scheduler = Scheduler(plan.seed, preempting=plan.preempting)
        self.judge = Judge(self)
        self.togai = Togai(plan.seed, self.judge)
        self.internet = Internet(plan.seed, self, self.togai)
        self.disk = Disk(folder / "spool")
        self.redis = Redis(plan.seed, self, says_who_it_is=plan.relay.get("says_who_it_is", True))
        self.traps: list[Trap] = []
        self._due: list[Callable[[], None]] = []  # what is done once the task that runs has stopped
        self.processes: list[Process] = []  # those alive
        self.slots: dict[int, Process] = {}
        self.key_in_use = self.first_key = self.togai.key
        self.booted_at = 0.0
        self.wall_was_set = False  # by days, at any time
        self.wall_is_off = 0.0
        self.is_mended = False
        self.skipped = 0.0  # seconds of days in which nothing ran
        self._pids = 100
        self.scheduler.after_step = self._after_step

    def _after_step(self, task: Task) -> None:
        while self._due:
            self._due.pop()()
        self.judge.look(task)

    def true_wall(self) -> float:
        """What time it really is, and what Togai says it is."""
        return WALL + self.scheduler.now

    # --- the story ---

    def tell(self, process: Process | None, what: str) -> None:
        """Note what happens, for who reads it."""
        if self.tells:
            self.story.append((self.scheduler.now, f"{process or 'world'}: {what}"))

    def count(self, what: str) -> None:
        """Count what was done to somebody."""
        self.counts[what] += 1

    def trouble(self, process: Process, record: logging.LogRecord) -> None:
        """The package has logged an exception: which, if it is not the application's."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and "application" not in str(error):
            text = "".join(traceback.format_exception(error)).strip()
            self.scheduler.fail(f"{process} logged an exception: {record.getMessage()}\n{text}")

    # --- processes ---

    def made(self, slot: int) -> Process:
        """A process that is about to be."""
        self._pids += 1
        kind = DrainerProcess if slot >= DRAINERS else Process
        return kind(self, self._pids, slot)

    def options(self, process: Process) -> dict[str, Any]:
        """What a process is started with."""
        if process.is_drainer:
            return dict(self.plan.relay["drainer"])
        options = dict(self.plan.options)
        if self.plan.spool:
            options["spool"] = str(self.disk.spool)
        if self.plan.spool and not self.plan.relay:
            options["journal"] = "ids"
        if self.plan.relay:
            options |= {"relay": RELAY, **{name: self.plan.relay[name] for name in RELAY_OPTIONS}}
        return options

    def spring(self, process: Process, script: str, when: str) -> None:
        """On a thread of the process, which has a script run: see whether there is a trap for it."""
        for trap in [
            each for each in self.traps if (each.slot, each.script, each.when) == (process.slot, script, when)
        ]:
            trap.left -= 1
            if trap.left:
                continue
            self.traps.remove(trap)
            self.count(f"trapped {when} {script}")
            if trap.fate == "freeze":
                self.tell(process, f"is frozen {when} {script}")
                process.freeze()
                self.scheduler.sleep(1e-6)
            else:
                self._due.append(lambda: self.kill(process))
                self.scheduler.wait(None)

    def born(self, process: Process) -> None:
        """It is there from now on."""
        self.processes.append(process)
        self.slots[process.slot] = process

    def bury(self, process: Process) -> None:
        """It is dead, however that came."""
        process.is_alive = False
        if process in self.processes:
            self.processes.remove(process)
        self.disk.crash(process)
        kernel.close_all(process)
        self.scheduler.abandon(process)

    def kill(self, process: Process) -> None:
        """Kill -9."""
        self.tell(process, "is killed")
        self.bury(process)
        self.judge.killed([process], lied=False)

    # --- its course ---

    def live(self) -> None:
        """Do what the plan says, then mend everything, and see what became of all events."""
        for entry in self.plan.entries:
            self.scheduler.run(entry.at + self.skipped)
            self.count(f"do {entry.kind}")
            ACTIONS[entry.kind](self, entry)
        self.mend()
        self.settle()
        self.drain()
        self.judge.final()

    def mend(self) -> None:
        """Let everything be well from now on."""
        self.tell(None, "all is mended")
        self.is_mended = True
        self.internet.clear()
        self.disk.fault = None
        self.wall_is_off = 0.0
        self.traps.clear()
        self.redis.mend()
        self.togai.heals = True
        self.togai.limit = 10**9
        for process in list(self.processes):
            process.thaw()
            if self.key_in_use != self.togai.key and process.shipper is not None:
                process.do("gets the new key", process.shipper.set_api_key, self.togai.key)
        self.key_in_use = self.togai.key

    def settle(self) -> None:
        """Wait until all that is pending in processes is settled, with nobody's help."""
        if not self._wait_until(lambda: not self._waiting()):
            for process in self._waiting():
                self.judge.stuck(process)
            return
        if self.plan.relay:
            self._settle_relay()
        if self.plan.spool or not self.plan.relay:
            self.scheduler.run(self.scheduler.now + 130.0)  # a disk that failed is tried again
        self.judge.well(self.processes)

    def _wait_until(self, is_done: Callable[[], bool]) -> bool:
        until, step = self.scheduler.now + (PATIENCE / 8 if self.plan.relay else PATIENCE), 2.0
        while not is_done():
            if self.plan.relay:
                self._keep_drainers()
            if self.scheduler.now > until:
                return False
            self.scheduler.run(self.scheduler.now + step)
            step = min(120.0, step * 1.5)
        return True

    def _waiting(self) -> list[Process]:
        return [each for each in self.processes if each.is_open and each.pipeline.pending]

    def _settle_relay(self) -> None:
        """Wait until Redis is proven to producers, and all that it has is drained."""
        if not self._wait_until(self._is_drained):
            self.judge.relay.stuck()

    def _keep_drainers(self) -> None:
        """Be the operator: two drainers run, with the key that is right."""
        for process in self.processes:
            if (
                isinstance(process, DrainerProcess)
                and not process.is_ending
                and process.key != self.togai.key
            ):
                process.do("ends, for the new key", process.exit)
        for slot in (DRAINERS, DRAINERS + 1):
            ACTIONS["start"](self, self.plan.entry("start", slot))

    def _is_drained(self) -> bool:
        producers = [each for each in self.processes if each.is_open and not each.is_drainer]
        if any(each.pipeline.destination.held for each in producers):
            return False
        return any(isinstance(each, DrainerProcess) and each.leads_and_is_done for each in self.processes)

    def drain(self) -> None:
        """End all processes; let a last one deliver what is on disk, and end."""
        self._end([each for each in self.processes if not each.is_drainer])
        if self.plan.spool and self.disk.spool.exists():
            self._drain_spool()
        if self.plan.relay:
            self._settle_relay()
            self._end(self.processes)

    def _end(self, processes: Sequence[Process]) -> None:
        ending = list(processes)
        for process in ending:
            process.do("ends", process.exit)
        for _ in range(12):
            if any(each.is_alive for each in ending):
                self.scheduler.run(self.scheduler.now + 10.0)
        for process in ending:
            if process.is_alive:
                self.judge.fail(f"{process} does not end")

    def _drain_spool(self) -> None:
        ACTIONS["start"](self, self.plan.entry("start", 0))
        ACTIONS["track"](self, self.plan.entry("track", 0, 1))  # the reply says what time it is
        self._wait_until(lambda: not self.judge.waits_on_disk())
        self._end([self.slots[0]])


def live(plan: Plan, *, tells: bool = False) -> Result:
    """Let a world live by its plan, and say how it went. Needs ``kernel.simulated()``."""
    exits._over.clear()
    exits._expecting.clear()
    exits._orphans.clear()
    exits._pipelines = Registry()
    forks._watched = Registry()
    per_process._inherited.clear()
    logger = logging.getLogger("togai_shipper")
    logger.handlers, logger.propagate = [Lines()], False
    logger.setLevel(logging.INFO)
    folder = Path(tempfile.mkdtemp(prefix="world-", dir=SHM if SHM.is_dir() else None))
    failure = None
    world = World(plan, folder, tells=tells)
    try:
        with kernel.running(world):
            world.live()
    except Violation as violation:
        failure = str(violation)
    finally:
        with kernel.running(world):
            for process in list(world.processes):
                world.bury(process)
        shutil.rmtree(folder, ignore_errors=True)
    return Result(plan, failure, world.scheduler.steps, world.counts, _lines(world, f"{folder}/"))


def _lines(world: World, folder: str) -> list[str]:
    return [f"{_moment(at)}  {what.replace(folder, '')}" for at, what in world.story]


def _moment(seconds: float) -> str:
    days, rest = divmod(seconds, DAY)
    return f"{int(days):3d} d {rest:10.3f}" if days else f"{rest:16.3f}"
