"""Track the events of inputs, each with an id that is the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from togai_shipper import DeliveryError, Event, EventDropped, EventRejected, InvalidEvent, Shipper

from .bad_line import BadLine
from .inputs import Input, Unreadable
from .line_ids import LineIds
from .occurrences import OccurrenceCounter
from .parsing import Unfinished
from .rejects import BadLineLost
from .results import LineResults
from .timestamps import complaint

_LOOK = 1.0  # seconds; flush() returns before that if all is settled


class Shipment:
    """Reads inputs and tracks their events, each with an id that is the same in every run.

    While the buffer is full, reading waits; nothing is dropped. It stops if Togai accepts nothing any more
    (it refuses the key, or every event), and reads no further where a bad line cannot be kept.
    """

    def __init__(self, make: Callable[..., Shipper], results: LineResults) -> None:
        self._results = results
        self._is_parked = False
        self.shipper = make(on_error=self._on_error)

    def run(self, inputs: Iterable[tuple[Input, str]]) -> bool:
        """Read each input under its job's name, and wait until all is settled; return whether it is."""
        counter = OccurrenceCounter()
        jobs: dict[str, LineIds] = {}
        try:
            for source, job in inputs:
                self._results.note_input()
                ids = jobs.setdefault(job, LineIds(job, counter))
                if not self._read(source, ids):
                    return False
        except BadLineLost as error:
            self._results.note_stopped(str(error))
            self._settle()
            return False
        finally:
            counter.close()
        return self._settle()

    def _read(self, source: Input, ids: LineIds) -> bool:
        results, track = self._results, self.shipper.track
        number = 0
        try:
            for number, line, fields in source.events():
                results.lines += 1
                if isinstance(fields, Unfinished):
                    results.note_unfinished(source, number, fields)
                    continue
                if isinstance(fields, BadLine):
                    results.note_bad(source, number, line, fields)
                    continue
                if line is not None and "event_id" not in fields and "idempotency_key" not in fields:
                    fields["event_id"] = ids.next(line)
                try:
                    event_id = track(**fields)
                except InvalidEvent as invalid:
                    results.note_bad(source, number, line, complaint(invalid, fields["timestamp"]))
                    continue
                if event_id is None:  # _on_error has closed the shipper
                    return False
                results.note_accepted(event_id, source, number)
            if source.has_grown:
                results.note_grown(source)
        except Unreadable as error:
            results.note_unreadable(source, number, error)
        return True

    def _settle(self) -> bool:
        """Wait until nothing is pending, without a time limit."""
        while self.shipper.pending and not self._is_parked:
            self.shipper.flush(_LOOK)
        return not self._is_parked

    def _on_error(self, error: Exception, events: tuple[Event, ...]) -> None:
        """Note what the shipper reports; flushers call this."""
        if isinstance(error, EventRejected):
            for event in events:
                self._results.note_refused(event.id, error)
        elif isinstance(error, DeliveryError) and not isinstance(error, EventDropped):
            self._is_parked = True
            self._results.stopped_by = f"Togai accepts nothing more: {error}"
            self.shipper.close(0.0)  # so that track() accepts nothing more, and does not wait
