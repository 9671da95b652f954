"""Carries usage events from an application to Togai without the application noticing.

::

    from togai_shipper import Shipper

    shipper = Shipper(api_key="your-secret-key")        # or TOGAI_API_KEY
    shipper.track(
        "api_call", "acme",                              # schema name, account id
        {"count": 1, "latency": (12.5, "Milliseconds")}, # attributes
        {"region": "eu-west-1"},                         # dimensions
    )                                                    # -> the event's id
    shipper.close()                                      # delivers what is pending; also done at exit
"""

from ._config import ApiKey, Options
from ._default import close, configure, flush, measure, metered, stats, submit, sync, track
from ._event import IDEMPOTENCY_NAMESPACE, Attribute, Attributes, Event
from ._metering import Call, Measure
from ._outcome import FlushReport, Outcome, Stats
from ._shipper import Shipper
from ._version import __version__
from .exceptions import (
    ConfigurationError,
    DeliveryError,
    EventDropped,
    EventRejected,
    InvalidEvent,
    PayloadTooLarge,
    QueueFull,
    ShipperClosed,
    TogaiShipperError,
    Unauthorized,
)

__all__ = [
    "IDEMPOTENCY_NAMESPACE",
    "ApiKey",
    "Attribute",
    "Attributes",
    "Call",
    "ConfigurationError",
    "DeliveryError",
    "Event",
    "EventDropped",
    "EventRejected",
    "FlushReport",
    "InvalidEvent",
    "Measure",
    "Options",
    "Outcome",
    "PayloadTooLarge",
    "QueueFull",
    "Shipper",
    "ShipperClosed",
    "Stats",
    "TogaiShipperError",
    "Unauthorized",
    "__version__",
    "close",
    "configure",
    "flush",
    "measure",
    "metered",
    "stats",
    "submit",
    "sync",
    "track",
]
