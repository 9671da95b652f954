"""Read how a relay stands as a whole, and what those say that drain it and hand over. Needs redis-py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.formats import now_ms
from togai_shipper.cli.processes import Process
from togai_shipper.cli.relay_processes import MAY_BE_MORE, drainer, producing
from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.link import Link
from togai_shipper.relay.survey import RENEWED_WITHIN, Survey, lease_of, survey
from togai_shipper.relay.url import shown

from .looking import Sight

TIMEOUT = 10.0  # seconds for each answer


class RelayLook:
    """Looks at one relay, again and again."""

    def __init__(self, url: str, name: str, clock: Callable[[], float]) -> None:
        self.place = shown(url)
        self._name = name
        self._link = Link(url, name, TIMEOUT)
        self._clock = clock
        self._lease = ""
        self._changed_at: float | None = None  # when the lease was first seen to be renewed

    def look(self) -> Sight:
        """Look once."""
        try:
            found = survey(self._link, None)
            lease = lease_of(self._link)
        except RelayError as error:
            return Sight(problems=(str(error),))
        if found.wrong_kinds:
            wrong = found.wrong_kinds.items()
            return Sight(
                problems=tuple(f"{key} is a {kind}: somebody else uses this name" for key, kind in wrong)
            )
        is_drained = self._is_drained(lease, found)
        return Sight(
            (
                self._process(found, is_drained=is_drained),
                *_drainer(lease, found, is_drained=is_drained),
                *producing(found, now_ms()),
            ),
            remarks=tuple(self._remarks(lease, found, is_drained=is_drained)),
        )

    def _is_drained(self, lease: str, found: Survey) -> bool:
        """Whether who has the lease has renewed it while we looked, or is connected."""
        if lease != self._lease:
            self._changed_at = self._clock() if self._lease else None
            self._lease = lease
        owner = lease.rpartition(":")[0]
        is_renewed = self._changed_at is not None and self._clock() - self._changed_at < RENEWED_WITHIN
        return bool(owner) and (is_renewed or owner in (found.drainers or ()))

    def _process(self, found: Survey, *, is_drained: bool) -> Process:
        events, now = found.number("events"), now_ms()
        return Process(
            name=f"relay {self._name}",
            is_alive=True,
            report=SelfReport(
                at_ms=now,
                since_ms=0,
                is_healthy=is_drained or not events,
                why="" if is_drained or not events else "nobody drains it",
                pending=events,
                oldest_ms=found.number("oldest") if events else None,
                accepted=found.number("in"),
                delivered=found.number("out"),
                dead_letters=found.dead or 0,
            ),
            dead=found.dead or 0,
        )

    def _remarks(self, lease: str, found: Survey, *, is_drained: bool) -> Iterator[str]:
        owner = lease.rpartition(":")[0]
        others = [each for each in found.drainers or () if each != owner]
        by = owner if is_drained else "nobody"
        yield f"drained by {by}" + (f"; stand by: {', '.join(others)}" if others else "")
        if not is_drained:
            yield f"  togai-shipper drain {self.place}"
        if found.producers is None:
            yield "How those stand that hand over is unknown: what they say of themselves cannot be read."
        elif found.producers.is_full:
            yield f"{MAY_BE_MORE}."


def _drainer(lease: str, found: Survey, *, is_drained: bool) -> Iterator[Process]:
    process = drainer(found, lease.rpartition(":")[0])
    if is_drained and process.report is not None:
        yield process
