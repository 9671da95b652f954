"""Read how each process of a spool stands: what it says in its file, and whether its lock is held.

A look is cheap, and keeps no one waiting: of a living process's file only what it says is read. What waits in
files that say nothing of it is counted, and counted again once they have changed.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import attrs

from togai_shipper._engine.self_report import SelfReport
from togai_shipper.cli.processes import Process
from togai_shipper.cli.spool.directory import why_not_written
from togai_shipper.cli.spool.files import process_name
from togai_shipper.spool.errors import SpoolError
from togai_shipper.spool.file import SELF_REPORT, SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.opening import status_of


@attrs.frozen
class Sight:
    """What was seen at one look.

    Attributes:
        processes: all of them, living or gone.
        problems: what could not be read, a sentence each.
        remarks: what else is to be said, a line each.

    """

    processes: tuple[Process, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@attrs.frozen
class _Held:
    """What a file holds: pending events, when the oldest was accepted, and dead letters."""

    pending: int
    oldest_ms: int | None
    dead: int


class SpoolLook:
    """Looks at the files in a directory, again and again."""

    def __init__(self, folder: Folder) -> None:
        self.place = str(folder.given)
        self._folder = folder
        self._counted: dict[Path, tuple[object, _Held]] = {}  # as each file was when it was counted

    def look(self) -> Sight:
        """Look once. Raises ``SpoolError`` where the directory cannot be read."""
        processes, problems = [], [left.why for left in self._folder.foreign()]
        for path in self._folder.paths():
            try:
                processes.append(self._process(path))
            except SpoolError as error:
                if path.exists():  # else its process has removed it, or another has taken it over
                    problems.append(str(error))
        return Sight(tuple(processes), tuple(problems), tuple(why_not_written(self._folder)))

    def _process(self, path: Path) -> Process:
        owner = self._folder.owner(path)
        with closing(SpoolFile.peek(path)) as file:
            meta = file.meta()
            report = SelfReport.of_text(meta.get(SELF_REPORT, ""))
            says = report if owner is not None else None
            held = _Held(0, None, says.dead_letters) if says else self._held(file, is_gone=owner is None)
        return Process(
            name=process_name(owner, path),
            is_alive=owner is not None,
            report=report,
            held=held.pending,
            held_oldest_ms=held.oldest_ms,
            dead=held.dead,
            version=meta.get("version", ""),
            file=path.name,
        )

    def _held(self, file: SpoolFile, *, is_gone: bool) -> _Held:
        status, wal = status_of(file.path), status_of(Path(f"{file.path}-wal"))  # which a look makes anew
        now = (status and (status.st_size, status.st_mtime_ns), wal.st_size if wal else 0)
        then, held = self._counted.get(file.path, (None, None))
        if held is None or then != now or not is_gone:
            held = _Held(file.pending()[0], file.oldest_ms(), file.dead_count())
            self._counted[file.path] = now, held
        return held
