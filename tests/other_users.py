"""Being another user for good, in a child, perhaps with a file system of its own, as a container has."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import pytest

from togai_shipper.cli.app import cli
from togai_shipper.cli.spool.command import spool

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
NEW_MOUNTS, BIND, PRIVATE, RECURSIVE = 0x20000, 4096, 1 << 18, 16384  # of <sched.h> and <sys/mount.h>


def as_user(
    uid: int,
    function: Callable[[], object],
    *,
    groups: Sequence[int] = (),
    volumes: Mapping[str, Path] | None = None,
) -> str:
    """Return ``repr`` of what ``function`` returns in a child that is this user.

    ``volumes`` are directories, by the path where the child sees each.
    """
    for group in (cli, spool):  # now: that user may not be allowed to read where Python's modules are
        for name in group.list_commands(click.Context(group)):
            group.get_command(click.Context(group), name)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "did not end"
        try:
            signal.alarm(60)
            for path, directory in (volumes or {}).items():
                mount(directory, Path(path))
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            text = repr(function())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


def mount(directory: Path, path: Path) -> None:
    """For this process alone, put a directory where a container has it, and nothing beside it."""
    libc = ctypes.CDLL(None, use_errno=True)
    above = str(path.parent)
    ok = not libc.unshare(NEW_MOUNTS)
    ok = ok and not libc.mount(None, b"/", None, PRIVATE | RECURSIVE, None)
    ok = ok and not libc.mount(b"none", above.encode(), b"tmpfs", 0, b"mode=755")
    if not ok:
        raise OSError(ctypes.get_errno(), "no directory can be mounted here")
    path.mkdir()
    if libc.mount(str(directory).encode(), str(path).encode(), None, BIND, None):
        raise OSError(ctypes.get_errno(), "the volume cannot be mounted")
