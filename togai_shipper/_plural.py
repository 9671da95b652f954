"""Numbers in sentences. Pure."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Such as ``1 event`` or ``1204 events``; with its verb, ``many`` is said in full."""
    return f"{count} {one if count == 1 else many or one + 's'}"
