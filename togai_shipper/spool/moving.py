"""What a file that is about to be removed has to say still of pieces that came into it from others.

Until the last piece is gone where it came from, only this file's record keeps it from being moved once more.
"""

from __future__ import annotations

from contextlib import closing

from .errors import Damaged, SpoolError
from .file import SpoolFile
from .moves import Record


def owes(file: SpoolFile) -> bool:
    """Tell whether a piece that was moved here may be where it came from, too. Raises ``SpoolError``."""
    for source, record in file.moves.records().items():
        path = file.path.with_name(source)
        if not path.exists():
            continue
        try:
            with closing(SpoolFile.peek(path)) as other:
                if other.moves.heir() == file.path.name and other.moves.has(record):
                    return True
        except Damaged:
            continue
        except SpoolError:  # locked, say
            return True
    return False


def moved_to_heir(file: SpoolFile, ours: SpoolFile) -> Record:
    """Return the last piece of a file that is in its heir's, and may be in it still.

    Raises ``SpoolError`` where the heir's file cannot be read for now.
    """
    heir = file.moves.heir()
    if not heir:
        return Record()
    if heir == ours.path.name:
        return ours.moves.records().get(file.path.name, Record())
    path = file.path.with_name(heir)
    if not path.exists():  # it was removed: then nothing of the last piece was left here
        return Record()
    with closing(SpoolFile.peek(path)) as other:
        return other.moves.records().get(file.path.name, Record())
