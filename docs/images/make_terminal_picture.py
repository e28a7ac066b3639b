"""Draws the page that ends a run as an SVG, from the run's own record.

    python docs/images/make_terminal_picture.py RECORD.json PICTURE.svg

RECORD.json is a file of a lab's .hashlab/runs. The table is drawn by the code that draws it on a
terminal; nothing is added, left out or rounded otherwise.
"""

from __future__ import annotations

import argparse
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from hashlab.pipeline import Row, RunResult
from hashlab.report.richview import draw
from hashlab.report.summary import summary

COLUMNS = 128
# Older records do not keep how deep a step stands; these are parts of the phase before them.
PARTS = ("upload", "container", "healthy", "image")
# rich's own format without its web font: a picture in a page may not load one.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: ui-monospace, Menlo, Consolas, monospace; }}
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


def row(phase: dict[str, Any]) -> Row:
    """One entry of a record as the step it was made from."""
    started = phase["started"]
    return Row(
        name=phase["name"],
        machine=phase["machine"],
        service=phase["service"],
        started=datetime.fromisoformat(started).timestamp() if started else None,
        seconds=phase["seconds"],
        status=phase["status"],
        detail=phase["detail"],
        bytes_sent=phase["bytes_sent"],
        depth=phase.get("depth", int(phase["name"] in PARTS)),
    )


def picture(record: dict[str, Any]) -> str:
    """The page of a successful run as SVG."""
    if not record["ok"]:
        raise SystemExit("that run failed: a record keeps too little of it for a picture")
    started = datetime.fromisoformat(record["started"]).timestamp()
    rows = tuple(row(phase) for phase in record["phases"])
    result = RunResult(rows, started, record["seconds"], None)
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        highlight=False,
        markup=False,
        emoji=False,
    )
    draw(summary(result, notes=(), urls={}, columns=COLUMNS), console)
    title = f"hashlab {record['command']}"
    drawn = console.export_svg(title=title, code_format=FORMAT, unique_id="run")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def main() -> None:
    """Read the record, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    record = json.loads(arguments.record.read_text(encoding="utf-8"))
    arguments.picture.write_text(picture(record), encoding="utf-8")


if __name__ == "__main__":
    main()
