"""Keep the record of jobs around a command, where it can be kept; else go on without, and say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from .claiming import claim_all
from .inputs import Input
from .job_record import JobRecord, NotKept
from .results import LineResults, Tally
from .state import NoPlace
from .summary import outcome_of


class Ending:
    """What came of a command, once that is known."""

    def __init__(self) -> None:
        self.outcome = "stopped"

    def note(self, tally: Tally) -> None:
        """Note the tally."""
        self.outcome = outcome_of(tally)


@contextmanager
def recorded(
    place: Callable[[], Path],
    inputs: Sequence[tuple[Input, str]],
    results: LineResults,
    say: Callable[[str], None],
    *,
    job_is_named: bool,
    same_events: bool,
) -> Iterator[Ending]:
    """Take the ids of all lines, and note at the end what came of them. Raises ``Refused``."""
    ending = Ending()
    try:
        record = JobRecord(place())
    except (NotKept, NoPlace) as error:
        say(_unkept(error))
        yield ending
        return
    with closing(record):
        try:
            now = time.time()
            run = claim_all(record, inputs, now, job_is_named=job_is_named, same_events=same_events)
        except NotKept as error:
            say(_unkept(error))
            yield ending
            return
        results.note_recorded()
        try:
            yield ending
        finally:
            try:
                _end(record, run, results, ending)
            except NotKept as error:
                say(_unkept(error))


def _end(record: JobRecord, run: int, results: LineResults, ending: Ending) -> None:
    record.end_run(run, time.time(), ending.outcome, results.by_input())


def _unkept(error: Exception) -> str:
    return (
        f"No record of this job can be kept ({error}), so the next run cannot tell if a line takes another's"
        " id. Name a place with --spool or XDG_STATE_HOME."
    )
