"""Checks of the spool: whether the directory can be one, has room, and holds what nobody will send."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from togai_shipper.cli.formats import plural, size
from togai_shipper.cli.processes import FAILURES, WARNINGS, grouped, remedy, sentence, word
from togai_shipper.cli.spool.files import ASIDE, OK, FileFacts, read_files
from togai_shipper.spool.filesystems import filesystem_of, is_networked, why_not_there
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.ownership import Refusal

from .check import Check
from .world import World

with suppress(ImportError):  # Windows has none, and no spool is looked at there
    import fcntl

LITTLE_SPACE = 64_000_000  # bytes; with less, the spool will soon be full
_WHO = "Does it belong to the user that the application runs as?"
_ROOM = "Make room (df, df -i); delete no file of the spool, it holds what is not billed yet."
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "Mount it so that it can be written to, or name another directory.",
}


def spool(directory: str, base_url: str, bound: int, world: World) -> Iterator[Check]:
    """Check whether the directory can be a spool, and what is in it, if it can be told."""
    path = Path(directory)
    try:
        status = path.stat()
        os.listdir(path)  # noqa: PTH208  only this asks whether it can be listed
    except FileNotFoundError:
        yield _not_there(path)
        return
    except NotADirectoryError:
        yield Check(
            "fail", "spool", f"{path} is a file, not a directory", "Remove it, or choose another directory."
        )
        return
    except OSError as error:
        yield Check("fail", "spool", f"{path} cannot be read: {error.strerror}", _WHO)
        return
    kind = filesystem_of(path, world.mounts)
    if is_networked(kind):
        found, _, advice = why_not_there(path, kind).partition("; ")
        yield Check("fail", "spool", found, f"It is refused: {advice}.")
        return
    folder = Folder(directory)
    use, below = folder.use(world.mounts), path / str(os.geteuid())
    if isinstance(use, Refusal):
        found, _, advice = use.why.partition("; ")
        yield Check("fail", "spool", f"{path}: {found}", f"It is refused: {advice}.")
        return
    try:
        _try(below if use == "below" and below.is_dir() else path)
    except OSError as error:
        yield unwritable(path, error)
        if error.errno not in _REMEDIES:  # pragma: no branch  a full disk: docs/tools/faults.py
            return
    else:
        yield Check("ok", "spool", f"{path} can be written to{kind and f' ({kind})'}")
    if use == "below":
        yield Check("ok", "spool mode", f"several users may write to it: ours is {below}")
    else:
        yield from permissions(status.st_mode, status.st_uid, os.geteuid(), directory)
    files = read_files(folder)
    yield space(world.free(path), sum(facts.disk_bytes for facts in files), bound)
    yield from processes(files, directory, int(world.now() * 1000))
    yield from stranded(files, base_url, directory)


def _not_there(path: Path) -> Check:
    above = next(each for each in path.absolute().parents if each.exists())
    as_we_act = os.access in os.supports_effective_ids  # not on every C library
    if os.access(above, os.W_OK | os.X_OK, effective_ids=as_we_act):
        return Check("ok", "spool", f"{path} does not exist yet: the application makes it")
    return Check("fail", "spool", f"{path} does not exist, and {above} cannot be written to", _WHO)


def _try(path: Path) -> None:
    """Write a file, sync it and lock it, as a spool does. Raises ``OSError``."""
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# --- what each finding means ------------------------------------------------------------------------------


def unwritable(path: Path, error: OSError) -> Check:
    """Say why nothing can be written there, and what helps."""
    remedy = _REMEDIES.get(error.errno or 0, _WHO)
    return Check("fail", "spool", f"{path} cannot be written to: {error.strerror}", remedy)


def permissions(mode: int, owner: int, us: int, path: str) -> Iterator[Check]:
    """Check that only its owner may look into it, and that we are its owner."""
    if mode & 0o077:
        yield Check(
            "warn",
            "spool mode",
            f"is {mode & 0o777:o}: other users can look into it",
            f"It holds what customers are billed for: chmod 700 {path}",
        )
    else:
        yield Check("ok", "spool mode", f"is {mode & 0o777:o}")
    if owner != us:
        yield Check(
            "warn",
            "spool owner",
            f"is user {owner}, and you are user {us}",
            "Run this as the user that the application runs as: its permissions are what counts.",
        )


def space(free: int, used: int, bound: int) -> Check:
    """Check that there is room for what the spool may grow to: ``bound`` bytes."""
    wanted = max(bound - used, 0)
    text = f"{size(free)} free"
    if free < LITTLE_SPACE:
        return Check("fail", "disk", text, "Make room: what does not fit is kept in memory only.")
    if free < wanted:
        advice = f"The spool may grow by {size(wanted)} (max_spool_bytes): make room, or lower the bound."
        return Check("warn", "disk", text, advice)
    return Check("ok", "disk", text)


def processes(files: Sequence[FileFacts], directory: str, now_ms: int) -> Iterator[Check]:
    """Report what living processes say of themselves."""
    living = [facts.process for facts in files if facts.state == OK and facts.owner is not None]
    for alike in grouped(living, now_ms):
        what = word(alike[0], now_ms)
        if what in (*FAILURES, *WARNINGS):
            level: Literal["fail", "warn"] = "fail" if what in FAILURES else "warn"
            yield Check(level, "process", sentence(alike, now_ms), remedy(alike[0], directory, now_ms))
        elif what == "unknown":
            yield Check("ok", "process", sentence(alike, now_ms))


def stranded(files: Sequence[FileFacts], base_url: str, directory: str) -> Iterator[Check]:
    """Report what waits, and what will not be sent by itself."""
    usable = [facts for facts in files if facts.state == OK]
    pending = sum(facts.pending for facts in usable)
    alive = sum(facts.owner is not None for facts in files)
    dead = sum(sum(facts.dead.values()) for facts in usable)
    yield Check(
        "ok",
        "spool",
        f"{plural(pending, 'event')} pending, {plural(alive, 'living process', 'living processes')}",
    )
    orphans = [
        facts for facts in usable if facts.owner is None and facts.pending and facts.base_url == base_url
    ]
    if orphans:
        count = sum(facts.pending for facts in orphans)
        if alive:
            advice = "A living process takes them over within two minutes."
        else:
            advice = f"Start the application, or deliver them: togai-shipper drain {directory}"
        yield Check("warn", "left behind", f"{plural(count, 'event')} of processes that are gone", advice)
    for url in sorted({facts.base_url for facts in usable if facts.pending} - {base_url}):
        count = sum(facts.pending for facts in usable if facts.base_url == url)
        yield Check(
            "warn",
            "stranded",
            f"{plural(count, 'event')} for {url or 'an unknown server'}",
            f"They are not sent to {base_url}: start an application with that base_url, or drain them to it.",
        )
    if dead:
        yield Check("warn", "dead letters", f"{dead:,}", f"See why: togai-shipper spool dead {directory}")
    for facts in files:
        if facts.state == ASIDE:
            yield Check(
                "warn", "set aside", f"{facts.path.name}: {facts.why}", "Look into it, then remove it."
            )
        elif facts.state != OK:
            see = f"See: togai-shipper spool verify {directory}"
            yield Check("warn", facts.state, f"{facts.path.name}: {facts.why}", see)
