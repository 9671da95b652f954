"""The end of a process: what is pending when the interpreter exits is delivered, within one deadline."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._pipeline import Pipeline

# Held weakly: a shipper that is closed, or was never used, may go. One with work to do is kept by its
# flushers.
_pipelines: weakref.WeakKeyDictionary[Pipeline, int] = weakref.WeakKeyDictionary()
_orphans: set[Pipeline] = set()


def remember(pipeline: Pipeline) -> None:
    """Close ``pipeline`` when this process exits, if nobody has by then."""
    _pipelines[pipeline] = os.getpid()


def keep(pipeline: Pipeline) -> None:
    """``pipeline`` has lost its shipper and still has events: keep it until the end."""
    _orphans.add(pipeline)


@atexit.register
def close_all() -> None:
    """Close what is open in this process: all take no more, then all are waited for, with one deadline."""
    mine = [pipeline for pipeline, pid in list(_pipelines.items()) if pid == os.getpid()]
    timeout = max((pipeline.close_timeout for pipeline in mine), default=0.0)
    for pipeline in mine:
        pipeline.begin_closing(timeout)
    for pipeline in mine:
        pipeline.close(timeout)
