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
}


@pytest.mark.parametrize(("text", "expected"), RULES.items(), ids=RULES)
def test_a_variable_is_replaced_as_specified(text: str, expected: str) -> None:
    assert replaced(text) == expected


@pytest.mark.parametrize(
    "text", ["$", "a$ b", "$1", "${", "${}", "${SET", "${1A}", "${SET:x}", "${SET:-${NONE:-x}"]
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


def test_a_raw_env_file_is_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text('A="$X" # y\n# B=1\n')
    assert read_dotenv(path, environ={}, report=Report("f"), raw=True) == {"A": '"$X" # y'}
