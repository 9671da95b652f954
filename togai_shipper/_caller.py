"""Who called: the line of the application's code that came to ``track()``.

That is asked only where an event is refused: it costs a microsecond.
"""

from __future__ import annotations

import sys

_OURS = __name__.partition(".")[0]
_INSIDE = f"{_OURS}."


def caller() -> str:
    """Return ``folder/file.py:12``, the nearest line on this thread's stack that is not this library's.

    Empty where there is none: a thread of the library's own.
    """
    frame = sys._getframe()  # noqa: SLF001  the documented way to one's own stack, without formatting it
    while frame := frame.f_back:  # type: ignore[assignment]  # ends at None
        name = str(frame.f_globals.get("__name__", ""))
        if name != _OURS and not name.startswith(_INSIDE):
            return f"{'/'.join(frame.f_code.co_filename.rsplit('/', 2)[-2:])}:{frame.f_lineno}"
    return ""
