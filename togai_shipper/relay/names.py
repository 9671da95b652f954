"""The name of a process that works on a relay: no other one has it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable


def new_name(wall: Callable[[], float]) -> str:
    """Return a name for this process: its host, its pid, and when it has begun."""
    return f"{socket.gethostname()}/{os.getpid()}/{wall():.6f}"
