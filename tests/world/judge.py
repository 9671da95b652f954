"""What must hold, whatever happens: looked at after each step, and at each process's end."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from togai_shipper import Event, Finding
from togai_shipper._journal import read_journals
from togai_shipper.exceptions import DeliveryError, EventDropped, EventRejected
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SpoolFile

from . import kernel
from .relay_judge import RelayJudge

if TYPE_CHECKING:
    from .process import Process
    from .scheduler import Task
    from .world import World

DAY = 86_400.0
WINDOW = 40 * DAY  # seconds within which an event may be sent again
LOOK_EVERY = 5.0  # seconds between looks at the health of a process
ENOUGH = 3.0  # seconds in which close() sends what waits, once it can
PARKING = (401, 403, 404, 405)  # statuses that park the line
CLOSE_GRACE = 2.5  # seconds beyond its deadline by which close() has returned


@attrs.define
class Fact:
    """What is known of one event that was accepted."""

    name: str
    id: str
    pid: int
    at: float
    schema: str
    is_durable: bool = False  # it was seen on disk, or called safe
    lost: str = ""  # why it may be gone


class Judge:
    """Knows every event, and finds the one of which nobody can say what became of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.relay = RelayJudge(world)
        self._random = random.Random(f"application {world.plan.seed}")
        self.facts: dict[str, Fact] = {}  # by name
        self.told: dict[str, str] = {}  # name -> what its application was told, if not delivered
        self._tracking = 0  # calls under way
        self.looks_at: Process | None = None
        self.was_unsure = False  # a disk has failed after it wrote

    def fail(self, text: str) -> NoReturn:
        """Find a promise broken."""
        self._world.scheduler.fail(text)

    @property
    def _now(self) -> float:
        return self._world.scheduler.now

    # --- what an application calls ---

    def track(self, process: Process, count: int, schema: str = "plain") -> None:
        """On a thread of the process: track events, each with a name of its own."""
        assert process.shipper is not None
        for _ in range(count):
            name = f"e{len(self.facts) + self._tracking + 1}"
            self._tracking += 1
            process.tracking += 1
            event_id = process.shipper.track(schema, name, {"n": 1})
            self._tracking -= 1
            process.tracking -= 1
            fact = Fact(name, event_id or "", process.pid, self._now, schema)
            self.facts[name] = fact
            if event_id is None:
                fact.lost = "refused"
            else:
                process.accepted += 1
                process.names.add(name)

    def flush(self, process: Process, timeout: float) -> None:
        """On a thread of the process: flush, and see how long that takes."""
        assert process.shipper is not None
        begun = self._now
        report = process.shipper.flush(timeout)
        self._world.tell(process, f"has flushed: {report}")
        self._in_time(process, "flush()", begun, timeout)

    def sync(self, process: Process, timeout: float) -> None:
        """On a thread of the process: sync, and believe what that says."""
        assert process.shipper is not None
        names = set(process.names)
        if process.shipper.sync(timeout):
            self._world.tell(process, "is told that all is safe")
            kept = set().union(*self.kept())
            for name in names:
                fact = self.facts[name]
                # What Redis has lost meanwhile is safe again as soon as it is handed over again.
                fact.is_durable = fact.id in kept or not self._world.plan.relay

    def close(self, process: Process, timeout: float) -> None:
        """On a thread of the process: close, and see how long that takes."""
        assert process.shipper is not None
        begun, pending = self._now, process.pipeline.pending
        report = process.shipper.close(timeout)
        self._world.tell(process, f"has closed: {report}")
        self._in_time(process, "close()", begun, timeout)
        self.gave_up(process, begun, timeout, pending)

    def _in_time(self, process: Process, what: str, begun: float, timeout: float) -> None:
        took = self._now - begun
        if process.thawed_at < begun and took > timeout + CLOSE_GRACE:
            self.fail(f"{process}: {what} with {timeout} s took {took:.3f} s")

    def gave_up(self, process: Process, begun: float, timeout: float, pending: int) -> None:
        """``close()`` has given up nothing, where there was time enough at its end to send all."""
        given_up = process.pipeline.ledger.dropped.get("closed", 0)
        if not pending or not given_up or not self._had_time(process, begun, timeout, pending):
            return  # without anything pending, an earlier close() has given it up
        fair_since = self._fair_since
        self.fail(
            f"{process} has given up {given_up} of {pending} events, though for the last "
            f"{begun + timeout - fair_since:.1f} of {timeout} s of close() nothing was the matter"
        )

    def _had_time(self, process: Process, begun: float, timeout: float, pending: int) -> bool:
        world, options = self._world, self._world.plan.options
        return (
            timeout >= 5.0
            and begun + timeout - max(self._fair_since, process.thawed_at) >= ENOUGH
            and process.pipeline.gate.parking.cause is None
            and world.plan.callbacks == "quiet"
            and pending <= options["batch_size"] * options["rate_limit"]
            and all(self.facts[name].schema == "plain" for name in process.names)
        )

    @property
    def _fair_since(self) -> float:
        world = self._world
        return world.redis.fair_since if world.plan.relay else world.internet.fair_since

    # --- what it is told ---

    def delivered(self, events: Sequence[Event]) -> None:
        """``on_delivered`` of every process."""
        for event in events:
            if event.id not in self._world.togai.first:
                self.fail(f"{event.account_id} is told as delivered, and Togai has not taken it")
        self._behave()

    def unbilled(self, finding: Finding) -> None:
        """``on_unbilled`` of every process: this Togai bills what it takes."""
        self.fail(f"{finding.event_id} is told as not billed: {finding.status}")

    def undelivered(self, error: Exception, events: Sequence[Event]) -> None:
        """``on_error`` of every process."""
        here = kernel.process()
        for event in events:
            self._hear(event, error)
            if here is not None:
                here.told.add(event.account_id)
        self._behave()

    def _hear(self, event: Event, error: Exception) -> None:
        name, is_billed = event.account_id, event.id in self._world.togai.first
        if name not in self.facts and not isinstance(error, DeliveryError):
            return  # it was refused
        self.told[name] = str(error)
        if "past dedupe window" in str(error) and not self._world.wall_was_set:
            age = self._now - self.facts[name].at
            if age < WINDOW - DAY:
                self.fail(f"{name} is given up as too old, and is {age / DAY:.1f} days old")
        # One that parks the line time and again is given up, and told as perhaps delivered.
        is_doubted = isinstance(error, EventRejected) and error.maybe_delivered and error.status in PARKING
        if is_billed and isinstance(error, EventRejected) and not is_doubted:
            self.fail(f"{name} is told as rejected ({error}), and was billed")
        is_of_togai = isinstance(error, EventRejected) and error.status == 400
        if is_of_togai and event.id not in self._world.togai.refused and not is_billed:
            self.fail(f"{name} is told as rejected ({error}), and Togai has not refused it by itself")
        if is_billed and isinstance(error, EventDropped) and not error.maybe_delivered:
            self.fail(f"{name} is told as dropped and never delivered ({error}), and was billed")

    def _behave(self) -> None:
        """Be an application's callback."""
        kind, here = self._world.plan.callbacks, kernel.process()
        if here is None or here.shipper is None:
            return
        if kind == "quiet" or self._world.is_mended or self._random.random() < 0.7:
            return
        self._world.count(f"callback {kind}")
        assert here.shipper is not None
        match kind:
            case "raise":
                raise RuntimeError("an application's callback")
            case "hang":
                while not self._world.is_mended:
                    self._world.scheduler.sleep(60.0)
            case "slow":
                self._world.scheduler.sleep(3.0)
            case "track":
                self.track(here, 1)
            case "flush":
                here.shipper.flush(5.0)
            case "close":
                here.shipper.close(5.0)

    # --- after each step ---

    def look(self, task: Task) -> None:
        """Look at the process of which a thread has just run."""
        process = task.process
        if not process.is_alive or process.is_ending or not process.has_begun:
            return
        pipeline = process.pipeline
        recovered = pipeline.store.figures().get("recovered", 0)
        counted = pipeline.ledger.settled + pipeline.line.pending
        accepted = process.accepted + recovered - process.taken_over
        is_short = counted < accepted
        patience = 15.0 if process.is_drainer else 1.0  # it tells once it has asked Redis for all that is due
        if not is_short:
            process.short_since = self._now  # what another process takes over is told a little later
        if counted > accepted + process.tracking or (is_short and self._now > process.short_since + patience):
            self.fail(
                f"{process} has accepted {process.accepted}, recovered {recovered}, "
                f"settled {pipeline.ledger.settled}, and {pipeline.line.pending} are pending"
            )
        if self._now >= process.looked_at + LOOK_EVERY:
            process.looked_at = self._now
            self._look_at_health(process)
            if pipeline.buffer.causes.known:
                self._world.count("events of a cause " + ("wait" if pipeline.buffer.lane else "are awaited"))
            self.relay.look(process)

    def _look_at_health(self, process: Process) -> None:
        """Where all attempts of more than a minute failed, it says so."""
        since = process.failing_since
        if since is not None and self._world.plan.relay and not process.is_drainer:
            since = max(since, self._waits_since(process))  # what is given again is no business of its health
        if since is None or max(since, process.thawed_at) > self._now - 62.0:
            return
        if not process.pipeline.pending or process.pipeline.shutdown.has_begun:
            return
        if self._complaint(process) is None:
            self.fail(f"{process} calls itself healthy, after {self._now - since:.0f} s of failed attempts")
        if process.pipeline.gate.parking.cause is not None:
            return  # it has said so when that began
        if not any(at >= since - 60.0 and level >= logging.WARNING for at, level, _ in process.lines):
            self.fail(f"{process} has logged nothing in {self._now - since:.0f} s of failed attempts")

    def _waits_since(self, process: Process) -> float:
        """When the oldest pending event was due to be handed over."""
        oldest = process.pipeline.line.oldest_since()
        age = 0.0 if oldest is None else process.clock() - oldest
        return self._now - age + float(self._world.plan.options["flush_interval"])

    def _complaint(self, process: Process) -> str | None:
        self.looks_at = process  # whose clock it is
        try:
            return process.pipeline.health.complaint()
        finally:
            self.looks_at = None

    # --- where an event is ---

    def on_disk(self) -> tuple[set[str], set[str]]:
        """The ids of events that are on disk: pending ones, and dead letters."""
        pending: set[str] = set()
        dead: set[str] = set()
        spool = self._world.disk.spool
        for path in [*spool.glob("*.db"), *spool.glob("*.db.corrupt-*[0-9]")] if spool.exists() else []:
            try:
                with closing(SpoolFile.peek(path)) as file:
                    for rows, _ in file.scan():
                        pending.update(_ids(row.body for row in rows))
                    dead.update(letter.id for _, letter in file.dead())
            except SpoolError:
                continue
        return pending, dead

    def kept(self) -> tuple[set[str], set[str]]:
        """The ids of events that are on disk or in Redis: pending ones, and dead letters."""
        pending, dead = self.on_disk()
        if not self._world.plan.relay:
            return pending, dead
        in_redis, buried = self.relay.in_redis()
        return pending | in_redis, dead | buried

    def waits_on_disk(self) -> bool:
        """Whether there is a pending event on disk."""
        return bool(self.on_disk()[0])

    def _unaccounted(self, names: set[str] | None = None) -> list[Fact]:
        """Events that are neither billed nor told nor on disk."""
        pending, dead = self.kept()
        known = pending | dead
        return [
            fact
            for name, fact in self.facts.items()
            if not fact.lost
            and name not in self._world.togai.billed
            and name not in self.told
            and fact.id not in known
            and (names is None or name in names)
        ]

    def killed(self, dead: list[Process], *, lied: bool) -> None:
        """Processes were killed: what was in their memory alone is gone; nothing else may be."""
        names = set().union(*(process.names for process in dead)) if dead else set()
        for fact in self._unaccounted(None if lied else names):
            if fact.is_durable and not lied:
                self.fail(f"{fact.name} was safe on disk, and is gone")
            fact.lost = "the disk lied" if lied else "killed"
        if lied:
            return
        pending, letters = self.kept()
        for fact in self.facts.values():
            if fact.id in pending or fact.id in letters:
                fact.is_durable = True

    def ended(self, process: Process) -> None:
        """A process has ended by itself: it has said of each of its events what became of it."""
        pipeline = process.pipeline
        if pipeline.process.pid != process.pid:
            return
        given_up = sum(pipeline.ledger.dropped.values()) + pipeline.ledger.rejected
        untold = self.relay.producer_ended(process, self._unaccounted(process.names))
        if len(untold) > max(0, given_up - len(process.told)):
            names = ", ".join(fact.name for fact in untold)
            self.fail(f"{process} has ended, and nobody knows what became of {names}")
        if given_up and not any(level >= logging.WARNING for _, level, _ in process.lines):
            self.fail(f"{process} has given up {given_up} events, and logged nothing")
        for fact in untold:
            self.told[fact.name] = "counted, and not told: a callback was not to be called"

    # --- at the end ---

    @staticmethod
    def _is_refused(event: bytes) -> bool:
        return b'"schemaName":"refused"' in event

    def stuck(self, process: Process) -> None:
        """Nothing is wrong any more, and still it does not deliver."""
        stats = process.pipeline.health.stats()
        is_parked = process.pipeline.gate.parking.cause is not None
        if is_parked and any(self._is_refused(event) for event in process.pipeline.buffer.events()):
            return  # a refusal of a probe is not believed, and the process says that it is parked
        if self.relay.is_full_of_doubtful():
            return
        self.fail(f"{process} has {stats.pending} pending, though all is well: {stats}")

    def well(self, processes: list[Process]) -> None:
        """Nothing is wrong any more, and nothing is pending."""
        for process in processes:
            if process.is_open:
                complaint = self._complaint(process)
                if (
                    complaint is not None
                    and not complaint.startswith("parked")
                    and not complaint.startswith("Togai rejects every event")  # likewise, where it was so
                    and not complaint.startswith("the buffer is full")  # that is said for a minute
                    and "not ours" not in complaint
                    and "clocks do not tell" not in complaint
                    and not self.relay.is_full_of_doubtful()
                ):
                    self.fail(f"{process} complains, though all is well: {complaint}")

    def final(self) -> None:
        """Every event has found its end."""
        for fact in self._unaccounted():
            self.fail(f"{fact.name} of process {fact.pid} is lost, and nobody was told")
        pending, _ = self.kept()
        if self._world.plan.spool and not self._world.plan.relay:
            self._check_journal(pending)
        if self._world.plan.relay:
            self.relay.check_journal()
        for fact in self.facts.values():
            # Where the wall clock was set by days, and the machine started anew, events may be kept.
            is_doubtful = self._world.wall_was_set or self._now - fact.at > WINDOW
            is_doubtful = is_doubtful or fact.schema == "refused"  # by which a line may be parked
            if fact.id in pending and fact.name not in self._world.togai.billed and not is_doubtful:
                self.fail(f"{fact.name} of process {fact.pid} stays where it is, though all is well")

    def _check_journal(self, pending: set[str]) -> None:
        """What the journal of a disk that never failed says is what Togai has billed, each once."""
        if {entry.kind for entry in self._world.plan.entries} & {"disk", "lie", "power", "clock"}:
            return
        spool = self._world.disk.spool
        journals = read_journals(spool, self._world.true_wall) if spool.exists() else []
        ids = [each for journal in journals for listed in journal.listed or () for each in listed.ids]
        count = sum(each.count for journal in journals for each in journal.counts if each.fate == "delivered")
        if count != len(ids) or len(ids) != len(set(ids)):
            self.fail(f"the journal counts {count}, and names {len(ids)}, {len(set(ids))} of them once")
        billed = {fact.id for name, fact in self.facts.items() if name in self._world.togai.billed}
        if extra := set(ids) - billed:
            self.fail(f"the journal has {len(extra)} events that Togai has not billed")
        if missing := billed - set(ids) - pending:
            self.fail(f"the journal lacks {len(missing)} events that Togai has billed")


def _ids(bodies: Any) -> list[str]:
    from togai_shipper._event import id_of  # noqa: PLC0415  as the package reads it

    return [id_of(body) for body in bodies]
