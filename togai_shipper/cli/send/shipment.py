"""Track the events of inputs, each with an id that is the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from togai_shipper import DeliveryError, Event, EventDropped, EventRejected, InvalidEvent, Shipper

from .inputs import Input, Unreadable
from .line_fields import BadLine
from .line_ids import LineIds, OccurrenceCounter
from .results import LineResults

_LOOK = 1.0  # seconds; flush() returns before that if all is settled


def job_of(path: Path) -> str:
    """Return the name of a file's job, if none is given: the file's name, without ``.gz``."""
    return path.name.removesuffix(".gz")


class Shipment:
    """Reads inputs and tracks their events, each with an id that is the same in every run.

    While the buffer is full, reading waits; nothing is dropped. It stops if Togai accepts nothing any more
    (it refuses the key, or every event).
    """

    def __init__(self, make: Callable[..., Shipper], results: LineResults) -> None:
        self._results = results
        self.shipper = make(on_error=self._on_error)

    def run(self, inputs: Iterable[tuple[Input, str]]) -> bool:
        """Read each input under its job's name, and wait until all is settled; return whether it is."""
        counter = OccurrenceCounter()
        jobs: dict[str, LineIds] = {}
        try:
            for source, job in inputs:
                ids = jobs.setdefault(job, LineIds(job, counter))
                if not self._read(source, ids):
                    return False
        finally:
            counter.close()
        return self._settle()

    def _read(self, source: Input, ids: LineIds) -> bool:
        results, track, name = self._results, self.shipper.track, source.name
        number = 0
        try:
            for number, line, fields in source.events():
                results.lines += 1
                if isinstance(fields, BadLine):
                    results.note_bad(source, number, line, fields)
                    continue
                if line is not None and "event_id" not in fields and "idempotency_key" not in fields:
                    fields["event_id"] = ids.next(line)
                try:
                    event_id = track(**fields)
                except InvalidEvent as invalid:
                    results.note_bad(source, number, line, invalid)
                    continue
                if event_id is None:  # _on_error has closed the shipper
                    return False
                results.note_accepted(event_id, name, number)
        except Unreadable as error:
            results.note_unreadable(source, number, error)
        return True

    def _settle(self) -> bool:
        """Wait until nothing is pending, without a time limit."""
        while self.shipper.pending and self._results.stopped_by is None:
            self.shipper.flush(_LOOK)
        return self._results.stopped_by is None

    def _on_error(self, error: Exception, events: tuple[Event, ...]) -> None:
        """Note what the shipper reports; flushers call this."""
        if isinstance(error, EventRejected):
            for event in events:
                self._results.note_refused(event.id, error)
        elif isinstance(error, DeliveryError) and not isinstance(error, EventDropped):
            self._results.stopped_by = str(error)  # parked
            self.shipper.close(0.0)  # so that track() accepts nothing more, and does not wait
