"""Variables in strings follow the rules of the Compose Specification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from random import Random

import pytest

from hashlab.config.dotenv import read_dotenv
from hashlab.config.interpolation import Interpolation
from hashlab.config.model import Lab
from hashlab.config.report import Report, Wrong

ENVIRON = {"SET": "value", "EMPTY": ""}


def replaced(text: str, environ: Mapping[str, str] = ENVIRON) -> str:
    return Interpolation(environ, Report("f")).text(text, 1)


RULES = {
    "$SET": "value",
    "${SET}": "value",
    "a${SET}b": "avalueb",
    "$SET-x": "value-x",
    "${NONE}": "",
    "$$SET": "$SET",
    "$${SET}": "${SET}",
    "$$$SET": "$value",
    "${NONE:-x}": "x",
    "${NONE-x}": "x",
    "${EMPTY:-x}": "x",
    "${EMPTY-x}": "",
    "${SET:-x}": "value",
    "${SET:+x}": "x",
    "${EMPTY:+x}": "",
    "${EMPTY+x}": "x",
    "${NONE+x}": "",
    "${SET:?no}": "value",
    "${EMPTY?no}": "",
    "${NONE:-${SET}}": "value",
    "${NONE:-${EMPTY:-${NONE:-deep}}}": "deep",
    "${NONE:-a $SET b}": "a value b",
    "${NONE:-$${SET}": "${SET",
    "${NONE:-http://x:80/?a=b}": "http://x:80/?a=b",
    "${SET:+${NONE:-inner}}": "inner",
    "no variables, but } and {": "no variables, but } and {",
    # A dollar sign that begins no variable stays.
    "costs 5$": "costs 5$",
    "a$ b $1 $(date)": "a$ b $1 $(date)",
    "${NONE:-$2a$14$1bc}": "$2a$14$1bc",
    # Braces inside a default belong to it if they match.
    '${NONE:-{"a":1}}': '{"a":1}',
    '${SET:-{"a":1}}': "value",
    "${NONE:-{}}": "{}",
    "${SET:-${NONE:-x}": "value",
    "${SET:-${}": "value",
    "${NONE:-a}\n${SET:-b}": "a\nvalue",
}


@pytest.mark.parametrize(("text", "expected"), RULES.items(), ids=RULES)
def test_a_variable_is_replaced_as_specified(text: str, expected: str) -> None:
    assert replaced(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "${",
        "${}",
        "${SET",
        "${1A}",
        "${SET:x}",
        "${NONE:-${}}",
        "${NONE:-${SET:-x}",
        "${NONE:-a\nb}",
    ],
)
def test_a_malformed_variable_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        replaced(text)


def test_a_required_variable_in_an_unused_default_may_be_missing() -> None:
    assert replaced("${SET:-${NONE:?needed}}") == "value"


def test_operators_match_their_definition_in_all_combinations() -> None:
    values = {"unset": None, "empty": "", "full": "v"}
    for (state, value), colon, operator in product(values.items(), ("", ":"), "-+?"):
        environ = {} if value is None else {"V": value}
        absent = value is None or (colon == ":" and value == "")
        text = f"<${{V{colon}{operator}word}}>"
        if operator == "?" and absent:
            with pytest.raises(Wrong, match="V is not set"):
                replaced(text, environ)
            continue
        word_wins = absent if operator == "-" else not absent
        kept = "" if operator == "+" else value or ""
        assert (
            replaced(text, environ) == f"<{'word' if word_wins and operator != '?' else kept}>"
        ), (state, text)


def test_any_text_is_unchanged_if_its_dollars_are_doubled() -> None:
    random = Random(7)
    for _ in range(300):
        text = "".join(random.choice("${}:-?+aA_ 1\n") for _ in range(random.randrange(30)))
        assert replaced(text.replace("$", "$$")) == text


def test_any_text_is_replaced_or_refused_but_never_crashes() -> None:
    random = Random(8)
    for _ in range(2000):
        text = "".join(random.choice("$${{}:-?+AB") for _ in range(random.randrange(25)))
        try:
            replaced(text)
        except Wrong:
            continue


def test_the_environment_overrides_the_env_file_next_to_the_compose_file(
    load: Callable[..., Lab],
) -> None:
    files = {".env": "GREETING=moin\n"}
    assert dict(load(files=files).services[1].environment) == {"GREETING": "moin"}
    lab = load(files=files, environ={"GREETING": "servus"})
    assert dict(lab.services[1].environment) == {"GREETING": "servus"}


def test_a_variable_that_is_not_set_is_noted_with_its_line(load: Callable[..., Lab]) -> None:
    lab = load(compose=(("${GREETING:-hello}", "${GREETING}"),))
    assert lab.notes == (
        "compose.yaml:14: the variable GREETING is not set; an empty string is used",
    )


def test_lines_of_an_env_file_are_read_as_compose_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text(
        '# comment\n\nPLAIN=a b # comment\nexport HASH=a#b\nDOUBLE="a\\n${SET} \\"q\\""\n'
        "SINGLE='$SET # no'\nEMPTY=\nLINES=\"one\ntwo\"\nUSES=${PLAIN}!\nSET\nMISSING\n"
        "  SPACED = x\n"
        'DOLLAR="\\$SET"\n'
    )
    report = Report("app.env")
    assert read_dotenv(path, environ={"SET": "value"}, report=report) == {
        "PLAIN": "a b",
        "HASH": "a#b",
        "DOUBLE": 'a\nvalue "q"',
        "SINGLE": "$SET # no",
        "EMPTY": "",
        "LINES": "one\ntwo",
        "USES": "a b!",
        "SET": "value",
        "SPACED": "x",
        "DOLLAR": "$SET",
    }
    assert report.problems == []


FORMS = {
    "C=#fff": "#fff",
    "C= a #b": "a",
    "C=a\t#b": "a\t#b",
    "C=a#b": "a#b",
    "C: 1": "1",
    "C='it\\'s'": "it's",
    'C="a\\tb\\\\n\\x41"': "a\tb\\n\\x41",
    'C="\\0101"': "A",
    "C='a\nb' # c": "a\nb",
    'C="x" # y': "x",
    "C=pa$1word": "pa$1word",
    "C=x$": "x$",
    "C=\\$SET": "\\value",
    'C="\\$SET"': "$SET",
    "C=$$SET": "$SET",
    "export C = x": "x",
    "A=1 B=2\nC=$A": "1 B=2",
    'A="1" C=2': "2",
}


@pytest.mark.parametrize(("text", "expected"), FORMS.items(), ids=FORMS)
def test_each_form_of_a_line_has_the_value_that_compose_gives_it(
    text: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "app.env"
    path.write_text(text)
    report = Report("app.env")
    variables = read_dotenv(path, environ={"SET": "value"}, report=report)
    assert (variables["C"], report.problems, report.notes) == (expected, [], ())


def test_a_name_that_begins_with_a_digit_is_kept_for_the_container(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("456=x\n")
    assert read_dotenv(path, environ={}, report=Report("f")) == {"456": "x"}


def test_a_comment_in_place_of_a_value_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("\nA= # unset\n")
    report = Report("app.env")
    assert read_dotenv(path, environ={}, report=report) == {"A": "# unset"}
    assert report.notes == (
        "app.env:2: the value begins with '#': only behind a value does ' #' begin a comment",
    )


def test_values_of_env_files_contain_variables_of_service_and_earlier_files(
    load: Callable[..., Lab],
) -> None:
    files = {
        "one.env": "HOST=a\nNAME=one\n",
        "two.env": "URL=${HOME_TOWN}-${NAME}-${HOST}\nHOST=b\nLAST=$HOST\n",
    }
    lab = load(
        compose=(("GREETING: ${GREETING:-hello}", "NAME: own\n    env_file: [one.env, two.env]"),),
        files=files,
        environ={"HOME_TOWN": "Hamburg"},
    )
    assert dict(lab.services[1].environment) == {
        "HOST": "b",
        "LAST": "b",
        "NAME": "own",
        "URL": "Hamburg-own-a",
    }


def test_the_lab_name_is_the_project_name_in_variables(load: Callable[..., Lab]) -> None:
    lab = load(compose=(("${GREETING:-hello}", "${COMPOSE_PROJECT_NAME}-jobs"),))
    assert dict(lab.services[1].environment) == {"GREETING": "small-jobs"}
    assert lab.notes == ()


def test_a_raw_env_file_is_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text('A="$X" # y \n  # B=1\n C=\\n\nSET\nMISSING\n')
    environ = {"SET": "value"}
    assert read_dotenv(path, environ=environ, report=Report("f"), raw=True) == {
        "A": '"$X" # y ',
        "C": "\\n",
        "SET": "value",
    }


@pytest.mark.parametrize("text", ["A =1", "=1", "a b"])
def test_a_raw_env_file_refuses_names_with_blanks(text: str, tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text(f"X=1\n{text}\n")
    report = Report("app.env")
    read_dotenv(path, environ={}, report=report, raw=True)
    assert [problem.line for problem in report.problems] == [2]
