"""Draws run records under each other as waterfalls on one time axis, as SVG.

    python docs/images/make_waterfall.py TITLE=RECORD.json [TITLE=RECORD.json ...] > cold_start.svg

RECORD.json is a record of `.hashlab/runs`. Rows that had nothing to do are left out.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

ROW, LABEL, SCALE, HEAD = 18, 190, 26, 34
COLOURS = {
    "boot": "#8a6fb0", "connect": "#8a6fb0", "disks": "#8a6fb0", "prepare": "#8a6fb0",
    "container": "#2f7fb8", "healthy": "#57a3d4", "seed": "#d98a2b", "verify": "#c9a227",
}  # fmt: skip
STYLE = """
text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } .axis { stroke: #bbb }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .axis { stroke: #555 } }
"""


def rows_of(record: dict[str, Any]) -> list[tuple[str, str, float, float]]:
    """Label, phase, first and last second of every row that did something."""
    start = datetime.fromisoformat(record["started"])
    found = []
    for row in record["phases"]:
        if row["started"] is None or row["status"] == "skipped" or row["name"] == "containers":
            continue
        began = (datetime.fromisoformat(row["started"]) - start).total_seconds()
        place = row["service"] or row["machine"] or ""
        found.append((f"{row['name']} {place}".strip(), row["name"], began, began + row["seconds"]))
    return sorted(found, key=lambda row: (row[2], row[3]))


def waterfall(title: str, record: dict[str, Any], top: int) -> tuple[list[str], int]:
    """The lines of one waterfall and where it ends."""
    rows = rows_of(record)
    bottom = top + HEAD + len(rows) * ROW
    lines = [f'<text class="title" x="8" y="{top + 16}">{escape(title)}: {record["seconds"]:.1f} s']
    lines[-1] += "</text>"
    for second in range(0, int(record["seconds"]) + 2, 5):
        x: float = LABEL + second * SCALE
        lines.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{top + 24}" y2="{bottom}"/>')
        lines.append(f'<text x="{x + 2}" y="{top + 30}">{second} s</text>')
    for number, (label, phase, began, ended) in enumerate(rows):
        y = top + HEAD + number * ROW
        width = max(1.0, (ended - began) * SCALE)
        x = LABEL + began * SCALE
        colour = COLOURS.get(phase, "#7d8790")
        lines.append(f'<text x="8" y="{y + 13}">{escape(label)}</text>')
        bar = f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}"'
        lines.append(f'{bar} fill="{colour}"><title>{ended - began:.2f} s</title></rect>')
    return lines, bottom + 24


def main() -> None:
    pairs = [word.partition("=")[::2] for word in sys.argv[1:]]
    if not pairs:
        sys.exit(__doc__)
    records = [(title, json.loads(Path(path).read_text())) for title, path in pairs]
    width = LABEL + (int(max(record["seconds"] for _, record in records)) + 2) * SCALE
    top, lines = 8, []
    for title, record in records:
        more, top = waterfall(title, record, top)
        lines += more
    view = f'viewBox="0 0 {width} {top}"'
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} role="img">',
        f"<title>Waterfalls of {escape(', '.join(title for title, _ in records))}</title>",
        f"<style>{STYLE}</style>",
        *lines,
        "</svg>",
    ]
    sys.stdout.write("\n".join(svg) + "\n")


if __name__ == "__main__":
    main()
