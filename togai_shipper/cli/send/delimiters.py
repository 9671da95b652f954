"""What separates the columns of a CSV file: what it says itself, and what it seems to be. Pure."""

from __future__ import annotations

import re

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_TAB = "tab"
_DECLARED = re.compile(r'"?sep=([^"\r\n\0])"?')


def delimiter_of(given: str) -> str:
    """Read ``--delimiter``: a character, or the word tab. Raises ``ValueError``."""
    delimiter = "\t" if given in (_TAB, "\\t") else given
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ValueError(f"{given!r} is neither one character nor tab")
    return delimiter


def declared(line: str) -> str | None:
    """Return the delimiter that a line names for Excel, as in ``sep=;``, if it is such a line."""
    found = _DECLARED.fullmatch(line)
    return None if found is None else found[1]


def why_another(header: str, delimiter: str) -> str | None:
    """Say what seems to separate the names of a header more often than its delimiter, if something does."""
    likely = max(_NAMES, key=header.count)
    if header.count(likely) <= header.count(delimiter):
        return None
    expected = _NAMES.get(delimiter, repr(delimiter))
    option = _TAB if likely == "\t" else f"'{likely}'"
    return (
        f"its columns are separated by {_NAMES[likely]}, not by {expected}: send it with --delimiter {option}"
    )
