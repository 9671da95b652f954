"""A program that calls track() from where it interrupts track(): a signal handler, __del__, a log handler."""

from __future__ import annotations

import faulthandler
import gc
import logging
import signal

from togai_shipper import Shipper, TogaiShipperError

faulthandler.dump_traceback_later(60, exit=True)  # the watchdog: a deadlock ends, and shows where it is
ids: list[str | None] = []
shipper = Shipper(flush_interval=0.01, rate_limit=None, max_queue_size=10**6)


class Dying:
    """Garbage whose end is an event."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        ids.append(shipper.track("died", "acme"))


class Logging(logging.Handler):
    """Turns records into events; ours and urllib3's are refused."""

    def emit(self, record: logging.LogRecord) -> None:
        event_id = shipper.track("log", "acme", {}, {"logger": record.name})
        if event_id:
            ids.append(event_id)


def on_alarm(*_: object) -> None:
    """Interrupts whatever there is, track() for the most part."""
    ids.append(shipper.track("alarm", "acme"))


logging.getLogger().addHandler(Logging())
logging.getLogger().setLevel(logging.DEBUG)
gc.set_threshold(50)
signal.signal(signal.SIGVTALRM, on_alarm)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.0005)
for number in range(20_000):
    ids.append(shipper.track("api_call", "acme", {"n": number}))
    if number % 20 == 0:
        Dying()
    if number % 500 == 0:
        logging.getLogger("app").info("tracked %d", number)
signal.setitimer(signal.ITIMER_VIRTUAL, 0)
gc.collect()
shipper.flush(60)


def close_again(*_: object) -> None:
    """Close in a handler that interrupts close()."""
    shipper.close(60)


signal.signal(signal.SIGALRM, close_again)
signal.setitimer(signal.ITIMER_REAL, 0.0001)
report = shipper.close(60)
stats = shipper.stats()
if not report or stats.accepted != len(ids) or stats.delivered != len(ids) or None in ids:
    raise TogaiShipperError(f"{report} {stats} {len(ids)}")
print(*ids, sep="\n")  # noqa: T201  that is what it is for
