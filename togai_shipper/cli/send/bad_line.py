"""A line that is no event, and how a complaint shows what stood there. Pure."""

from __future__ import annotations

_SHOWN = 60  # characters


class BadLine(Exception):  # noqa: N818  it says what a line is, and is also returned
    """A line is not an event; the text says why."""


def named(name: str) -> str:
    """Make a name from a line fit for a message: short, and without control characters."""
    if len(name) > _SHOWN:
        name = name[: _SHOWN + 1]  # a text of a megabyte is not escaped to its end
    text = name if name.isprintable() else repr(name)[1:-1]
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
