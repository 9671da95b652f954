"""How a drainer and its relay stand, at one instant: for the command line, and for the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from .lease import Lease
from .shelf import Passed

Role: TypeAlias = Literal["leads", "stands by", "waits"]


@attrs.frozen
class View:
    """How a drainer and its relay stand.

    Attributes:
        role: ``leads``; ``stands by``: another one leads; ``waits``: nobody does, or nobody knows.
        lease: what is known of the lease.
        facts: what the relay's hash said last.
        length: how many entries the stream had then.
        passed: what stays in the stream, since it is not ours, or its age is not known.
        full: entries that stay, since there are too many dead letters.
        lost: events that Redis has lost, at least.
        is_empty: nothing is left that could be sent.
        failure: why Redis could not be asked; empty where it could.
        is_refused: it will not be otherwise by itself: another key, another base URL, no rights.

    """

    role: Role
    lease: Lease
    facts: Mapping[str, str]
    length: int
    passed: Passed
    full: int
    lost: int
    is_empty: bool
    failure: str
    is_refused: bool
