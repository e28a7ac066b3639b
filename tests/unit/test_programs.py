"""Programs for machines are files that shellcheck reads; Python passes them arguments as words."""

from __future__ import annotations

import ast
from pathlib import Path

import hashlab

PACKAGE = Path(hashlab.__file__).parent
SHELLS = {"sh", "/bin/sh", "bash", "/bin/bash"}


def programs_in(tree: ast.AST) -> list[ast.expr]:
    """Return what follows "sh", "-c" in every list and tuple."""
    return [
        program
        for node in ast.walk(tree)
        if isinstance(node, ast.List | ast.Tuple)
        for shell, option, program in zip(node.elts, node.elts[1:], node.elts[2:], strict=False)
        if isinstance(shell, ast.Constant) and shell.value in SHELLS
        if isinstance(option, ast.Constant) and option.value == "-c"
    ]


def test_no_program_is_a_string_in_python() -> None:
    found = [
        (path, program)
        for path in PACKAGE.rglob("*.py")
        for program in programs_in(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(found) > 10
    pasted = [
        f"{path}:{p.lineno}" for path, p in found if not isinstance(p, ast.Name | ast.Starred)
    ]
    assert pasted == []


def test_the_check_finds_a_pasted_program() -> None:
    [program] = programs_in(ast.parse('run(["sudo", "sh", "-c", f"rm {name}"])'))
    assert isinstance(program, ast.JoinedStr)


def test_every_program_begins_with_its_interpreter_and_a_sentence() -> None:
    for path in PACKAGE.rglob("*.sh"):
        first, second, *_ = path.read_text(encoding="utf-8").splitlines()
        assert first in ("#!/bin/sh", "#!/bin/bash", "#!/bin/sh -e"), path
        assert second.startswith("# "), path
