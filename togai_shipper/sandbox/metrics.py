"""The reply to ``POST /metrics``: how many events there are of which kind, in which period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .contract import Breach
from .metric_groups import Points, groups_of
from .metrics_contract import EVENTS, MetricQuery, read_request

if TYPE_CHECKING:
    from .ledger import BillingLedger
    from .switches import Switches


class NotServed(ValueError):  # noqa: N818  it is what it is
    """The sandbox has no such metric; the text says which it has."""


class Metrics:
    """Counts what the ledger has."""

    def __init__(self, ledger: BillingLedger, switches: Switches) -> None:
        self._ledger = ledger
        self._switches = switches

    def answer(self, payload: Any) -> dict[str, Any]:
        """Return the body of the reply. Raises ``Breach`` and ``NotServed``."""
        asked = read_request(payload, raw_statuses=self._switches.raw_statuses)
        others = sorted({query.name for query in asked.queries} - {EVENTS})
        if others:
            raise NotServed(f"{others[0]}: the sandbox has no usage meters and price plans, only {EVENTS}")
        counts = self._ledger.counts()
        found = [groups_of(query, asked.start, asked.end, counts, self._switches) for query in asked.queries]
        self._limit(found)
        return {
            "results": [
                {
                    "id": query.id,
                    "name": query.name,
                    "data": [_data(query, *group) for group in groups.items()],
                }
                for query, groups in zip(asked.queries, found, strict=True)
            ]
        }

    def _limit(self, found: list[dict[str, Points]]) -> None:
        """See to it that there are no more data points than may be."""
        switches = self._switches
        shares = {
            "response": [[points for groups in found for points in groups.values()]],
            "query": [list(groups.values()) for groups in found],
            "group": [[points] for groups in found for points in groups.values()],
        }
        for share in shares[switches.metrics_limit_of]:
            count = sum(map(len, share))
            if count > switches.metrics_limit and switches.metrics_over_limit == "refuse":
                most = f"at most {switches.metrics_limit} in a {switches.metrics_limit_of}"
                raise Breach(f"metricQueries: ask for {count} data points, {most}")
            room = switches.metrics_limit
            for points in share:
                for moment in list(points)[room:]:
                    del points[moment]
                room -= min(room, len(points))


def _data(query: MetricQuery, value: str, points: Points) -> dict[str, Any]:
    group = {} if query.group is None else {"groupedBy": {"fieldName": query.group, "fieldValue": value}}
    moments = [moment.isoformat().replace("+00:00", "Z") for moment in points]
    return {**group, "timestamps": moments, "metricValues": list(points.values())}
