"""Text of strangers, made fit for a line of a log or of a terminal. Pure.

Messages of servers, names of files, contents of events and texts of exceptions come from strangers. In a
line they could move the cursor, change the order in which the line is read, hide a part of it, or begin a
line of their own.

What becomes a space, character by character:

- whatever Unicode calls no character, a control, a format, a private or an unassigned one, a lone surrogate,
  and a separator other than the space: escapes, C1 controls, line ends of every kind, direction marks,
  characters without width, the byte order mark, tags;
- the few letters and symbols that look like nothing: with them, two names look like one;
- every combining mark after the fourth on one character: no script needs more, and many of them cover the
  lines above.

Letters that are written from right to left stay: they are how people write. Nothing is cut or added, so text
that is made printable once more does not change.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from unicodedata import category

MARKS = 4  # combining marks on one character
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def printable(text: str) -> str:
    """Return ``text`` as one line that is what it looks like."""
    return text if text.isascii() and text.isprintable() else "".join(_shown(text))


def _shown(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if category(character).startswith("M") else 0
        yield character if character.isprintable() and character not in BLANK and marks <= MARKS else " "


def printable_traceback(error: BaseException) -> str:
    """Return the traceback of ``error``, indented: none of its lines looks like one of the log."""
    lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    return "\n".join(f"  {printable(line)}".rstrip() for line in lines)
