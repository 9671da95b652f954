"""A program that tracks into a spool and says what is safe there, until it is killed: by others, or itself.

``--die WHERE WHAT NTH``: as the nth thing begins, kill -9. WHERE is ``ours`` (WHAT is part of a statement,
on the file of this process), ``theirs`` (likewise, on one that is adopted), ``event`` (WHAT is an audit event
of Python, and how its first argument ends), or ``reply`` (one is read from the server).
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import logging
import math
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from togai_shipper import Shipper
from togai_shipper._process import this_process
from togai_shipper.spool.connection import Connection
from togai_shipper.spool.file import SpoolFile

WATCHDOG = 100  # seconds
signal.alarm(WATCHDOG)
here = os.environ["TOGAI_SPOOL"]

parser = argparse.ArgumentParser()
parser.add_argument("what")
parser.add_argument("--events", type=int, default=0, help="in one go, and then no more; 0: for ever")
parser.add_argument("--die", nargs=3, action="append", default=[])
parser.add_argument("--mutant", default="")
parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for the disk")
parser.add_argument("--flush", action="store_true")
parser.add_argument("--flag", default="", help="suffer while there is such a file")
parser.add_argument("--options", type=json.loads, default={})
given = parser.parse_args()


def say(*words: object) -> None:
    """One line, in one write: it does not mix with other processes'."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


# --- where it dies ---------------------------------------------------------------------------------------


def die() -> None:
    """At once, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(where: str, what: str, nth: int) -> None:
    """See to it."""
    seen = 0

    def reached(*, is_it: bool) -> None:
        nonlocal seen
        seen += is_it
        if is_it and seen == nth:
            die()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        name, _, end = what.partition(" ")
        reached(is_it=event == name and str(arguments[0]).endswith(end))

    def connected(path: str, connection: sqlite3.Connection) -> None:
        is_ours = f"-{os.getpid()}-" in path
        if is_ours is (where == "ours"):
            connection.set_trace_callback(lambda text: reached(is_it=what in text))

    if where == "event":
        sys.addaudithook(hook)
    elif where in {"ours", "theirs"}:
        at_every_connection(connected)


def at_every_connection(call: Callable[[str, sqlite3.Connection], object]) -> None:
    """Have ``call`` see each connection, and where it goes, before it is used."""
    connect = sqlite3.connect

    def connected(database: str, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(database, **options)
        call(database, connection)
        return connection

    sqlite3.connect = connected  # type: ignore[assignment]  # it takes less than the one it wraps


replies = 0


class Session(requests.Session):
    """Dies after a reply."""

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        """Send, and read all of the reply."""
        global replies  # noqa: PLW0603
        if given.mutant == "delete before the request":
            for path in Path(here).glob(f"*-{os.getpid()}-*.db"):
                connection = sqlite3.connect(path, isolation_level=None)
                connection.execute("DELETE FROM event")
                connection.close()
        if given.mutant == "a new id on retry":
            body = bytes(request.body or b"")
            if body in sent:
                request.body = re.sub(
                    rb'"id":"[^"]*"', lambda _: b'"id":"%s"' % uuid.uuid4().hex.encode(), body
                )
                request.headers["Content-Length"] = str(len(request.body))
            sent.add(body)
        request.headers["X-Process"] = str(os.getpid())
        reply = super().send(request, **more)
        for where, _, nth in given.die:
            if where == "reply":
                reply.content  # noqa: B018  reads it
                replies += 1
                if replies == int(nth):
                    die()
        return reply


sent: set[bytes] = set()


# --- what would be wrong -----------------------------------------------------------------------------------


def normal_for_full() -> None:
    """The usual advice for WAL."""
    make_durable = Connection.make_durable

    def mutant(self: Connection) -> None:
        make_durable(self)
        self.execute("PRAGMA synchronous = NORMAL")

    Connection.make_durable = mutant  # type: ignore[method-assign]


def flock_for_lockf() -> None:
    """The lock that forked children keep."""
    fcntl.lockf = fcntl.flock  # type: ignore[assignment]


def executemany() -> None:
    """The usual way to insert many rows: a statement each."""
    append = SpoolFile.append

    def mutant(self: SpoolFile, events: Sequence[tuple[int, bool, bytes]]) -> int:
        return min([append(self, [event]) for event in events])

    SpoolFile.append = mutant  # type: ignore[method-assign]


def no_pid_check() -> None:
    """A process that takes itself for its parent."""
    pid = os.getpid()
    os.getpid = lambda: pid
    this_process._forked.__code__ = (lambda: None).__code__  # noqa: SLF001  nor a hook, which is there already


MUTANTS: dict[str, Callable[[], None]] = {
    "NORMAL for FULL": normal_for_full,
    "flock for lockf": flock_for_lockf,
    "executemany for the one statement": executemany,
    "no pid check": no_pid_check,
}


# --- what it does ------------------------------------------------------------------------------------------


class Producer:
    """Tracks events, each with a name of its own, and says which of them are safe."""

    def __init__(self) -> None:
        self.name = f"{os.getpid()}.{os.urandom(3).hex()}"
        self.count = 0

    def track(self, count: int) -> list[str]:
        """So many; returns ``name=id`` of each."""
        done = []
        for _ in range(count):
            self.count += 1
            name = f"{self.name}.{self.count}"
            done.append(f"{name}={shipper.track('api_call', name, {'count': self.count})}")
        return done

    def go(self, count: int) -> None:
        """Track, wait until it is on disk, and say so."""
        events = self.track(count)
        say("safe" if shipper.sync(given.patience) else "unsafe", *events)


def be_forked(producer: Producer) -> None:
    """Now and then: parent and child both go on; the child is killed by a timer, which it does not handle."""
    if os.fork() == 0:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.001, 0.5))
        producer.__init__()  # type: ignore[misc]
        say("child", Path("/proc/self").resolve().name)


def produce(*, forking: bool = False) -> None:
    """For ever."""
    producer = Producer()
    say("ready")
    for number in range(sys.maxsize):
        producer.go(random.choice((1, 3, 20)))
        if forking and number % 10 == 9 and random.random() < 0.5 and f"{os.getpid()}." in producer.name:
            be_forked(producer)


def drain() -> None:
    """Adopt and ship all that is there."""
    pause = threading.Event()
    own = f"-{os.getpid()}-"
    while True:
        shipper.flush(10)
        others = [path for path in Path(here).glob("*.db") if own not in path.name]
        if not shipper.pending and not others:
            break
        pause.wait(0.01)
    stats = shipper.stats()
    say("closed", bool(shipper.close(30)))
    say("stats", json.dumps({"recovered": stats.recovered, "dead_letters": stats.dead_letters}))


def hold() -> None:
    """Track once, say so, and be there until it is killed."""
    producer = Producer()
    producer.go(given.events)
    say("tracked")
    if given.flush:
        shipper.flush(60)
        while not shipper.stats().dead_letters:
            threading.Event().wait(0.01)
        say("flushed")
    threading.Event().wait()


def end() -> None:
    """So many processes, one after the other, that track and close at once; each may leave a file."""
    for _ in range(given.events):
        if os.fork() == 0:
            producer = Producer()
            events = producer.track(3)
            report = shipper.close(0.05)
            say("safe" if report.pending >= len(events) and not report.dropped else "unsafe", *events)
            os._exit(0)
        os.wait()
        say("files", len(list(Path(here).glob("*.db"))))


def outlive() -> None:
    """Track in a parent, which is killed, and in a child that it has forked, and which is not."""
    producer = Producer()
    producer.go(given.events)
    if os.fork() == 0:
        signal.alarm(WATCHDOG)
        parent = os.getppid()
        producer.__init__()  # type: ignore[misc]
        producer.go(given.events)
        os.kill(parent, signal.SIGKILL)
        say("child", Path("/proc/self").resolve().name)
    threading.Event().wait()


def commit() -> None:
    """So many commits, one after the other, and then the end."""
    producer = Producer()
    for _ in range(given.events):
        producer.go(3)
    die()


def suffer() -> None:
    """Track on while the disk fails, and after it has recovered."""
    flag, pause = Path(given.flag), threading.Event()
    producer = Producer()
    producer.go(20)
    say("durable", shipper.stats().durable)
    flag.touch()
    tracked = []
    while shipper.healthy:
        tracked += producer.track(1)
        pause.wait(0.001)
    say("durable", shipper.stats().durable, shipper.sync(0.1))
    for _ in range(30):
        tracked += producer.track(10)
        pause.wait(0.05)
    say("delivered", bool(shipper.flush(20)))
    used = time.process_time()
    pause.wait(1.5)  # long enough for it to try again
    say("busy", time.process_time() - used)
    say("healthy", shipper.healthy)
    flag.unlink()
    recover(producer, tracked)


def recover(producer: Producer, tracked: list[str]) -> None:
    """The disk is as it should be: wait until that is noticed, and see."""
    tracked += producer.track(1)
    while not shipper.sync(1.0):
        threading.Event().wait(0.05)
    say("safe", *tracked)
    say("durable", shipper.stats().durable, shipper.healthy)
    producer.go(20)


def starve() -> None:
    """Have no file descriptor to spare at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(1)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    producer = Producer()
    tracked = producer.track(20)
    while shipper.healthy:
        tracked += producer.track(1)
        threading.Event().wait(0.001)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    recover(producer, tracked)


def lose_it() -> None:
    """Have the directory removed, and be killed once the spool works again."""
    producer = Producer()
    producer.go(20)
    shutil.rmtree(here)
    tracked = []
    while shipper.healthy:
        tracked += producer.track(1)
        threading.Event().wait(0.01)
    recover(producer, tracked)
    die()


def count() -> None:
    """Say how many statements each commit of events takes; a busy machine makes several of many events."""
    producer = Producer()
    statements: list[str] = []
    commits: list[int] = []
    append = SpoolFile.append

    def appended(self: SpoolFile, events: Sequence[tuple[int, bool, bytes]]) -> int:
        commits.append(len(events))
        return append(self, events)

    at_every_connection(lambda _, connection: connection.set_trace_callback(statements.append))
    SpoolFile.append = appended  # type: ignore[method-assign]
    producer.go(1)
    for _ in range(10):
        statements.clear()
        commits.clear()
        producer.go(given.events)
        # A PRAGMA comes only where the disk gets slow, or quick again.
        written = [text for text in statements if not text.startswith("PRAGMA")]
        say("statements", math.ceil(len(written) / len(commits)))
    die()


logging.basicConfig(format="%(levelname)s %(message)s")
for where, what, nth in given.die:
    die_at(where, what, int(nth))
MUTANTS.get(given.mutant, lambda: None)()
quick = {"flush_interval": 0.02, "rate_limit": None, "backoff_initial": 0.005, "backoff_max": 0.05}
shipper = Shipper(session_factory=Session, **{**quick, **given.options})
{
    "produce": produce,
    "fork": functools.partial(produce, forking=True),
    "drain": drain,
    "hold": hold,
    "end": end,
    "outlive": outlive,
    "commit": commit,
    "count": count,
    "suffer": suffer,
    "starve": starve,
    "lose it": lose_it,
}[given.what]()
