"""The YAML of `hashlab config`: it can be read back exactly, and is safe on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
import yaml

from hashlab.config.report import Report
from hashlab.config.yaml_nodes import read_yaml
from hashlab.report.resolved import show_resolved


def shown(shape: dict[str, object]) -> str:
    stream = StringIO()
    show_resolved(shape, stream=stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "text", ["", "yes", "3.0", "0o14", "1_000", "null", "~", "a: b", "two\nlines\n", "ü", " x "]
)
def test_a_string_is_read_back_as_the_same_string(text: str) -> None:
    page = shown({"key": text})
    assert yaml.safe_load(page) == {"key": text}
    (node,) = read_yaml(page, Report("page")) or []
    assert isinstance(node.value, dict)
    assert node.value["key"].value == text


def test_keys_keep_their_order_and_nothing_is_an_alias() -> None:
    same = ["a"]
    assert shown({"b": same, "a": same, "c": None}) == "b:\n- a\na:\n- a\nc: null\n"


class Terminal(StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_what_reorders_a_terminals_line_is_not_written_to_it() -> None:
    terminal = Terminal()
    show_resolved({"key": "a\u202eb"}, stream=terminal)
    assert "\u202e" not in terminal.getvalue()
