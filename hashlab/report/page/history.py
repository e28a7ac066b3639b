"""The history of the commands: how many runs, how long they took, how that changes."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.documents.report import CommandHistory, PastRun, Trend
from hashlab.report.formats import moment, seconds
from hashlab.report.history import LEAST_FOR_TREND, RECENT
from hashlab.report.page.markup import Child, Markup, element
from hashlab.report.page.texts import lasting, plural

HEADERS = ("command", "successful", "other", "median", "middle half", "range", "trend", "")
CHANGES = {
    "faster": ("↓", "faster than before", "good"),
    "slower": ("↑", "slower than before", "warn"),
    "steady": ("→", "as before", "dim"),
}
# Units of a sparkline's own drawing.
STEP, HEIGHT, FOOT = 5.0, 28.0, 6.0


def history(commands: Sequence[CommandHistory]) -> Markup:
    """Return a table with a row for each command."""
    head = [element("th", name, role="columnheader", scope="col") for name in HEADERS[:-1]]
    head.append(element("th", f"newest {RECENT}", role="columnheader", scope="col"))
    providers = len({command.provider for command in commands}) > 1
    rows = [_row(command, with_provider=providers) for command in commands]
    table = element(
        "table",
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        class_="history",
        role="table",
    )
    explanation = (
        "Seconds of successful runs only. The trend compares the median of the newest third with "
        f"that of the oldest third, of the newest {RECENT} successful runs. It needs "
        f"{LEAST_FOR_TREND} of them. In a swap, running processes took in all changes of their "
        "services."
    )
    return element("div", table, element("p", explanation, class_="dim"))


def _row(command: CommandHistory, *, with_provider: bool) -> Markup:
    spread = command.seconds
    several = spread if command.good > 1 else None
    name = command.command
    provider = element("span", f" {command.provider}", class_="dim") if with_provider else None
    pairs = (
        (HEADERS[0], [element("strong", name), provider]),
        (HEADERS[1], _good(command)),
        (HEADERS[2], _bad(command)),
        (HEADERS[3], lasting(spread.median) if spread else "-"),
        (HEADERS[4], _span(several.lower, several.upper) if several else "-"),
        (HEADERS[5], _span(several.least, several.most) if several else "-"),
        (HEADERS[6], _trend(command.trend)),
        ("", sparkline(command.recent, name)),
    )
    cells = [
        element("td", child, role="cell", data_label=label or None, class_=_kind(label))
        for label, child in pairs
    ]
    return element("tr", *cells, role="row")


def _kind(label: str) -> str | None:
    return {"": "line", "command": "command", "trend": "trend"}.get(label)


def _good(command: CommandHistory) -> Child:
    if not command.swaps:
        return str(command.good)
    word = "swap" if command.swaps == 1 else "swaps"
    return [str(command.good), element("span", f" ({command.swaps} {word})", class_="dim")]


def _bad(command: CommandHistory) -> Child:
    counts = {"failed": command.failed, "interrupted": command.interrupted}
    bad = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return element("span", f"✗ {bad}", class_="bad") if bad else "-"


def _span(low: float, high: float) -> str:
    return f"{seconds(low)} to {lasting(high)}"


def _trend(trend: Trend | None) -> Child:
    if trend is None:
        return element("span", "too few runs", class_="dim")
    arrow, text, tone = CHANGES[trend.change]
    numbers = f"{lasting(trend.oldest)}, now {lasting(trend.newest)}"
    return [
        element("span", f"{arrow} {text}", class_=tone),
        element("span", f" ({numbers})", class_="dim"),
    ]


def sparkline(recent: Sequence[PastRun], name: str) -> Markup:
    """Return a drawing: a column as high as its seconds for each run, a cross for a failed one."""
    most = max((run.seconds for run in recent if run.ok), default=0.0)
    width = STEP * max(len(recent), 1)
    drawn = [_column(run, n, most) for n, run in enumerate(recent)]
    failed = sum(not run.ok for run in recent)
    label = f"{plural(len(recent), 'run')} of {name}, oldest first; the slowest {lasting(most)}"
    label += f"; {failed} failed" if failed else ""
    return element(
        "svg",
        element("title", label),
        *drawn,
        viewBox=f"0 0 {width:g} {HEIGHT + FOOT:g}",
        width=f"{width:g}",
        preserveAspectRatio="xMinYMax",
        role="img",
        aria_label=label,
        class_="spark",
    )


def _column(run: PastRun, place: int, most: float) -> Markup:
    left = place * STEP
    label = f"{moment(run.started)}: {lasting(run.seconds)}"
    if not run.ok:
        cross = f"M{left:g} {HEIGHT + 1:g}l4 4m0 -4l-4 4"
        return element("g", element("title", f"{label}, failed"), element("path", d=cross))
    high = max(1.0, HEIGHT * run.seconds / most) if most else 1.0
    box = element(
        "rect", x=f"{left:g}", y=f"{HEIGHT - high:.2f}", width=f"{STEP - 1:g}", height=f"{high:.2f}"
    )
    return element("g", element("title", label), box)
