"""The worst habits of hashlab's prose stay out: docstrings that open with a clause, coined phrases.

`CONTRIBUTING.md` describes the style. These rules catch only what a program can recognise.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "hashlab"
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
# "What a machine has told of itself." instead of "Return the machine's description."
CLAUSE = re.compile(r"\A(What|Who|Whose|Which|Where|Whether|Of|That|Those|Whoever|Nobody|How)\b")
# "70000 is no port" instead of "70000 is not a valid port number".
COINED = r"\b(?<!there )is no (?!longer\b)|\banew\b|\bwhoever\b|\blook(s|ed)? that\b"
PHRASES = re.compile(COINED, re.IGNORECASE)
# Messages also name the missing thing: "unknown service 'x'", "the table [lab] is missing".
MESSAGE_PHRASES = re.compile(COINED + r"|\bthere (is|are) no\b", re.IGNORECASE)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string that is not a docstring."""
    standing = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in standing:
            yield node.lineno, str(node.value)


def findings(
    strings: Callable[[ast.Module], Iterator[tuple[int, str]]], wrong: re.Pattern[str]
) -> list[str]:
    """Return file, line and text of each string in which a pattern is found."""
    return [
        f"{path.relative_to(REPOSITORY)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in strings(ast.parse(path.read_text("utf-8")))
        if wrong.search(text)
    ]


def test_messages_avoid_coined_phrases() -> None:
    assert findings(messages, MESSAGE_PHRASES) == []


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    assert findings(docstrings, CLAUSE) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_avoid_coined_phrases(document: Path) -> None:
    lines = enumerate(document.read_text("utf-8").splitlines(), start=1)
    assert [f"{number}: {line}" for number, line in lines if PHRASES.search(line)] == []
