"""Files made to hang or crash a parser are refused quickly and with a clear message."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from hashlab.config.load import load_lab
from hashlab.errors import ConfigError, Problem

Problems = Callable[..., tuple[Problem, ...]]

TOML = '[lab]\nname = "x"\n[machines.one]\naddress = "192.168.60.5"\n'


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    """Each of these takes a moment; a second is far too long."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 1


def bomb(levels: int) -> str:
    lines = ["x0: &a0 [lol]"]
    lines += [f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join((*lines, "services: {a: {image: x}}\n"))


def merge_bomb(levels: int) -> str:
    lines = ["x0: &a0 {k: v}"]
    lines += [f"x{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, levels)]
    return "\n".join((*lines, "services: {a: {image: x}}\n"))


def staircase(levels: int) -> str:
    lines = ["x-0: &a0 [lol]", *(f"x-{n}: &a{n} [*a{n - 1}]" for n in range(1, levels))]
    return "\n".join((*lines, "services: {a: {image: x}}\n"))


HOSTILE = {
    "a bomb of aliases": (bomb(30), "expands to more than 100,000 values"),
    "a bomb of merges": (merge_bomb(30), "expands to more than 100,000 values"),
    "a staircase of aliases": (staircase(5000), "nested more than 50 levels deep"),
    "lists in lists": ("services: " + "[" * 100_000, "nested more than 50 levels deep"),
    "mappings in mappings": (
        "\n".join(" " * n + "a:" for n in range(1000)),
        "nested more than 50 levels deep",
    ),
    "flow mappings": ("services: " + "{a: " * 50_000, "nested more than 50 levels deep"),
    "a huge file": ("services:\n" + "# x\n" * 300_000, "is larger than 1 MiB"),
    "a huge number": (
        f"services: {{a: {{image: x, ports: [{'9' * 9000}]}}}}\n",
        "is not a valid port",
    ),
    "defaults in defaults": (
        f"services: {{a: {{image: '{'${A:-' * 5000}{'}' * 5000}'}}}}\n",
        "variables are nested too deep",
    ),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_compose_file_is_refused_with_a_message(
    text: str, message: str, problems_of: Problems
) -> None:
    problems = problems_of(compose=text, toml=TOML)
    assert any(message in problem.message for problem in problems), problems[:3]


def test_a_line_of_many_variables_is_read_quickly(tmp_path: Path) -> None:
    many = "${A:-x}" * 10_000
    (tmp_path / "hashlab.toml").write_text(TOML)
    (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: x, command: ['{many}']}}}}\n")
    assert load_lab(tmp_path, environ={}).services[0].command == ("x" * 10_000,)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{b = " * 100_000,
        "a = " + "9" * 9000,
        "[a" + ".b" * 1200 + "]",
        "a" + ".a" * 500_000 + " = 1",
        "a" + ' . "a"' * 150_000 + " = 1",
        "a" + " . 'a'" * 150_000 + " = 1",
        "[[a" + ".b" * 400_000 + "]]",
        "a = {b" + ".b" * 400_000 + " = 1}",
        "a = [" + "1," * 400_000 + "]",
        'a = "' + '\\"' * 400_000,
        "a = '" + "x" * 900_000,
        'a = """' + "x" * 900_000,
        '"' * 900_000,
        "x" * 900_000,
        "x." * 19 + "x = 1\n" + "# " + "a." * 400_000,
    ],
    ids=lambda text: re.sub(r"(.{2,9}?)\1+", r"\1…", text)[:20],
)
def test_a_hostile_toml_file_is_refused_with_a_message(text: str, problems_of: Problems) -> None:
    assert problems_of(toml=text, compose="services: {a: {image: x}}\n")


DOUBLING = "A=x\n" + "A=$A$A\n" * 40
TRIPLING = "A=xxxxxxxxxx\n" + "A=${A:-${A}}${A}${A:+$A}\n" * 40


@pytest.mark.parametrize(
    "text", [DOUBLING, TRIPLING, "A=" + "x" * 900_000 + "\nB=" + "$A" * 50_000]
)
@pytest.mark.parametrize("where", [".env", "some.env", "compose.yaml"])
def test_nested_variables_cannot_exhaust_the_memory(text: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "hashlab.toml").write_text(TOML)
    compose = "services: {a: {image: x, env_file: some.env}}\n"
    (tmp_path / "some.env").write_text("")
    if where == "compose.yaml":
        (tmp_path / ".env").write_text("A=" + "x" * 100_000)
        compose = "services: {a: {image: x, command: '" + "$A" * 1000 + "'}}\n"
    else:
        (tmp_path / where).write_text(text)
    (tmp_path / "compose.yaml").write_text(compose)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="expand to more than 4,000,000 characters") as caught:
            load_lab(tmp_path, environ={})
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    [problem, *_] = caught.value.problems
    assert (problem.file, problem.line > 0) == (where, True)


def test_a_variable_counts_again_at_each_place_that_uses_it(tmp_path: Path) -> None:
    (tmp_path / "hashlab.toml").write_text(TOML)
    (tmp_path / ".env").write_text("NAME=" + "x" * 1000)
    uses = "".join(f"      V{number}: $NAME\n" for number in range(2000))
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  a:\n    image: x\n    environment:\n{uses}"
    )
    assert len(load_lab(tmp_path, environ={}).services[0].environment) == 2000


def test_files_that_are_not_utf_8_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "hashlab.toml").write_bytes(b'[lab]\nname = "\xe9"\n')
    (tmp_path / "compose.yaml").write_bytes(b"services:\n  a:\n    image: \xff\xfe\n")
    with pytest.raises(ConfigError) as caught:
        load_lab(tmp_path, environ={})
    assert [str(problem) for problem in caught.value.problems] == [
        "compose.yaml:3: is not UTF-8. Save the file in the encoding UTF-8.",
        "hashlab.toml:2: is not UTF-8. Save the file in the encoding UTF-8.",
    ]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hashlab.toml").write_text(TOML)
    (tmp_path / "compose.yaml").mkdir()
    with pytest.raises(ConfigError, match="is a folder, not a file"):
        load_lab(tmp_path, environ={})


def test_a_long_chain_of_dependencies_is_accepted(problems_of: Problems) -> None:
    services = [f"  s{n}: {{image: x, depends_on: [s{n + 1}]}}" for n in range(1000)]
    compose = "\n".join(("services:", *services, "  s1000: {image: x}\n"))
    assert problems_of(compose=compose, toml=TOML) == ()


JUNK = (
    "[]",
    "{}",
    "''",
    "-1",
    "true",
    "1.5",
    "[x]",
    "{a: {b: c}}",
    "~",
    "*a",
    "&a ",
    "${X",
    "\t",
    "[[1]]",
)


def spoiled(text: str, random: Random) -> str:
    """Return ``text`` with a few lines lost, doubled, moved, or given another value."""
    lines = text.split("\n")
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(lines))
        line = lines[at]
        lines[at] = random.choice(
            (
                "",
                f"{line}\n{line}",
                f"  {line}",
                re.sub(r"([:=]) .*", lambda match: f"{match[1]} {random.choice(JUNK)}", line),
                line[: len(line) // 2] + random.choice("[]{}:,#'\"&*") + line[len(line) // 2 :],
            )
        )
    return "\n".join(lines)


def test_damaged_files_give_problems_and_no_other_exception(
    write_lab: Callable[..., Path], problems_of: Problems
) -> None:
    folder = write_lab()
    toml = (folder / "hashlab.toml").read_text()
    compose = (folder / "compose.yaml").read_text()
    random = Random(5)
    for _ in range(40):
        problems_of(compose=spoiled(compose, random), toml=toml)
        problems_of(compose=compose, toml=spoiled(toml, random))
