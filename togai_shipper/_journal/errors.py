"""What goes wrong with a journal."""

from __future__ import annotations


class JournalError(Exception):
    """A journal that cannot be read, whose message says why: it must not be summed."""
