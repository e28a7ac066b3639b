"""Makes the page of `hashlab report`: one HTML file without scripts, requests or other files."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from hashlab.documents.report import BudgetResult, CommandHistory, Report
from hashlab.report.formats import moment
from hashlab.report.page.history import history
from hashlab.report.page.lastrun import last_run
from hashlab.report.page.markup import Markup, element, joined, trusted
from hashlab.report.page.texts import lasting, noted, plural

# Forbids loading and running anything, in case a text ever escapes the escaping.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
START = ("hashlab dev", "hashlab refresh")


def page(document: Report) -> str:
    """Return the HTML page of a report."""
    name = document.lab or "no run yet"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", f"hashlab report: {name}"),
        element("style", trusted(_style(len(document.commands)))),
    )
    body = element("body", _top(document, name), element("main", *_content(document)))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _style(commands: int) -> str:
    """Return the style sheet, with a rule for each command that shows its run when chosen."""
    text = resources.files("hashlab.report.page").joinpath("page.css").read_text("utf-8")
    shown = [f"section:has(#choice-{n}:checked) #run-{n}" for n in range(commands)]
    return text + (f"{','.join(shown)}{{display:block}}\n" if shown else "")


def _top(document: Report, name: str) -> Markup:
    summary = f"{plural(document.runs, 'run')} on record, page made {moment(document.made)}"
    return element(
        "header",
        element("p", "hashlab report", class_="kind"),
        element("h1", name),
        element("p", summary, class_="dim"),
        *_budgets(document.budgets),
        *_skipped(document.skipped),
    )


def _budgets(budgets: Sequence[BudgetResult]) -> list[Markup]:
    lines = []
    for result in budgets:
        limit = f"{result.budget:g} s"
        if result.seconds is None:
            text = f"Budget: no successful run of {result.command} to compare with {limit}"
        else:
            took = f"{result.command} took {lasting(result.seconds)}"
            text = f"Budget: {took}, {'within' if result.ok else 'over'} its budget of {limit}"
        lines.append(noted("✓" if result.ok else "✗", text, "good" if result.ok else "bad"))
    return lines


def _skipped(names: Sequence[str]) -> list[Markup]:
    if not names:
        return []
    count = f"{plural(len(names), 'file')} in .hashlab/runs skipped: not a complete run record"
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return [noted("!", f"{count} ({', '.join(names[:3])}{more})", "warn")]


def _content(document: Report) -> list[Markup]:
    commands = document.commands
    if not commands:
        return [_nothing()]
    return [
        element(
            "section",
            element("h2", "Last run", id="last"),
            _choice(commands),
            aria_labelledby="last",
        ),
        element(
            "section",
            element("h2", "History", id="history"),
            history(commands),
            aria_labelledby="history",
        ),
    ]


def _choice(commands: Sequence[CommandHistory]) -> Markup:
    """Return radio buttons and the last run of each command. The style sheet shows one; a browser
    without ``:has`` shows all.
    """
    buttons: list[Markup] = []
    for n, command in enumerate(commands):
        given = f"choice-{n}"
        buttons += [
            element("input", type="radio", name="run", id=given, checked=n == 0),
            element("label", called(command, commands), for_=given),
        ]
    runs = [last_run(command, f"run-{n}") for n, command in enumerate(commands)]
    legend = element("legend", "Last run of")
    return joined([element("fieldset", legend, *buttons, class_="choice"), *runs])


def called(command: CommandHistory, commands: Sequence[CommandHistory]) -> str:
    """Return a command's name, with its provider if there are several."""
    several = len({other.provider for other in commands}) > 1
    return f"{command.command} ({command.provider})" if several else command.command


def _nothing() -> Markup:
    return element(
        "section",
        element("h2", "No run is recorded yet"),
        element("p", "Every run of a command leaves a record in .hashlab/runs. Type:"),
        element("pre", joined(element("code", f"{command}\n") for command in START)),
        element("p", "Then make this page again: ", element("code", "hashlab report")),
    )
