"""Keys and values have the right lines, and YAML scalars have the types that Docker Compose gives
them.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from math import inf
from random import Random
from typing import Any

import pytest
import yaml

from hashlab.config.go_values import printed
from hashlab.config.nodes import Node
from hashlab.config.report import Report
from hashlab.config.toml_nodes import read_toml
from hashlab.config.yaml_nodes import read_yaml, resolve_plain


def plain(node: Node) -> Any:
    """Return the values of a tree without its lines."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def lines(node: Node, path: str = "") -> dict[str, tuple[int, int]]:
    """Return (line of the key, line of the value) of each leaf."""
    children = node.value
    if isinstance(children, dict):
        pairs = list(children.items())
    elif isinstance(children, list):
        pairs = [(str(index), child) for index, child in enumerate(children)]
    else:
        return {path: (node.key_line, node.line)}
    found: dict[str, tuple[int, int]] = {}
    for key, child in pairs:
        found.update(lines(child, f"{path}/{key}"))
    return found


def toml(text: str) -> Node:
    report = Report("f")
    node = read_toml(text, report)
    assert node is not None, report.problems
    return node


def from_yaml(text: str) -> Node:
    report = Report("f")
    documents = read_yaml(text, report)
    assert documents, report.problems
    return documents[0]


TOML = '''\
# comment with [brackets] and "quotes
top = 1
"quoted key" = """
[not.a.table]
x = 1""" # trailing
literal = \'\'\'
[nor.this]\'\'\'

[a.b]          # comment
list = [       # comment ]
  "one, two",  # [
  'three ] }',

  [4, [5,
    6]],
]
inline = { x = 1, "y z" = [7,
  8], n = { deep = "}" } }
dotted.key = true
[a.c]
date = 2026-01-02 03:04:05
[[things]]
name = "first"
[things.sub]
x = 1
[[things]]
name = "second"
sub.x = """\\
  a""\\""" """
'''

TOML_LINES = {
    "/top": (2, 2),
    "/quoted key": (3, 3),
    "/literal": (6, 6),
    "/a/b/list/0": (11, 11),
    "/a/b/list/1": (12, 12),
    "/a/b/list/2/0": (14, 14),
    "/a/b/list/2/1/0": (14, 14),
    "/a/b/list/2/1/1": (15, 15),
    "/a/b/inline/x": (17, 17),
    "/a/b/inline/y z/0": (17, 17),
    "/a/b/inline/y z/1": (18, 18),
    "/a/b/inline/n/deep": (18, 18),
    "/a/b/dotted/key": (19, 19),
    "/a/c/date": (21, 21),
    "/things/0/name": (23, 23),
    "/things/0/sub/x": (25, 25),
    "/things/1/name": (27, 27),
    "/things/1/sub/x": (28, 28),
}


def test_every_toml_value_has_its_line_in_any_context() -> None:
    node = toml(TOML)
    assert plain(node) == tomllib.loads(TOML)
    assert lines(node) == TOML_LINES


def test_each_value_of_generated_toml_has_its_line() -> None:
    for seed in range(40):
        text = generated_toml(Random(seed))
        node = toml(text)
        for path, (_, line) in lines(node).items():
            value = plain(node)
            for part in path[1:].split("/"):
                value = value[int(part)] if isinstance(value, list) else value[part]
            assert str(value) in text.splitlines()[line - 1], (seed, path)


def generated_toml(random: Random) -> str:
    """Return a file in which each value is a number that occurs nowhere else."""
    numbers = iter(range(10_000, 99_999))

    def value(depth: int) -> str:
        gap = random.choice(["", " ", "\n", "\n# ] } , =\n", "\n\n  "])
        if depth > 2 or random.random() < 0.5:
            number = next(numbers)
            return random.choice([f"{number}", f'"{number}"', f"'{number}'", f'"""{number}"""'])
        items = [value(depth + 1) for _ in range(random.randrange(4))]
        if random.random() < 0.5:
            return "[" + "".join(f"{gap}{item}{gap}," for item in items) + gap + "]"
        return "{ " + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + " }"

    parts = []
    for table in range(random.randrange(1, 5)):
        header = random.choice(
            [f"[t{table}]", f"[deep.t{table}]", f"[[array{table}]]", f'["q {table}"]']
        )
        parts.append(header + random.choice(["", "  # [x]"]))
        parts += [f"key{n}{random.choice(['', '.x'])} = {value(0)}" for n in range(3)]
    return "\n".join(parts) + "\n"


YAML = """\
a: &one
  x: 1
  y: [2,
    3]
b:
  <<: *one
  z: "four"
c: {<<: [{x: 9, w: 5}, *one],
  x: 6}
d:
- *one
- text: |
    several
    lines
e:
"""

YAML_LINES = {
    "/a/x": (2, 2),
    "/a/y/0": (3, 3),
    "/a/y/1": (4, 4),
    "/b/z": (7, 7),
    "/b/x": (2, 2),
    "/b/y/0": (3, 3),
    "/b/y/1": (4, 4),
    "/c/x": (9, 9),
    "/c/w": (8, 8),
    "/c/y/0": (3, 3),
    "/c/y/1": (4, 4),
    "/d/0/x": (2, 2),
    "/d/0/y/0": (3, 3),
    "/d/0/y/1": (4, 4),
    "/d/1/text": (12, 12),
    "/e": (15, 15),
}


def test_every_yaml_value_has_its_line_even_through_anchors_and_merges() -> None:
    node = from_yaml(YAML)
    assert lines(node) == YAML_LINES
    assert plain(node) == yaml.safe_load(YAML)


def test_own_keys_override_merges_and_earlier_merges_override_later_ones() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*b, *a], y: 3}\n"
    assert plain(from_yaml(text))["c"] == {"x": 2, "y": 3, "z": 2}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert plain(from_yaml('a: {"<<": {x: 1}}\n')) == {"a": {"<<": {"x": 1}}}


SCALARS = {
    "true": True, "False": False, "yes": "yes", "no": "no", "on": "on", "null": None, "~": None,
    "12": 12, "-3": -3, "0440": 288, "0o440": 288, "0x1F": 31, "1.10": 1.1, "1e3": 1000.0,
    ".5": 0.5,
    "22:22": "22:22", "1_000": 1000, "0b11": 3, "-0x10": -16, "+5": 5, "1_": 1, "_1": "_1",
    "2026-01-02": datetime(2026, 1, 2, tzinfo=UTC), "2026-13-01": "2026-13-01",
    "2026-1-2T3:4:5Z": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "2026-1-2T3:4:5": "2026-1-2T3:4:5",
    "-0": -0.0, ".inf": inf, "99999999999999999999": 1e20, "1e999": "1e999",
    "3.8.1": "3.8.1", "1g": "1g",
    "-": "-", ".": ".", "089": 89.0, "word": "word", "+": "+",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_a_plain_scalar_has_the_type_that_compose_gives_it(text: str, value: object) -> None:
    assert resolve_plain(text) == value
    assert type(resolve_plain(text)) is type(value)


PRINTED = {
    "3.0": "3", "1000000.0": "1e+06", "123456.5": "123456.5", "1234567.5": "1.2345675e+06",
    "0.0001": "0.0001", "0.00001": "1e-05", "-0": "-0", "1.10": "1.1", "TRUE": "true", "0x1F": "31",
    "2020-01-01": "2020-01-01 00:00:00 +0000 UTC",
    "2001-2-4 1:9:4.50": "2001-02-04 01:09:04.5 +0000 UTC",
    "2001-12-14T21:59:43.10+02:00": "2001-12-14 21:59:43.1 +0200 +0200",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PRINTED.items(), ids=PRINTED)
def test_a_scalar_is_passed_on_as_go_prints_it(text: str, expected: str) -> None:
    assert printed(resolve_plain(text), text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"), ("! 12", "12"), ("!!int '12'", 12)],
)
def test_quotes_and_tags_decide_the_type_of_a_scalar(text: str, value: object) -> None:
    assert plain(from_yaml(f"a: {text}\n")) == {"a": value}
