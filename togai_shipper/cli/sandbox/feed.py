"""Prints a line for each request that is over, and with ``--verbose`` one for each of its events.

Nobody reads thousands of lines a second, and printing them would slow the sandbox, which shares the
interpreter: so each look prints a bounded number of lines, and says how many it has left out. What is not
billed or refused comes before what is.
"""

from __future__ import annotations

from collections.abc import Sequence

from togai_shipper.cli.formats import plural
from togai_shipper.cli.screen import Screen
from togai_shipper.sandbox.journal import Answered

from .lines import DIM, Line, event_lines, request_lines

MOST_REQUESTS = 40  # at a look
MOST_EVENTS = 20  # at a look


class Feed:
    """Prints requests, once each."""

    def __init__(self, screen: Screen, *, quiet: bool = False, verbose: bool = False) -> None:
        self.screen = screen
        self._quiet = quiet
        self._verbose = verbose
        self._shown: set[tuple[int, float]] = set()  # of those that the sandbox still keeps

    def show(self, requests: Sequence[Answered]) -> None:
        """Print the requests that are over and were not printed before."""
        over = {_key(request): request for request in requests if request.ended is not None}
        new = [request for key, request in over.items() if key not in self._shown]
        self._shown = set(over)
        if new and not self._quiet:
            self.screen.say_lines(self._lines(new))

    def _lines(self, requests: Sequence[Answered]) -> list[Line]:
        width = self.screen.width if self.screen.is_terminal else None
        lines: list[Line] = []
        room = MOST_EVENTS if self._verbose else 0
        for request in requests[:MOST_REQUESTS]:
            lines += request_lines(request, width)
            shown = _worst_first(request)[:room]
            room -= len(shown)
            for index in shown:
                lines += event_lines(request.events[index], request.outcomes[index], width)
            if self._verbose and (left := len(request.events) - len(shown)):
                lines.append([(f"     … {plural(left, 'event')} more", DIM)])
        if (left := len(requests) - MOST_REQUESTS) > 0:
            lines.append([(f"…    {plural(left, 'request')} more", DIM)])
        return lines


def _key(request: Answered) -> tuple[int, float]:
    return request.number, request.at  # numbers begin anew where the sandbox is cleared


def _worst_first(request: Answered) -> list[int]:
    kinds = [None if outcome is None else outcome.kind for outcome in request.outcomes]
    return sorted(range(len(kinds)), key=lambda index: kinds[index] in ("billed", "known"))
