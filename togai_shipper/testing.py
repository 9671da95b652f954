"""For the tests of applications: a Togai of their own, what can go wrong with it, and what was tracked.

``FakeTogai`` serves real HTTP on loopback from a thread of the test's own process; the values in ``faults``
say what is to go wrong with a request; ``Switches`` lists what Togai leaves open. They need the extra
``sandbox``. ``RecordedEvents`` needs nothing: no network, a list of what was tracked, and assertions on it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._recording import RecordedEvents

if TYPE_CHECKING:
    from .sandbox import faults
    from .sandbox.event_outcome import EventOutcome
    from .sandbox.fake import FakeTogai
    from .sandbox.journal import Answered, Received
    from .sandbox.ledger import BillingLedger, Entry
    from .sandbox.records import Record
    from .sandbox.switches import Switches

    Ledger = BillingLedger

__all__ = [
    "Answered",
    "BillingLedger",
    "Entry",
    "EventOutcome",
    "FakeTogai",
    "Ledger",
    "Received",
    "Record",
    "RecordedEvents",
    "Switches",
    "faults",
]

_SANDBOX = {
    "Answered": "journal",
    "BillingLedger": "ledger",
    "Entry": "ledger",
    "EventOutcome": "event_outcome",
    "FakeTogai": "fake",
    "Received": "journal",
    "Record": "records",
    "Switches": "switches",
    "faults": "faults",
}

_OLDER_NAMES = {"Ledger": "BillingLedger"}  # a name that still works -> what it is called now


def __getattr__(name: str) -> Any:
    """Import a part of the sandbox when it is first used, since it needs an extra."""
    name = _OLDER_NAMES.get(name, name)
    if name not in _SANDBOX:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f".sandbox.{_SANDBOX[name]}", __package__)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} needs the extra 'sandbox' ({error.name} is missing): "
            "pip install 'togai-shipper[sandbox]'",
            name=error.name,
        ) from error
    return module if name == "faults" else getattr(module, name)
