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

Applications load all of it here: what is loaded later may be loaded in a signal handler, beside a fork, or
where a test has stopped the clock. The command line alone loads what the command in question needs.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def _is_command_line() -> bool:
    """Whether this process is ``togai-shipper``, or ``python -m togai_shipper``."""
    program = (getattr(sys, "argv", None) or [""])[0]  # "-m" until the module is found
    return program.endswith("togai-shipper") or (program == "-m" and "togai_shipper" in sys.orig_argv)


if TYPE_CHECKING or not _is_command_line():
    from ._config import ApiKey, Options
    from ._default import close, configure, flush, measure, metered, stats, submit, sync, track
    from ._event import IDEMPOTENCY_NAMESPACE, Attribute, Attributes, Event
    from ._metering import Call, Measure
    from ._outcome import Finding, FlushReport, Outcome, Stats
    from ._shipper import Shipper
else:

    def __getattr__(name: str) -> Any:
        """Load what is asked for by a command, or by a module of the user's that it loads."""
        if name in __all__:
            for where in ("_event", "_outcome", "_config", "_default"):  # pragma: no branch  in one of them
                found = vars(import_module(f"{__name__}.{where}"))
                if name in found:
                    return found[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "Finding",
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
