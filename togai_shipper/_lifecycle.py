"""The ends of a process: what is still pending when the interpreter exits is delivered, within one deadline."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._pipeline import Pipeline

_open: dict[Pipeline, int] = {}  # pipelines with a life, and the process they live in


def remember(pipeline: Pipeline) -> None:
    """Close ``pipeline`` at exit, if nobody has by then."""
    _open.setdefault(pipeline, os.getpid())


def forget(pipeline: Pipeline) -> None:
    """``pipeline`` is closed."""
    _open.pop(pipeline, None)


@atexit.register
def close_all() -> None:
    """Close what is open in this process: all take no more first, then all are waited for, with one deadline."""
    mine = [pipeline for pipeline, pid in list(_open.items()) if pid == os.getpid()]
    timeout = max((pipeline.close_timeout for pipeline in mine), default=0.0)
    for pipeline in mine:
        pipeline.begin_closing(timeout)
    for pipeline in mine:
        pipeline.close(timeout)
