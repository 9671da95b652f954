"""The journal: how many events of which day and schema were delivered, and what became of the others.

- ``facts`` is what a journal says
- ``errors`` is what goes wrong with one
- ``export`` is a file of journals, written and read
- ``reading`` finds the journals in a spool's directory
"""

from .errors import JournalError
from .export import read_export, written
from .facts import Counted, Fate, Journal, Kind, Listed
from .reading import read_journals

__all__ = [
    "Counted",
    "Fate",
    "Journal",
    "JournalError",
    "Kind",
    "Listed",
    "read_export",
    "read_journals",
    "written",
]
