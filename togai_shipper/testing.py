"""What users test against: a Togai of their own, and what can go wrong with it.

``FakeTogai`` serves real HTTP on loopback from a thread of the test's own process; the values in ``faults``
say what is to go wrong with a request; ``Switches`` lists what Togai leaves open. It needs the extra
``sandbox``.
"""

from .sandbox import faults
from .sandbox.fake import FakeTogai
from .sandbox.journal import Answered, Received
from .sandbox.ledger import Entry, Ledger, Record
from .sandbox.switches import Switches

__all__ = ["Answered", "Entry", "FakeTogai", "Ledger", "Received", "Record", "Switches", "faults"]
