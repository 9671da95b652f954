"""A program that forks 200 children while its threads track and send; each process says what it tracked."""

from __future__ import annotations

import os
import signal
import sys
import threading

from togai_shipper import Shipper

WATCHDOG = 100  # seconds. Not faulthandler's: on Python 3.10 its timer hangs forked children
signal.alarm(WATCHDOG)
stop = threading.Event()
shipper = Shipper(
    flush_interval=0.01, batch_size=20, rate_limit=None, on_delivered=lambda events: said(["told"])
)
closed = Shipper()
closed.close()


def said(words: list[str | None]) -> None:
    """One line, in one write: it does not mix with other processes'."""
    os.write(1, (" ".join(word or "refused" for word in words) + "\n").encode())


def track(whose: str, count: int) -> None:
    """Say which ids were tracked."""
    said([whose, *(shipper.track("api_call", whose) for _ in range(count))])


def track_on() -> None:
    """What the parent's threads do."""
    while not stop.is_set():
        track("parent", 3)
        stop.wait(0.002)


def be_a_child(number: int) -> None:
    """Track, beget, and end in one of the ways there are."""
    signal.alarm(WATCHDOG // 2)  # a parent's alarm is not inherited
    if closed.track("api_call", "child") is not None or shipper.pending:
        os._exit(7)
    if number % 4 == 3:  # one that tracks nothing has nothing to close, and no thread
        os._exit(8 if threading.active_count() > 1 else 0)
    track("child", 3)
    if number % 4 == 2 and os.fork() == 0:
        signal.alarm(WATCHDOG // 2)
        track("grandchild", 2)
        shipper.close(30)
        os._exit(0)
    if number % 4 == 2:
        os.wait()
    if number % 2:
        sys.exit(0)  # runs the exit hooks that it inherited
    os._exit(0 if shipper.close(30) else 9)


threads = [threading.Thread(target=track_on) for _ in range(4)]
for thread in threads:
    thread.start()
track("parent", 10)
for start in range(0, 200, 10):
    children = []
    for number in range(start, start + 10):
        child = os.fork()
        if child == 0:
            be_a_child(number)
        children.append(child)
    for child in children:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            said(["failed", str(status)])
stop.set()
for thread in threads:
    thread.join()
said(["closed", str(bool(shipper.close(30)))])
