"""OpenTelemetry: every figure of a shipper as an observable instrument (``opentelemetry-api``).

::

    from togai_shipper.contrib.opentelemetry import observe

    observe(shipper)

They are the figures of ``togai_shipper.contrib.prometheus`` with dots in their names
(``togai_shipper.events``, ``togai_shipper.events.pending``, ``togai_shipper.oldest_pending`` in ``s``), so
that an exporter to Prometheus comes to the same names; but the seconds that requests took are a counter,
``togai_shipper.request``, and how many there were is ``togai_shipper.requests``. They are read when your
metric reader collects; no thread is started.

In servers that fork, every worker has figures of its own: set up the meter provider in each worker, with a
``service.instance.id`` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from togai_shipper import Shipper, __version__

from ._figures import FIGURES, Figure, Shippers, standing


def observe(
    shippers: Shipper | Shippers | None = None, *, meter_provider: MeterProvider | None = None
) -> None:
    """Let a meter provider observe the figures of shippers. Call it once for each provider.

    Args:
        shippers: the one to observe, with the attribute ``shipper="default"``; or several by the attribute's
            values, ``{"eu": eu, "us": us}``. Default: that of ``togai_shipper.track``, once there is one.
        meter_provider: default: the global one.

    >>> from opentelemetry.sdk.metrics import MeterProvider
    >>> from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    >>> from togai_shipper import Shipper
    >>> reader = InMemoryMetricReader()
    >>> with Shipper(enabled=False) as shipper:
    ...     observe(shipper, meter_provider=MeterProvider([reader]))
    >>> found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    >>> found[0].name, found[0].unit
    ('togai_shipper.events', '{event}')

    """
    meter = (meter_provider or get_meter_provider()).get_meter("togai_shipper", __version__)
    instruments = {
        "counter": meter.create_observable_counter,
        "gauge": meter.create_observable_gauge,
        "total": meter.create_observable_counter,
    }
    for figure in FIGURES:
        instruments[figure.kind](figure.name, [_observing(figure, shippers)], figure.unit, figure.help)


def _observing(
    figure: Figure, shippers: Shipper | Shippers | None
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observed(_: CallbackOptions) -> Iterable[Observation]:
        for name, stats, healthy in standing(shippers):
            for values, reading in figure.read(stats, healthy):
                told = dict(zip(figure.labels, values, strict=True))
                attributes = {key: value for key, value in told.items() if value}
                yield Observation(+reading, {"shipper": name, **attributes})

    return observed
