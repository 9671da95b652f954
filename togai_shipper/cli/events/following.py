"""Tells how many events Togai did not process, and what is new of that from minute to minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from togai_shipper._engine.look_ups import FAILED
from togai_shipper.cli.formats import plural
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.togai_asked import TogaiAsked
from togai_shipper.cli.togai_metrics import FAILED_STATUSES, midnight, points, query, request

EVERY = 60.0  # seconds
PATH = "/metrics"


@attrs.define
class Following:
    """Counts the events of yesterday and today that Togai did not process, by reason."""

    togai: TogaiAsked
    schema: str | None
    account: str | None
    reason: str | None
    _known: Counter[str] | None = None

    def news(self, now: datetime) -> Iterator[str]:
        """Yield a line for all there are at first, and for what is new afterwards. Raises ``NotAnswered``."""
        counts = self._counted(now)
        for status, count in sorted(counts.items()):
            more = count - (self._known or Counter())[status]
            if count and more > 0:
                new = "" if self._known is None else f"{more:,} more: "
                what = status.removeprefix(f"{FAILED}_")
                yield f"{now:%Y-%m-%dT%H:%M:%SZ}  {new}{plural(count, 'event')} {what}"
        if self._known is None and not counts.total():
            yield f"{now:%Y-%m-%dT%H:%M:%SZ}  none unprocessed yesterday and today"
        self._known = counts

    def _counted(self, now: datetime) -> Counter[str]:
        start = midnight(now.date() - timedelta(days=1))
        given = {"SCHEMA_NAME": self.schema, "ACCOUNT_ID": self.account}
        filters = {name: (value,) for name, value in given.items() if value}
        statuses = FAILED_STATUSES if self.reason is None else (self.reason,)
        asked = [query("unprocessed", "RAW_EVENT_STATUS", statuses, **filters)]
        answer = self.togai.post(PATH, request(start, start + timedelta(days=2), asked))
        if answer.is_refusal:
            raise NotAnswered(f"POST {PATH}: Togai refuses the question: {answer.message}")
        found: Counter[str] = Counter()
        try:
            for point in points(answer.body, asked):
                found[point.group] += point.events
        except ValueError as error:
            raise NotAnswered(f"POST {PATH}: the answer is not as Togai documents it: {error}") from error
        return found
