"""Draws each ``docs/figures/*.mmd`` (Mermaid) as the SVG beside it, which holds its source.

Needs node, a Chromium, and ``mmdc`` on the path: ``npm install @mermaid-js/mermaid-cli`` (with
``PUPPETEER_SKIP_DOWNLOAD=1``, where there is a Chromium already).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

FIGURES = Path(__file__).parents[1] / "figures"
#: Plain SVG text, which shows inside an <img>, too, and the same ids in each run.
MERMAID = {
    "theme": "neutral",
    "htmlLabels": False,
    "fontFamily": "sans-serif",
    "deterministicIds": True,
    "flowchart": {"htmlLabels": False, "wrappingWidth": 400},
}


def main() -> None:
    """Draw them all."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        mermaid, browser = Path(folder, "mermaid.json"), Path(folder, "browser.json")
        mermaid.write_text(json.dumps(MERMAID))
        browser.write_text(json.dumps({"executablePath": chromium, "args": ["--no-sandbox"]}))
        for source in sorted(FIGURES.glob("*.mmd")):
            drawn = source.with_suffix(".svg")
            options = ["-i", source, "-o", drawn, "-c", mermaid, "-p", browser, "-b", "white", "-q"]
            subprocess.run(["mmdc", *options], check=True)  # noqa: S603, S607  the node of whoever draws
            head, _, body = drawn.read_text("utf-8").partition(">")
            text = source.read_text("utf-8")
            drawn.write_text(f"{head}><metadata><![CDATA[\n{text}]]></metadata>{body}\n", "utf-8")


if __name__ == "__main__":
    main()
