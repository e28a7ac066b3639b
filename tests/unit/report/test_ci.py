"""The reports of a run for a CI."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from hashlab.documents.run import run_record
from hashlab.pipeline import RunResult
from hashlab.report.ci import junit_text, markdown_text


def test_each_row_is_a_test_case_with_its_status(bad: RunResult) -> None:
    record = run_record("pipeline", "demo", "docker", bad)
    suite = ET.fromstring(junit_text(record))
    assert suite.get("tests") == str(len(record.phases)) == str(len(list(suite)))
    for case, row in zip(suite, record.phases, strict=True):
        kinds = {child.tag for child in case}
        if row.status in ("failed", "cancelled"):
            assert kinds == {"failure"}
        elif row.status in ("skipped", "not-reached"):
            assert kinds == {"skipped"}
        else:
            assert kinds == set()
    assert suite.get("failures") == str(len(suite.findall(".//failure")))


def test_characters_that_xml_does_not_have_are_left_out(bad: RunResult) -> None:
    record = run_record("pipeline", "demo", "docker", bad)
    rows = tuple(replace(row, detail="\x1b[31mred\x00<&>") for row in record.phases)
    for case in ET.fromstring(junit_text(replace(record, phases=rows))).iter("failure"):
        assert "red" in str(case.get("message"))


def test_the_summary_names_the_result_the_phases_and_the_error(bad: RunResult) -> None:
    record = run_record("pipeline", "demo", "docker", bad)
    text = markdown_text(record)
    assert text.startswith("## hashlab pipeline: failed in ")
    assert record.error is not None
    assert record.error.what.splitlines()[0] in text
    assert f"Next: {record.error.next_step}" in text


def test_a_detail_cannot_leave_its_cell(bad: RunResult) -> None:
    record = run_record("pipeline", "demo", "docker", bad)
    rows = tuple(replace(row, detail="a | b\n<script>`x`", depth=0) for row in record.phases)
    lines = markdown_text(replace(record, phases=rows, error=None)).splitlines()
    assert all("<script>" not in line for line in lines)
    assert sum(line.startswith("| ") and "a \\| b" in line for line in lines) == len(rows)


def test_two_rows_of_one_name_are_two_cases(bad: RunResult) -> None:
    record = run_record("pipeline", "demo", "docker", bad)
    twice = replace(record, phases=(*record.phases, record.phases[0]))
    names = [case.get("name") for case in ET.fromstring(junit_text(twice))]
    assert len(set(names)) == len(names)
    assert names[-1] == f"{names[0]} (2)"


def test_the_error_comes_first_and_what_was_not_done_is_folded(bad: RunResult) -> None:
    text = markdown_text(run_record("pipeline", "demo", "docker", bad))
    order = [text.index(part) for part in ("Next: ", "| failed |", "<details>", "| not-reached |")]
    assert order == sorted(order)
