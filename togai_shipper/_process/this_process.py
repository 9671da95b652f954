"""Which process this is: what was made in another is left alone.

A pid by itself may come again: a grandchild may get that of its grandparent, which has ended. So forks are
counted too, where Python's at-fork hooks run. Where none runs (uWSGI), the pid alone tells.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """A process. There is one object for each: two are the same process if they are the same object."""

    pid: int
    forks: int  # between it and the process that has imported this, as far as hooks have run


_known = Process(os.getpid(), 0)  # this one; its parent's, in a child that no hook has told of
_all: dict[Process, Process] = {_known: _known}  # setdefault is atomic: threads may ask at once


def this_process() -> Process:
    """Return the process in which this is called."""
    global _known  # noqa: PLW0603  one attribute: what is read here is right, whoever writes in between
    known, pid = _known, os.getpid()
    if known.pid != pid:
        _known = known = _all.setdefault(Process(pid, known.forks), Process(pid, known.forks))
    return known


def _forked() -> None:
    global _known  # noqa: PLW0603  likewise
    here = Process(os.getpid(), _known.forks + 1)
    _known = _all.setdefault(here, here)


if hasattr(os, "register_at_fork"):  # pragma: no branch  not on Windows; its tests hide the name, unmeasured
    os.register_at_fork(after_in_child=_forked)
