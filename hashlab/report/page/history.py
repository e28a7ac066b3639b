"""The history of the commands: how often, how long, how that changes."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.documents.report import CommandHistory, PastRun, Trend
from hashlab.report.history import LEAST_FOR_TREND, RECENT
from hashlab.report.page.markup import Child, Markup, element
from hashlab.report.page.texts import lasting, plural
from hashlab.report.words import moment, seconds

HEADERS = ("command", "good runs", "not good", "median", "half lie in", "range", "trend", "")
CHANGES = {
    "faster": ("↓", "faster than before", "good"),
    "slower": ("↑", "slower than before", "warn"),
    "steady": ("→", "as before", "dim"),
}
# Units of a sparkline's own drawing.
STEP, HEIGHT, FOOT = 5.0, 28.0, 6.0


def history(commands: Sequence[CommandHistory]) -> Markup:
    """A row for each command."""
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
    said = (
        f"Seconds of good runs alone. The trend is that of the newest {RECENT} good runs, when "
        f"there are {LEAST_FOR_TREND} or more: the median of their newest third against that of "
        "their oldest third."
    )
    return element("div", table, element("p", said, class_="dim"))


def _row(command: CommandHistory, *, with_provider: bool) -> Markup:
    spread = command.seconds
    several = spread if command.good > 1 else None
    name = command.command
    provider = element("span", f" {command.provider}", class_="dim") if with_provider else None
    pairs = (
        (HEADERS[0], [element("strong", name), provider]),
        (HEADERS[1], str(command.good)),
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


def _bad(command: CommandHistory) -> Child:
    counts = {"failed": command.failed, "interrupted": command.interrupted}
    words = [f"{count} {what}" for what, count in counts.items() if count]
    return element("span", f"✗ {', '.join(words)}", class_="bad") if words else "-"


def _span(low: float, high: float) -> str:
    return f"{seconds(low)} to {lasting(high)}"


def _trend(trend: Trend | None) -> Child:
    if trend is None:
        return element("span", "too few runs", class_="dim")
    arrow, words, tone = CHANGES[trend.change]
    numbers = f"{lasting(trend.oldest)}, now {lasting(trend.newest)}"
    return [
        element("span", f"{arrow} {words}", class_=tone),
        element("span", f" ({numbers})", class_="dim"),
    ]


def sparkline(recent: Sequence[PastRun], name: str) -> Markup:
    """A column for each run, as high as its seconds; a run that failed is a cross on the ground."""
    most = max((run.seconds for run in recent if run.ok), default=0.0)
    width = STEP * max(len(recent), 1)
    drawn = [_column(run, n, most) for n, run in enumerate(recent)]
    failed = sum(not run.ok for run in recent)
    said = f"{plural(len(recent), 'run')} of {name}, oldest first; the slowest {lasting(most)}"
    said += f"; {failed} failed" if failed else ""
    return element(
        "svg",
        element("title", said),
        *drawn,
        viewBox=f"0 0 {width:g} {HEIGHT + FOOT:g}",
        width=f"{width:g}",
        preserveAspectRatio="xMinYMax",
        role="img",
        aria_label=said,
        class_="spark",
    )


def _column(run: PastRun, place: int, most: float) -> Markup:
    left = place * STEP
    said = f"{moment(run.started)}: {lasting(run.seconds)}"
    if not run.ok:
        cross = f"M{left:g} {HEIGHT + 1:g}l4 4m0 -4l-4 4"
        return element("g", element("title", f"{said}, not good"), element("path", d=cross))
    high = max(1.0, HEIGHT * run.seconds / most) if most else 1.0
    box = element(
        "rect", x=f"{left:g}", y=f"{HEIGHT - high:.2f}", width=f"{STEP - 1:g}", height=f"{high:.2f}"
    )
    return element("g", element("title", said), box)
