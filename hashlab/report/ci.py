"""The record of a run as a CI shows it: JUnit's XML, and Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from hashlab.documents import iso_time
from hashlab.documents.run import RunRecord
from hashlab.pipeline import Row
from hashlab.report.formats import clean_text, one_line, title

BAD = ("failed", "cancelled")
NOT_DONE = ("skipped", "not-reached")


def junit_text(record: RunRecord) -> str:
    """Return a run as a JUnit report: each row of the screen is a test case."""
    rows = record.phases
    suite = ET.Element(
        "testsuite",
        name=f"hashlab {record.command}",
        timestamp=iso_time(record.started),
        time=f"{record.seconds:.3f}",
        tests=str(len(rows)),
        failures=str(_count(rows, BAD)),
        skipped=str(_count(rows, NOT_DONE)),
        errors="0",
    )
    names: Counter[str] = Counter()
    for row in rows:
        name = title(row)
        names[name] += 1
        # CIs take two cases of one name for the same one.
        number = f" ({names[name]})" if names[name] > 1 else ""
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"{record.lab}.{row.name}",
            name=f"{name}{number}",
            time=f"{row.seconds:.3f}",
        )
        if row.status in BAD:
            failure = ET.SubElement(case, "failure", message=one_line(row.detail), type=row.status)
            if row.status == "failed" and record.error:
                failure.text = clean_text(f"{record.error.what}\n{record.error.output}")
        elif row.status in NOT_DONE:
            ET.SubElement(case, "skipped", message=one_line(row.detail))
    ET.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, "unicode") + "\n"


def _count(rows: Sequence[Row], statuses: Sequence[str]) -> int:
    return sum(row.status in statuses for row in rows)


def markdown_text(record: RunRecord) -> str:
    """Return a run as Markdown: its result, its error, and its rows. Those without work are
    folded.
    """
    result = "passed" if record.ok else "failed"
    lines = [f"## hashlab {record.command}: {result} in {record.seconds:.1f} s", ""]
    if record.error:
        output = clean_text(f"{record.error.what}\n{record.error.output}").rstrip()
        fence = "`" * 10
        lines += [fence, output, fence, "", f"Next: {_cell(record.error.next_step)}", ""]
    rows = [row for row in record.phases if not row.depth]
    lines += _table([row for row in rows if row.status not in NOT_DONE])
    idle = [row for row in rows if row.status in NOT_DONE]
    if idle:
        lines += ["", f"<details><summary>{len(idle)} skipped or not reached</summary>", ""]
        lines += [*_table(idle), "", "</details>"]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> list[str]:
    return [
        "| phase | seconds | status | detail |",
        "|---|---:|---|---|",
        *(
            f"| {_cell(title(row))} | {row.seconds:.1f} | {row.status} | {_cell(row.detail)} |"
            for row in rows
        ),
    ]


def _cell(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\").replace("|", "\\|")
    return escaped.replace("<", "&lt;").replace("`", "\\`")
