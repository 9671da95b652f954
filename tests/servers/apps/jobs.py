"""What the RQ workers under test run: a job that tracks, and notes every id."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from rq import Retry, SimpleWorker, get_current_job

import togai_shipper
from togai_shipper import Call, Shipper
from togai_shipper.contrib.rq import DeliversAtEnd, job_key

shipper = Shipper()


class InOneProcess(DeliversAtEnd, SimpleWorker):
    """Runs jobs in its own process."""


def track(failing: str = "") -> None:
    """Track with a shipper that the parent has made, and with the default one, made in this process."""
    ids = [shipper.track("api_call", "acme"), togai_shipper.track("api_call", "acme")]
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps({"pid": os.getpid(), "ids": ids}) + "\n")
    if failing:
        raise ValueError(failing)


# --- jobs that run more than once, metered as by default and with failures=True ---


def account(call: Call) -> Any:
    return None if isinstance(call.result, Retry) else call.args[0]


def metered(schema_name: str, failures: bool | None) -> Any:  # noqa: FBT001  what metered() is given
    pages = {"pages": lambda call: call.result or 0}
    return shipper.metered(schema_name, account, pages, failures=failures, idempotency_key=job_key)


@metered("default", None)
@metered("failures", True)  # noqa: FBT003  the name says it
def render(account: str, *ends: str) -> int | Retry:
    """End as it is said of this run, the first or a later one; well if nothing is said."""
    job = get_current_job()
    run = job.connection.incr(f"{account} runs")
    match ends[run - 1] if run <= len(ends) else "well":
        case "fail":
            raise LookupError(account)
        case "return a Retry":
            return Retry(max=1)
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "take too long":
            threading.Event().wait()
    return 12
