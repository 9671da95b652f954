"""What ``send --jobs`` shows: which jobs were sent, from which files, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from togai_shipper.cli.formats import moment, plural

from .job_record import JobLine, JobRecord, NotKept
from .state import NoPlace


def read_jobs(place: Callable[[], Path]) -> list[JobLine]:
    """Read the record, if there is one. Raises ``ClickException``."""
    try:
        if not (path := place()).exists():
            return []
        with closing(JobRecord(path, read_only=True)) as record:
            return record.jobs()
    except (NotKept, NoPlace) as error:
        raise click.ClickException(f"the record of jobs cannot be read: {error}") from error


def lines_of(jobs: Sequence[JobLine]) -> Iterator[str]:
    """Return a line for each input that was sent, the latest last."""
    for each in jobs:
        read = "" if each.lines is None else f"{plural(each.lines, 'line')}; "
        yield f"{moment(_ms(each))}  {each.job}  ({each.path or each.name})  {read}{_outcome(each)}"
    if not jobs:
        yield "No job is known for this key and URL."


def as_json(jobs: Sequence[JobLine]) -> list[dict[str, Any]]:
    """Return the same for JSON."""
    return [
        {
            "job": each.job,
            "began": moment(_ms(each)),
            "file": each.path or each.name,
            "size": each.size,
            "device": each.device,
            "inode": each.inode,
            "head": each.head,
            "lines": each.lines,
            "meaning": each.meaning,
            "outcome": _outcome(each),
        }
        for each in jobs
    ]


def _outcome(each: JobLine) -> str:
    """Say what came of the whole command: its events are not counted by file."""
    return "the command has not ended, or was killed" if each.outcome is None else f"in all {each.outcome}"


def _ms(each: JobLine) -> int:
    return round(each.began * 1000)
