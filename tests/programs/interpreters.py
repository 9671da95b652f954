"""Run one program in the main interpreter, another in a sub-interpreter of this process; end by kill -9.

    python interpreters.py isolated "print('main')" "print('sub')"

Exits with 77 where this Python makes no such sub-interpreter, or cannot load the library into it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

CANNOT = 77
kind, main, sub = sys.argv[1:]

interpreters: Any
if sys.version_info >= (3, 13):
    interpreters = importlib.import_module("_interpreters")
    created = interpreters.create(kind)
else:
    try:
        interpreters = importlib.import_module("_xxsubinterpreters")
    except ImportError:
        sys.exit(CANNOT)
    if kind == "isolated":  # ctypes and others are not for these before
        sys.exit(CANNOT)
    created = interpreters.create(isolated=False)


def in_sub(program: str) -> str:
    """Run it there; returns what it raised, as text."""
    try:
        raised = interpreters.run_string(created, program)
    except Exception as error:  # up to Python 3.12
        raised = error
    return str(raised or "")


if in_sub("import ctypes, sqlite3, ssl"):
    sys.exit(CANNOT)
exec(compile(main, "<main>", "exec"))  # noqa: S102  as python -c does
sys.stdout.write(in_sub(sub))
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
