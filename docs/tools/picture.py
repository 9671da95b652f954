"""Draws ``docs/pictures/demo.svg``: what ``togai-shipper demo`` shows on a terminal when it has ended.

``python docs/tools/picture.py`` runs the demo on a terminal of its own, and keeps its last picture of the
progress and all that comes after it. Nothing is written by hand. Only the address of the stand-in, which is
another one each time, is made a fixed one. The picture asks for nothing from elsewhere, and is dark on every
page.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "pictures" / "demo.svg"
WIDTH = 94  # columns
DEMO = [sys.executable, "-m", "togai_shipper", "demo", "--seed", "7"]
#: How a terminal is told to draw over what it shows: up, or back to the start of the line, and clear it.
DRAWN_OVER = re.compile(r"\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
#: Escape sequences that are no colours.
CONTROLS = re.compile(r"\x1b\[\??[0-9;]*[A-Zhl]|\r")

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>The end of togai-shipper demo</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def printed() -> str:
    """Return all that the demo writes to a terminal."""
    ours, its = pty.openpty()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TOGAI_")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "50"}
    with subprocess.Popen(DEMO, stdin=its, stdout=its, stderr=its, env=environment) as demo:  # noqa: S603  ours
        os.close(its)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:  # the terminal of a process that has ended
            pass
        os.close(ours)
    if demo.returncode:
        raise SystemExit(f"the demo does not balance: exit status {demo.returncode}")
    return b"".join(parts).decode()


def shown(output: str) -> str:
    """Return what is still to be seen of it: the line above the progress, its last picture, the result."""
    above, _, _ = output.partition("\x1b[?25l")  # the cursor is hidden while the progress is shown
    *_, below = DRAWN_OVER.split(output)
    text = CONTROLS.sub("", f"$ togai-shipper demo\n{above}{below}")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)


def main() -> None:
    """Run the demo, and write the picture."""
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(shown(printed()).rstrip()), soft_wrap=True)
    PICTURE.parent.mkdir(exist_ok=True)
    svg = console.export_svg(title="togai-shipper demo", theme=MONOKAI, code_format=FORMAT, unique_id="demo")
    PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), "utf-8")


if __name__ == "__main__":
    main()
