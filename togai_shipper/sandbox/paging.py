"""Lists in pages: their size, and the tokens that stand for where the next page begins."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Generic, TypeVar

MOST_TOKENS = 10_000  # that are known; the oldest are forgotten

Start = TypeVar("Start")


class BadQuery(ValueError):  # noqa: N818  it is a query
    """A query is wrong; the text says which field, and why."""


def page_size(query: Mapping[str, str], default: int, most: int) -> int:
    """Return how many items a page is to hold. Raises ``BadQuery``."""
    text = query.get("pageSize", str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise BadQuery(f"pageSize: must be 1 to {most}")
    return int(text)


class Tokens(Generic[Start]):
    """Hands out tokens for the beginnings of pages."""

    def __init__(self) -> None:
        self._starts: dict[str, Start] = {}

    def issue(self, start: Start) -> str:
        """Return a token for this beginning."""
        if len(self._starts) >= MOST_TOKENS:
            self._starts = dict(list(self._starts.items())[MOST_TOKENS // 2 :])
        token = secrets.token_urlsafe(24)
        self._starts[token] = start
        return token

    def start(self, token: str) -> Start:
        """Return the beginning that a token stands for. Raises ``BadQuery``."""
        try:
            return self._starts[token]
        except KeyError:
            raise BadQuery("nextToken: is not known") from None
