"""Prometheus: every figure of a shipper on your ``/metrics`` page (``prometheus-client``).

::

    from prometheus_client import REGISTRY
    from togai_shipper.contrib.prometheus import ShipperCollector

    REGISTRY.register(ShipperCollector(shipper))

What the page then says, each with the label ``shipper``; nothing is counted twice, and no thread is started:

=============================================  =======  ====================================================
``togai_shipper_events_total``                 counter  by ``outcome`` and ``reason``, see below
``togai_shipper_left_out_total``               counter  measured, and no event, by ``reason``: see below
``togai_shipper_events_pending``               gauge    accepted, and not at their end
``togai_shipper_events_in_flight``             gauge    of those, held by a flusher
``togai_shipper_oldest_pending_seconds``       gauge    age of the oldest of them; 0 if there is none
``togai_shipper_requests_total``               counter  by ``status``: 202, 503 …, or none: no whole reply
``togai_shipper_request_seconds``              summary  what requests took: ``_count`` and ``_sum``
``togai_shipper_requests_in_flight``           gauge    on the wire
``togai_shipper_retries_total``                counter  requests that repeated an earlier one
``togai_shipper_sent_bytes_total``             counter  size of the bodies of requests
``togai_shipper_healthy``                      gauge    1, or 0: see ``Shipper.healthy``
``togai_shipper_state``                        gauge    by ``state``: 1 for open, parked, closing or closed
``togai_shipper_events_spooled``               gauge    pending events on disk; this and what follows is 0
``togai_shipper_spool_bytes``                  gauge    their size                        without ``spool``
``togai_shipper_spool_durable``                gauge    1: what is accepted is on disk some 10 ms later
``togai_shipper_events_recovered_total``       counter  taken over from earlier processes, or replayed
``togai_shipper_events_corrupt_total``         counter  found damaged on disk
``togai_shipper_events_stranded``              gauge    on disk, and not this shipper's to send
``togai_shipper_dead_letters``                 gauge    on disk, and not to be sent until replayed or purged
``togai_shipper_relay_held``                   gauge    relayed, and kept until proven; this and what
``togai_shipper_relay_repeated_total``         counter  handed over once more  follows is 0 without ``relay``
``togai_shipper_relay_unproven_total``         counter  left memory unproven, out of room
``togai_shipper_relay_events``                 gauge    in the relay, everybody's, at the last look
``togai_shipper_relay_dead_letters``           gauge    dead letters there, likewise
``togai_shipper_relay_stalled``                gauge    1: it has some, none left for 10 minutes
``togai_shipper_looked_up_total``              counter  delivered, and looked up then, by ``result``
``togai_shipper_unbilled_total``               counter  of those, not billed, by Togai's ``status``
=============================================  =======  ====================================================

An event ends with the ``outcome`` ``delivered`` (``reason`` empty, or ``duplicate``: Togai had it),
``relayed``, ``rejected``, ``dropped`` (``closed``, ``past dedupe window``, ``corrupt``), or was ``refused``
by ``track()`` (``invalid``, ``full``, ``closed``, ``filtered``, ``disabled``, ``feedback``,
``misconfigured``). What was measured may be left out, and is no event: a ``slash redirect`` of the framework,
a CORS ``preflight``, what is metered ``twice``, what ``when`` or ``failures=False`` said no to, and what has
``no account``.

**Servers that fork** (gunicorn, uWSGI): every worker has a shipper of its own, and so figures of its own. One
page that any worker may answer would show now this one's, now that one's counters, which Prometheus takes for
restarts; and the multiprocess mode of ``prometheus-client`` knows no collectors. So let each worker serve a
page of its own, and Prometheus scrape them all; ``sum by (outcome) (…)`` does the rest::

    # gunicorn.conf.py: as many ports as there may be workers, also while one takes over from another
    from prometheus_client import start_http_server

    def post_worker_init(worker):
        for port in range(9200, 9210):
            try:
                return start_http_server(port)
            except OSError:  # another worker's
                pass

What a worker counts after its last scrape, nobody sees: Togai's bill is the truth, and these are signs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from togai_shipper import Shipper

from ._figures import FIGURES, Figure, Shippers, standing

_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily

_UNITS = {"s": "seconds", "By": "bytes"}
_FAMILIES: dict[str, type[_Family]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "total": SummaryMetricFamily,
}


class ShipperCollector(Collector):
    """Collects the figures of shippers for a registry of ``prometheus_client``, at each scrape.

    Args:
        shippers: the one to tell of, under the label ``shipper="default"``; or several by the label's values,
            ``{"eu": eu, "us": us}``, for a registry takes one such collector. Default: that of
            ``togai_shipper.track``, once there is one.

    >>> from prometheus_client import CollectorRegistry
    >>> from togai_shipper import Shipper
    >>> registry = CollectorRegistry()
    >>> with Shipper(enabled=False) as shipper:
    ...     registry.register(ShipperCollector(shipper))
    ...     event_id = shipper.track("api_call", "acme", {"count": 1})
    >>> labels = {"shipper": "default", "outcome": "refused", "reason": "disabled"}
    >>> registry.get_sample_value("togai_shipper_events_total", labels)
    1.0

    """

    def __init__(self, shippers: Shipper | Shippers | None = None) -> None:
        self._shippers = shippers

    def describe(self) -> Iterable[Metric]:
        """Name the metrics that there will be, without asking a shipper."""
        return [_family(figure) for figure in FIGURES]

    def collect(self) -> Iterable[Metric]:
        """Return every figure of every shipper, each shipper's read at one instant."""
        families = [_family(figure) for figure in FIGURES]
        for name, stats, healthy in standing(self._shippers):
            for figure, family in zip(FIGURES, families, strict=True):
                for values, reading in figure.read(stats, healthy):
                    labels = (name, *values)
                    if isinstance(family, SummaryMetricFamily):
                        family.add_metric(labels, sum(stats.replies.values()), reading)
                    else:
                        family.add_metric(labels, float(reading))
        return families


def _family(figure: Figure) -> _Family:
    unit = _UNITS.get(figure.unit, "")
    name = figure.name.replace(".", "_") + (f"_{unit}" if unit else "")
    return _FAMILIES[figure.kind](name, figure.help, labels=("shipper", *figure.labels), unit=unit)
