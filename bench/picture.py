"""Draws the figures of a bench as horizontal bars in an SVG that is readable on light and on dark.

python bench/picture.py round_trip|scale FIGURES.json PICTURE.svg
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH = 860
LABELS = 190  # where bars begin, in pixels
BAR = 15
GAP = 5
GROUP = 34
FIGURES = 120  # what is left free at the right for the words after the longest bar
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 16px; font-weight: 600; }
.group { font-weight: 600; }
.small { font-size: 12px; fill: #57606a; }
.other { fill: #9aa4b0; }
.own { fill: #0a7d4f; }
.floor { fill: #b7791f; }
.spread { stroke: #24292f; stroke-width: 1.2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .small { fill: #9da7b3; }
  .other { fill: #5d6874; }
  .own { fill: #3fb981; }
  .floor { fill: #d9a441; }
  .spread { stroke: #e6edf3; }
}
"""


@dataclass(frozen=True)
class Bar:
    """One figure: what it is of, all its rounds in seconds, and its colour's class."""

    label: str
    values: list[float]
    kind: str


def draw_round_trip(seconds: dict[str, list[float]]) -> str:
    """One group for each edit, one bar for each who brings it to the machines."""
    groups: dict[str, list[Bar]] = {}
    for name, values in seconds.items():
        edit, who = name.split(": ", 1)
        if edit != "floor":
            kind = "own" if who == "hashlab" else "other"
            groups.setdefault(edit, []).append(Bar(who, values, kind))
    floor = seconds.get("floor: sum")
    if floor and "one class" in groups:
        groups["one class"].insert(1, Bar("floor", floor, "floor"))
    return draw("From an edit to all machines, seconds", groups)


def draw_scale(seconds: dict[str, list[float]]) -> str:
    """One group for each thing that grows, one bar for each size of it."""
    groups: dict[str, list[Bar]] = {}
    for name, values in seconds.items():
        axis, size = name.split(": ", 1)
        groups.setdefault(axis, []).append(Bar(size, values, "own"))
    return draw("A refresh with nothing changed, seconds", groups)


def draw(title: str, groups: dict[str, list[Bar]]) -> str:
    """The SVG. Bars begin at zero and show medians; the thin line goes from least to most."""
    longest = max(max(bar.values) for bars in groups.values() for bar in bars)
    scale = (WIDTH - LABELS - FIGURES) / longest
    parts = [f'<text class="title" x="12" y="26">{escape(title)}</text>']
    top = 48
    for group, bars in groups.items():
        parts.append(f'<text class="group" x="12" y="{top + 12}">{escape(group)}</text>')
        top += 22
        for bar in bars:
            parts += _bar(bar, top, scale)
            top += BAR + GAP
        top += GROUP - 22
    most = max(len(bar.values) for bars in groups.values() for bar in bars)
    told = f"Bars: median of {most} rounds. Lines: least to most."
    parts.append(f'<text class="small" x="12" y="{top + 4}">{told}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 18}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(bar: Bar, top: int, scale: float) -> list[str]:
    middle, least, most = statistics.median(bar.values), min(bar.values), max(bar.values)
    line, right = top + BAR / 2, LABELS + most * scale
    return [
        f'<text x="{LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect class="{bar.kind}" x="{LABELS}" y="{top}" width="{max(1.0, middle * scale):.1f}" '
        f'height="{BAR}" rx="2"/>',
        f'<line class="spread" x1="{LABELS + least * scale:.1f}" x2="{right:.1f}" '
        f'y1="{line}" y2="{line}"/>',
        f'<text x="{max(right, LABELS + middle * scale) + 7:.1f}" y="{top + 12}">{middle:.2f} s'
        "</text>",
    ]


def main() -> int:
    kind, figures, target = sys.argv[1:]
    seconds = json.loads(Path(figures).read_text(encoding="utf-8"))["seconds"]
    drawn = {"round_trip": draw_round_trip, "scale": draw_scale}[kind](seconds)
    Path(target).write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
