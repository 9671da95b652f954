"""What commands draw: tables, bars and styled lines. It loads the terminal library; ``terminal`` does not.

No command breaks a line of text: a terminal wraps it, a script finds it whole, and a command in it can be
copied. What is drawn is as wide as the terminal, or as COLUMNS says, or, without either, 80 columns.

The texts of strangers are made printable here, too, and no markup of the terminal library is read in them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from togai_shipper._printable import printable

from .streams import stop_if_lost

_SIZE = re.compile("[1-9][0-9]{0,4}")  # of a terminal, in COLUMNS and LINES


def styled(text: str, style: str = "") -> Text:
    """Make a text for a ``Screen``, a cell of a table for example."""
    return Text(printable(text), style)


class Screen(Console):
    """A terminal, or a file in its place: draws tables, bars and styled lines.

    What prints to standard output raises ``OutputLost``; what a thread draws again and again does not.
    """

    def __init__(self, **options: Any) -> None:
        # The library fails at digits of other scripts here, and draws nothing on 0 columns.
        environ = {
            name: text
            for name, text in os.environ.items()
            if name not in ("COLUMNS", "LINES") or _SIZE.fullmatch(text)
        }
        super().__init__(**{"_environ": environ, **options}, highlight=False, markup=False, emoji=False)

    def say(self, *parts: str | Text) -> None:
        """Print one line, which the terminal may wrap and nobody else does."""
        texts = [part if isinstance(part, Text) else styled(part) for part in parts]
        self.print(Text.assemble(*texts), soft_wrap=True)
        self._stop_if_lost()

    def say_lines(self, lines: Iterable[Iterable[tuple[str, str]]]) -> None:
        """Print lines, each of which is made of texts and their styles: all at once, for that is faster."""
        texts = [Text.assemble(*(styled(text, style) for text, style in line)) for line in lines]
        self.print(Text("\n").join(texts), soft_wrap=True)
        self._stop_if_lost()

    def draw(self, table: RenderableType) -> None:
        """Print a table."""
        self.print(table)
        self._stop_if_lost()

    def _stop_if_lost(self) -> None:
        if not self.stderr:
            stop_if_lost()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as the library does; whatever is drawn, its text is printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_printable_lines(segment.text))


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
