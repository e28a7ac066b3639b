"""Records a real terminal, and draws the recording as an animated SVG.

    python docs/images/make_recording.py record FOLDER RECORDING.cast COMMAND [COMMAND ...]
    python docs/images/make_recording.py draw RECORDING.cast PICTURE.svg

`record` types the commands into a shell in FOLDER and waits for each to end; it needs tmux. The
recording is an asciicast (version 2), which asciinema plays too. `draw` changes no time and no
character of it. The picture needs no script; who prefers no motion sees its last moment.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.segment import Segment
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

COLUMNS = 110
ROWS = 32
PROMPT = "$ "
CLEAR = "\x1b[2J\x1b[H"
LOOK_SECONDS = 0.1
KEY_SECONDS = 0.05
READ_SECONDS = 2.5  # for a reader, after each command
COMMAND_SECONDS = 300
CELL = (8.4, 18)  # width and height of a character
MARGIN = 14
BAR = 30  # height of the bar above the terminal
BACKGROUND, FOREGROUND = "#1d2228", "#d8dee4"


@dataclass(frozen=True)
class Screen:
    """What the terminal shows from a moment on: one line of ANSI text for each row."""

    second: float
    rows: tuple[str, ...]


# --- record


def tmux(*argv: str) -> str:
    """Ask the recorder's own tmux server, which knows nothing of the user's."""
    command = ["tmux", "-L", f"hashlab-recording-{os.getpid()}", "-f", os.devnull, *argv]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def record(folder: Path, commands: list[str]) -> Iterator[Screen]:
    """Yield each new screen while the commands are typed and run in a shell."""
    shell = ["env", f"PS1={PROMPT}", "COLORTERM=truecolor", "bash", "--norc", "--noprofile"]
    size = ["-x", str(COLUMNS), "-y", str(ROWS)]
    tmux("new-session", "-d", *size, "-c", str(folder), *shell)
    started = time.monotonic()
    try:
        yield from _until_prompt(started)
        for command in commands:
            for key in command:
                tmux("send-keys", "-l", key)
                time.sleep(KEY_SECONDS)
                yield _look(started)
            tmux("send-keys", "Enter")
            yield from _until_prompt(started)
            time.sleep(READ_SECONDS)
            yield _look(started)
    finally:
        tmux("kill-server")


def _look(started: float) -> Screen:
    rows = tmux("capture-pane", "-e", "-p").splitlines()
    return Screen(round(time.monotonic() - started, 2), tuple(row.rstrip() for row in rows))


def _until_prompt(started: float) -> Iterator[Screen]:
    """Yield screens until the last row is an empty prompt."""
    end = time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < end:
        screen = _look(started)
        yield screen
        rows = [Text.from_ansi(row).plain for row in screen.rows if row]
        if rows and rows[-1] == PROMPT.rstrip():
            return
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"no prompt after {COMMAND_SECONDS} s")


def save(screens: Iterator[Screen], file: Path) -> None:
    """Write the screens that differ as an asciicast: each event draws the whole screen."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "env": {"TERM": "tmux-256color"}}
    lines = [json.dumps(header)]
    before: tuple[str, ...] | None = None
    for screen in screens:
        if screen.rows != before:
            lines.append(json.dumps([screen.second, "o", CLEAR + "\r\n".join(screen.rows)]))
        before = screen.rows
        last = screen.second
    lines.append(json.dumps([last, "o", CLEAR + "\r\n".join(before or ())]))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- draw


def load(file: Path) -> list[Screen]:
    """Read a recording that `record` has made."""
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [
        Screen(second, tuple(data.removeprefix(CLEAR).split("\r\n"))) for second, _, data in events
    ]


def shown_rows(screens: list[Screen]) -> dict[tuple[int, str], list[tuple[float, float]]]:
    """Return for each (row number, text) the seconds (from, to) during which it is shown."""
    shown: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for screen, following in pairwise(screens):
        for number, row in enumerate(screen.rows):
            if not row:
                continue
            spans = shown.setdefault((number, row), [])
            if spans and spans[-1][1] == screen.second:
                spans[-1] = (spans[-1][0], following.second)
            else:
                spans.append((screen.second, following.second))
    return shown


def keyframes(name: str, spans: list[tuple[float, float]], seconds: float) -> str:
    """Return the style of a row that is visible during these spans of the recording."""
    steps = ["0%{visibility:hidden}"] if spans[0][0] > 0 else []
    for start, end in spans:
        steps.append(f"{100 * start / seconds:.3f}%{{visibility:visible}}")
        if end < seconds:
            steps.append(f"{100 * end / seconds:.3f}%{{visibility:hidden}}")
    return f"@keyframes {name}{{{''.join(steps)}}}.{name}{{animation-name:{name}}}"


def row_svg(number: int, row: str) -> str:
    """Return the text elements of one row of the terminal."""
    console = Console(width=COLUMNS * 2, color_system="truecolor", force_terminal=True)
    parts, column = [], 0
    for segment in Text.from_ansi(row).render(console):
        if segment.text.strip():
            parts.append(_text(segment, column=column, number=number))
        column += segment.cell_length
    return "".join(parts)


def _text(segment: Segment, *, column: int, number: int) -> str:
    style = segment.style
    color, weight = FOREGROUND, ""
    if style and style.color and not style.color.is_default:
        color = style.color.get_truecolor(SVG_EXPORT_THEME).hex
    if style and style.bold:
        weight = ' font-weight="700"'
    if style and style.dim:
        weight += ' opacity="0.65"'
    x = MARGIN + column * CELL[0]
    y = BAR + MARGIN + number * CELL[1] + 13
    width = segment.cell_length * CELL[0]
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{color}"{weight} textLength="{width:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{html.escape(segment.text)}</text>'
    )


def picture(screens: list[Screen], *, title: str) -> str:
    """Return the recording as an SVG that plays for ever, each time from its start."""
    seconds = screens[-1].second
    width = round(COLUMNS * CELL[0] + 2 * MARGIN)
    height = ROWS * CELL[1] + 2 * MARGIN + BAR
    styles, rows = [], []
    for index, ((number, row), spans) in enumerate(shown_rows(screens).items()):
        name = f"r{index}"
        styles.append(keyframes(name, spans, seconds))
        last = " last" if spans[-1][1] == seconds else ""
        rows.append(f'<g class="row {name}{last}">{row_svg(number, row)}</g>')
    lights = "".join(
        f'<circle cx="{20 + 18 * index}" cy="16" r="6" fill="{color}"/>'
        for index, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-label="{html.escape(title)}">
<style>
text {{
  font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  white-space: pre;
}}
.row {{ visibility: hidden; animation: {seconds:.2f}s step-end infinite; }}
{"".join(styles)}
@media (prefers-reduced-motion: reduce) {{
  .row {{ animation: none; }}
  .last {{ visibility: visible; }}
}}
</style>
<rect width="{width}" height="{height}" rx="9" fill="{BACKGROUND}"/>
{lights}
<text x="{width / 2:.0f}" y="21" text-anchor="middle" fill="#8b949e">{html.escape(title)}</text>
{chr(10).join(rows)}
</svg>
"""


def main() -> None:
    """Record, or draw what was recorded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    recorder = steps.add_parser("record")
    recorder.add_argument("folder", type=Path)
    recorder.add_argument("recording", type=Path)
    recorder.add_argument("commands", nargs="+")
    drawer = steps.add_parser("draw")
    drawer.add_argument("recording", type=Path)
    drawer.add_argument("picture", type=Path)
    drawer.add_argument("--title", default="hashlab, in real time")
    arguments = parser.parse_args()
    if arguments.step == "record":
        save(record(arguments.folder, arguments.commands), arguments.recording)
    else:
        drawn = picture(load(arguments.recording), title=arguments.title)
        arguments.picture.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
