"""Interrupting a function between any two of its lines, as a signal handler may."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def each_line_of(function: Any, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` before each line of a function that this thread runs, but not from within itself."""
    before = sys.gettrace()
    is_inside = False

    def local(frame: Any, event: str, _: Any) -> Any:
        nonlocal is_inside
        # Not at a "with": it is passed once more in the middle of leaving it, where no signal handler runs.
        text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if event == "line" and not is_inside and not text.startswith("with "):
            is_inside = True
            try:
                call()
            finally:
                is_inside = False
        return local

    sys.settrace(lambda frame, *_: local if frame.f_code is function.__code__ and not is_inside else None)
    try:
        yield
    finally:
        sys.settrace(before)


def lines_of(function: Any, call: Callable[[], object]) -> int:
    """How many lines of a function run while ``call`` does."""
    count = 0

    def note() -> None:
        nonlocal count
        count += 1

    with each_line_of(function, note):
        call()
    return count
