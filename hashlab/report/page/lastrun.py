"""One run on the page: its result, its causes, what took longer than usual, and its waterfall."""

from __future__ import annotations

from collections.abc import Sequence

from hashlab.documents.report import CommandHistory, LastRun, Longer, PlacedRow
from hashlab.documents.run import Cause, Failure
from hashlab.errors import ExitCode
from hashlab.report.formats import elapsed, moment, title
from hashlab.report.history import LEAST_FOR_USUAL, LONGER_FACTOR, LONGER_SECONDS
from hashlab.report.page.markup import Child, Markup, element, joined
from hashlab.report.page.texts import lasting, noted, plural
from hashlab.report.page.waterfall import by_machine, by_phase

MOST_LONGER = 8


def last_run(command: CommandHistory, given: str) -> Markup:
    """Return the last run of a command; ``given`` is the element's id."""
    run = command.last
    return element(
        "article",
        element("h3", f"{command.command} on {command.provider}", id=f"{given}-name"),
        _how(run),
        _failure(run.error),
        element("div", _causes(run.causes), _longer(run), class_="pair"),
        _path(run.phases),
        by_machine(run),
        by_phase(run),
        class_="run",
        id=given,
        aria_labelledby=f"{given}-name",
    )


def _how(run: LastRun) -> Markup:
    interrupted = run.error is not None and run.error.exit_code == ExitCode.INTERRUPTED
    word = "ok" if run.ok else "interrupted" if interrupted else "failed"
    sign, tone = {"ok": ("✓", "good"), "failed": ("✗", "bad")}.get(word, ("!", "warn"))
    text = f"{word} after {elapsed(run.seconds)}, begun {moment(run.started)}"
    return noted(sign, text, tone)


def _failure(error: Failure | None) -> Markup | None:
    if error is None:
        return None
    where = f"{error.where}: " if error.where else ""
    output = _output(error.output) if error.output else None
    step = element("p", f"Next: {error.next_step}") if error.next_step else None
    what = element("p", element("strong", where + error.what))
    return element("div", what, output, step, class_="failure")


def _output(text: str) -> Markup:
    """Return the output in a frame that can be scrolled with keys."""
    return element("pre", text, tabindex="0", role="region", aria_label="output of the tool")


def _causes(causes: Sequence[Cause] | None) -> Markup:
    if causes is None:
        text: Child = element("p", "Nothing is recorded.", class_="dim")
    elif not causes:
        text = element("p", "No changed file is recorded.", class_="dim")
    else:
        text = element("ul", *(element("li", *_cause(cause)) for cause in causes))
    return _box("Why it ran", text)


def _cause(cause: Cause) -> list[Child]:
    more = [f"and {cause.more} more"] if cause.more else []
    files = [element("code", name) for name in cause.files]
    return [element("strong", cause.what), element("ul", *(map(_item, [*files, *more])))]


def _item(child: Child) -> Markup:
    return element("li", child)


def _longer(run: LastRun) -> Markup:
    return _box("What took longer than usual", *_longer_lines(run))


def _longer_lines(run: LastRun) -> list[Markup]:
    if run.compared < LEAST_FOR_USUAL:
        text = f"Too few earlier runs: {run.compared}, {LEAST_FOR_USUAL} are needed."
        return [element("p", text, class_="dim")]
    limit = f"{LONGER_FACTOR:g} times the median of earlier runs, and {LONGER_SECONDS:g} s more"
    if not run.longer:
        return [element("p", f"Nothing ({limit}).", class_="dim")]
    rows = [_longer_line(longer, run.phases) for longer in run.longer[:MOST_LONGER]]
    more = len(run.longer) - len(rows)
    rows += [element("li", f"and {more} more")] if more > 0 else []
    return [element("ul", *rows), element("p", f"At least {limit}.", class_="dim")]


def _longer_line(longer: Longer, phases: Sequence[PlacedRow]) -> Markup:
    phase = phases[longer.index]
    usual = f"usually {lasting(longer.usual)}"
    if longer.idle * 2 > longer.runs:
        usual += f", nothing to do in {longer.idle} of {longer.runs} runs"
    name = element("strong", title(phase))
    return element("li", name, f" {lasting(longer.seconds)} ({usual})")


def _box(heading: str, *children: Child) -> Markup:
    return element("div", element("h4", heading), *children, class_="box")


def _path(phases: Sequence[PlacedRow]) -> Markup | None:
    """Return the critical path in one line: each phase with its seconds, its parts in brackets."""
    steps: list[list[str]] = []
    for phase in phases:
        text = f"{title(phase)} {lasting(phase.seconds)}"
        if phase.critical and phase.depth == 0:
            steps.append([text])
        elif phase.critical and steps:
            steps[-1].append(text)
    if not steps:
        return None
    items = [
        _item([element("strong", first), f" ({' → '.join(inner)})" if inner else None])
        for first, *inner in steps
    ]
    what = f"The end waited for {plural(len(items), 'phase')} in turn"
    return element("div", element("h4", what), element("ol", joined(items), class_="path"))
