"""The waterfall of a run: bars on a time axis, by machine and by phase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hashlab.documents.report import LastRun, PlacedRow
from hashlab.report.formats import SYMBOLS, seconds, size
from hashlab.report.page.markup import Child, Markup, element
from hashlab.report.page.texts import lasting

STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_TICKS = 5
# Per cent of the axis; the rest is for the label at its end.
FREE_FOR_TICKS = 78
DEEPEST = 4
WHOLE_LAB = "whole lab"
COLUMNS = ("phase", "machine", "service", "", "seconds", "status", "sent", "detail")
# The width of the thinnest visible bar.
THIN = "2px"


def by_machine(run: LastRun) -> Markup:
    """Return the steps without parts of each machine, on several levels if they ran at once. Hidden
    from screen readers, because the table by phase has the same in words.
    """
    lanes: dict[str, list[PlacedRow]] = {}
    phases = run.phases
    for index, phase in enumerate(phases):
        whole = index + 1 == len(phases) or phases[index + 1].depth <= phase.depth
        if whole and phase.offset is not None and phase.seconds > 0:
            lanes.setdefault(phase.machine or "", []).append(phase)
    total = run.seconds
    rows = [_lane(name, lanes[name], total) for name in sorted(lanes)]
    axis = element("div", element("span"), _ticks(total), class_="busy")
    return element(
        "div", element("h4", "By machine"), axis, *rows, class_="machines", aria_hidden="true"
    )


def _lane(name: str, phases: Sequence[PlacedRow], total: float) -> Markup:
    placed = stacked(phases)
    bars = [
        _bar(phase, total, _name(phase.name, phase.service), style=f"top:{level * 1.5}rem")
        for phase, level in placed
    ]
    height = 1.5 * (1 + max(level for _, level in placed))
    lane = element("div", *bars, class_="lane", style=f"height:{height}rem;{_grid(total)}")
    return element("div", element("span", name or WHOLE_LAB, class_="name"), lane, class_="busy")


def stacked(phases: Iterable[PlacedRow]) -> list[tuple[PlacedRow, int]]:
    """Return each step with the first level on which no other runs when it begins."""
    free: list[float] = []
    placed = []
    for phase in sorted(phases, key=_begin):
        begin = _begin(phase)
        level = next((n for n, until in enumerate(free) if until <= begin + 0.001), len(free))
        free[level : level + 1] = [begin + phase.seconds]
        placed.append((phase, level))
    return placed


def _begin(phase: PlacedRow) -> float:
    """Return the offset of a phase that began."""
    return phase.offset or 0.0


def by_phase(run: LastRun) -> Markup:
    """Return a table with a row and a bar for each step, as at the end of a run."""
    total = run.seconds
    head = [
        element("th", name if name else _ticks(total), role="columnheader", scope="col")
        for name in COLUMNS
    ]
    rows = [_row(phase, total) for phase in run.phases]
    table = element(
        "table",
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        class_="waterfall",
        role="table",
    )
    return element("div", element("h4", "By phase"), _legend(), table)


def _legend() -> Markup:
    path = element("span", element("i", class_="key critical"), "▸ the end waited for it")
    other = element("span", element("i", class_="key ok"), "ran beside it")
    signs = [element("span", f"{sign} {status}") for status, sign in SYMBOLS.items()]
    return element("p", path, other, *signs, class_="legend")


def _row(phase: PlacedRow, total: float) -> Markup:
    status, began = phase.status, phase.offset is not None
    sign = element("span", SYMBOLS[status], class_="sign", aria_hidden="true")
    mark = element("span", "▸", class_="mark", title="the end waited for it")
    depth = min(phase.depth, DEEPEST)
    bar = _bar(phase, total) if began else None
    cells = [
        _cell("name", sign, element("span", phase.name), mark if phase.critical else None),
        _cell("machine", phase.machine or ""),
        _cell("service", phase.service or ""),
        _cell("time", element("div", bar, class_="lane", style=_grid(total))),
        _cell("seconds", seconds(phase.seconds) if began else ""),
        _cell("status", status),
        _cell("sent", size(phase.bytes_sent) if phase.bytes_sent else ""),
        _cell("detail", phase.detail),
    ]
    return element("tr", *cells, role="row", class_=f"{status} depth-{depth}")


def _cell(kind: str, *children: Child) -> Markup:
    return element("td", *children, role="cell", class_=kind)


def _bar(phase: PlacedRow, total: float, text: str = "", style: str = "") -> Markup:
    """Return a bar from the beginning of the step to its end, cut at the ends of the run."""
    offset = _begin(phase)
    begin = min(max(offset, 0.0), total)
    end = min(max(offset + phase.seconds, begin), total)
    left, width = share(begin, total), share(end - begin, total)
    place = f"left:min({left:.3f}%,100% - {THIN});width:{width:.3f}%;{style}"
    until = offset + phase.seconds
    label = f"{_name(phase.name, phase.machine, phase.service)}, {phase.status}: "
    label += f"{lasting(phase.seconds)}, from {seconds(offset)} to {lasting(until)}"
    kind = f"bar {phase.status}{' critical' if phase.critical else ''}"
    inner = element("span", text) if text else None
    return element("span", inner, class_=kind, style=place, title=label)


def _name(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def share(value: float, total: float) -> float:
    """Return the per cent of the run."""
    return 100 * value / total if total > 0 else 0.0


def tick_step(total: float) -> float:
    """Return the seconds between two marks of the axis, few enough for a phone."""
    return next((step for step in STEPS if total / step <= MOST_TICKS), total / MOST_TICKS or 1.0)


def _ticks(total: float) -> Markup:
    step = tick_step(total)
    count = int(total / step + 1e-9) + 1
    places = [(n * step, share(n * step, total)) for n in range(count)]
    marks = [
        element("span", f"{at:g}\N{NO-BREAK SPACE}s", class_="tick", style=f"left:{left:.3f}%")
        for at, left in places
        if left <= FREE_FOR_TICKS
    ]
    end = element("span", lasting(total), class_="tick end")
    return element("div", *marks, end, class_="axis")


def _grid(total: float) -> str:
    return f"--step:{share(tick_step(total), total):.3f}%"
