"""Replace ${VAR} and its variants in strings by the rules of the Compose Specification."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from hashlab.config.nodes import Broken, Node
from hashlab.config.report import Report, Wrong

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# A dollar sign, and what makes it a variable: a second one, a name, or a brace. Followed by
# anything else it is only a dollar sign.
_DOLLAR = re.compile(rf"\$(?:(?P<escaped>\$)|(?P<name>{_NAME})|\{{(?P<braced>{_NAME})?)")
_OPERATOR = re.compile(r":?[-?+]")
# An opening brace hides the character behind it, as in Compose.
_BRACE = re.compile(r"\{[^\n]?|\}|\n")
_MAX_NESTING = 20
_HINT = "Write ${NAME} for a variable, or $$ for a dollar sign."


class Interpolation:
    """Replaces the variables of one lab. ``environ`` is the environment, completed by .env."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self.report = report

    def tree(self, node: Node) -> Node:
        """Return ``node`` with variables replaced in all its strings. Keys stay as they are."""
        value = node.value
        if isinstance(value, str):
            return self._scalar(node, value) if "$" in value else node
        if isinstance(value, dict):
            return node.holding({key: self.tree(child) for key, child in value.items()})
        if isinstance(value, list):
            return node.holding([self.tree(child) for child in value])
        return node

    def text(self, text: str, line: int) -> str:
        """Return ``text`` with its variables replaced. Raises Wrong if that is impossible."""
        missing: list[str] = []
        spend = self.report.spending.add
        result = _Substitution(self._environ, line, missing.append, spend).replaced(text)
        for name in missing:
            self.report.note(line, f"the variable {name} is not set; an empty string is used")
        return result

    def _scalar(self, node: Node, text: str) -> Node:
        try:
            return node.holding(self.text(text, node.line))
        except Wrong as wrong:
            self.report.add_wrong(wrong)
            return node.holding(Broken())


class _Substitution:
    """Replaces variables exactly as Compose does, where it surprises too.

    A default ends at the brace that closes its variable, or if braces do not match at the last one
    of the line. It is not read if it is not used.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        line: int,
        missing: Callable[[str], None],
        spend: Callable[[int, int], None],
    ) -> None:
        self._environ = environ
        self._line = line
        self._missing = missing
        self._spend = spend

    def replaced(self, text: str, nesting: int = 0) -> str:
        if nesting > _MAX_NESTING:
            raise Wrong(self._line, "variables are nested too deep", "Use fewer defaults.")
        parts: list[str] = []
        at = 0
        while match := _DOLLAR.search(text, at):
            parts.append(text[at : match.start()])
            at = match.end()
            if match["escaped"]:
                parts.append("$")
            elif match["name"]:
                parts.append(self._value(match["name"]))
            else:
                value, at = self._braced(match, nesting)
                parts.append(value)
        return "".join((*parts, text[at:]))

    def _braced(self, match: re.Match[str], nesting: int) -> tuple[str, int]:
        """Return the value of a variable in braces, and the index behind its last brace."""
        name, text = match["braced"], match.string
        if name and text.startswith("}", match.end()):
            return self._value(name), match.end() + 1
        operator = _OPERATOR.match(text, match.end())
        end = _closing(text, match.start()) if name and operator else -1
        if operator is None or end < 0:
            raise Wrong(self._line, "'${' is not closed by '}', or the name is invalid", _HINT)
        word = text[operator.end() : end]
        return self._chosen(name, operator[0], word, nesting + 1), end + 1

    def _chosen(self, name: str, operator: str, word: str, nesting: int) -> str:
        value = self._environ.get(name)
        absent = value is None or (value == "" and operator[0] == ":")
        self._spend(len(value or ""), self._line)
        if operator[-1] == "+":
            return "" if absent else self.replaced(word, nesting)
        if not absent:
            return value or ""
        word = self.replaced(word, nesting)
        if operator[-1] == "?":
            message = f"the variable {name} is not set" + (f": {word}" if word else "")
            raise Wrong(self._line, message, f"Set {name} in the environment or in .env.")
        return word

    def _value(self, name: str) -> str:
        if name not in self._environ:
            self._missing(name)
        value = self._environ.get(name, "")
        self._spend(len(value), self._line)
        return value


def _closing(text: str, start: int) -> int:
    """Return the index of the brace that closes the variable at ``start``.

    It is the last one of the line if braces do not match, and -1 if the line has none.
    """
    depth, last = 0, -1
    for match in _BRACE.finditer(text, start):
        if match[0] == "\n":
            break
        if match[0][-1] == "}":
            last = match.end() - 1
        depth += -1 if match[0] == "}" else 1
        if depth == 0:
            break
    return last
