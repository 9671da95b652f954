"""What this process cannot do: without POSIX, as on Windows, and in a sub-interpreter."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module

# Names of ``os`` that a spool, or a command that looks into one, cannot do without. Windows has none of them.
_NEEDED = (
    "fork",
    "register_at_fork",
    "geteuid",
    "fchown",
    "O_CLOEXEC",
    "O_DIRECTORY",
    "O_NOFOLLOW",
    "O_NONBLOCK",
)


def why_no_spool() -> str | None:
    """Say why no spool can be used here; ``None`` where one can.

    The locks that tell whose a file is belong to a process. Two interpreters of one process would both get
    the lock of one file, and the second would take over, and remove, what the first one is writing to.
    """
    missing = _missing()
    if missing:
        return f"a spool needs POSIX, and this Python has no {missing}"
    if not is_main_interpreter():  # pragma: no cover  its tests run in sub-interpreters, unmeasured
        return "a spool needs the main interpreter, and this is a sub-interpreter"
    return None


def _missing() -> str | None:
    """Return the first name of POSIX that this Python does not have."""
    try:
        import fcntl  # noqa: F401, PLC0415  asked at each call, and only of who wants a spool
    except ImportError as error:  # there is none, or no descriptor to open it with
        return "fcntl" if isinstance(error, ModuleNotFoundError) else f"fcntl ({error})"
    return next((f"os.{name}" for name in _NEEDED if not hasattr(os, name)), None)


def is_main_interpreter() -> bool:
    """Whether this interpreter is the one that the process began with; true where nothing tells."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on; before
        with suppress(ImportError):
            interpreters = import_module(name)
            return bool(interpreters.get_current() == interpreters.get_main())
    return True
