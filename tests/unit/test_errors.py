"""Errors name what, where, the end of the output and the next step. Each kind has its own exit
code.
"""

from __future__ import annotations

import pytest

from hashlab import errors
from hashlab.errors import ConfigError, ExitCode, HashlabError, LabError, Problem, tail


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("UsageError", 2),
        ("LaptopError", 3),
        ("LabError", 4),
        ("LockedError", 5),
        ("Interrupted", 130),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(kind: str, code: int) -> None:
    assert getattr(errors, kind)("x").exit_code == code


def test_wrong_files_have_the_exit_code_of_wrong_usage() -> None:
    assert ConfigError([]).exit_code is ExitCode.CONFIG
    assert int(ExitCode.CONFIG) == 2


def test_no_two_exit_codes_are_the_same_and_none_is_pythons_own() -> None:
    codes = [code.value for code in ExitCode]
    assert len(set(codes)) == len(codes)
    assert 1 not in codes


def test_a_message_has_where_what_output_and_next_step_in_order() -> None:
    error = LabError("it broke", where="web", output="one\ntwo\n", next_step="mend it")
    assert str(error) == "web: it broke\n    one\n    two\nNext: mend it"


def test_a_message_omits_unknown_parts() -> None:
    assert str(LabError("it broke")) == "it broke"
    assert str(LabError("it broke", next_step="mend it")) == "it broke\nNext: mend it"


def test_of_a_long_output_the_end_is_shown() -> None:
    output = "".join(f"line {number}\n" for number in range(100))
    shown = str(LabError("it broke", output=output)).splitlines()
    assert shown[1] == "    line 80"
    assert shown[-1] == "    line 99"
    assert len(shown) == 21


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("\n\n", ""), ("a\n\n", "a"), ("a\nb\nc", "b\nc"), ("a\n\nc\n", "\nc")],
)
def test_a_tail_is_the_last_lines_without_the_empty_end(text: str, expected: str) -> None:
    assert tail(text, lines=2) == expected


def test_a_problem_is_shown_in_a_form_that_editors_recognise() -> None:
    assert str(Problem("compose.yaml", 3, "no image", "Write one.")) == (
        "compose.yaml:3: no image. Write one."
    )
    assert str(Problem("compose.yaml", 0, "empty")) == "compose.yaml: empty."


def test_all_problems_are_reported_once_and_in_order() -> None:
    second, first = Problem("b.yaml", 1, "y"), Problem("a.yaml", 10, "x")
    error = ConfigError([second, first, second, Problem("a.yaml", 9, "w")])
    assert [(p.file, p.line) for p in error.problems] == [
        ("a.yaml", 9),
        ("a.yaml", 10),
        ("b.yaml", 1),
    ]
    assert str(error).count("b.yaml") == 1


def test_every_failure_belongs_to_the_one_family() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    failures = [kind for kind in kinds if issubclass(kind, Exception)]
    assert len(failures) >= 7
    assert all(issubclass(kind, HashlabError) for kind in failures)
