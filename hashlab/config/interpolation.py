"""Replace ${VAR} and its variants in strings by the rules of the Compose Specification."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from hashlab.config.nodes import Broken, Node
from hashlab.config.report import Report, Wrong

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = re.compile(r"[$}]")
_OPERATOR = re.compile(r":?[-?+]")
_MAX_NESTING = 20
_HINT = "Write ${NAME} for a variable, or $$ for a dollar sign."


class Interpolation:
    """Replaces the variables of one lab. ``environ`` is the environment, completed by .env."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report

    def tree(self, node: Node) -> Node:
        """Return ``node`` with variables replaced in all its strings. Keys stay as they are."""
        value = node.value
        if isinstance(value, str):
            return self._scalar(node, value) if "$" in value else node
        if isinstance(value, dict):
            replaced = {key: self.tree(child) for key, child in value.items()}
            return Node(replaced, node.line, key_line=node.key_line)
        if isinstance(value, list):
            return Node([self.tree(child) for child in value], node.line, key_line=node.key_line)
        return node

    def text(self, text: str, line: int) -> str:
        """Return ``text`` with its variables replaced. Raises Wrong if that is impossible."""
        missing: list[str] = []
        spend = self._report.spending.add
        result = _Substitution(text, line, self._environ, missing.append, spend).whole()
        for name in missing:
            self._report.note(line, f"the variable {name} is not set; an empty string is used")
        return result

    def _scalar(self, node: Node, text: str) -> Node:
        try:
            replaced = self.text(text, node.line)
        except Wrong as wrong:
            self._report.add_wrong(wrong)
            return Node(Broken(), node.line, key_line=node.key_line)
        return Node(replaced, node.line, key_line=node.key_line, raw=replaced)


class _Substitution:
    def __init__(
        self,
        text: str,
        line: int,
        environ: Mapping[str, str],
        missing: Callable[[str], None],
        spend: Callable[[int, int], None],
    ) -> None:
        self._text = text
        self._line = line
        self._environ = environ
        self._missing = missing
        self._spend = spend
        self._at = 0

    def whole(self) -> str:
        return self._until_brace(0, inside=False, live=True)

    def _until_brace(self, nesting: int, *, inside: bool, live: bool) -> str:
        """Replace up to the closing brace (``inside``) or the end. ``live``: the result will be
        used.
        """
        parts: list[str] = []
        while self._at < len(self._text):
            match = _SPECIAL.search(self._text, self._at)
            end = match.start() if match else len(self._text)
            parts.append(self._text[self._at : end])
            self._at = end
            if match is None or (match[0] == "}" and inside):
                break
            self._at += 1
            parts.append(self._variable(nesting, live=live) if match[0] == "$" else "}")
        return "".join(parts)

    def _variable(self, nesting: int, *, live: bool) -> str:
        if self._skip("$"):
            return "$"
        if self._skip("{"):
            return self._braced(nesting + 1, live=live)
        return self._value(self._name(), live=live)

    def _braced(self, nesting: int, *, live: bool) -> str:
        if nesting > _MAX_NESTING:
            raise Wrong(self._line, "variables are nested too deep", "Use fewer defaults.")
        name = self._name()
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            self._close()
            return self._value(name, live=live)
        self._at = operator.end()
        value = self._environ.get(name)
        absent = value is None or (value == "" and operator[0][0] == ":")
        wanted = live and (absent if operator[0][-1] in "-?" else not absent)
        word = self._until_brace(nesting, inside=True, live=wanted)
        self._close()
        self._spend(len(value or ""), self._line)
        return self._chosen(name, operator[0][-1], word, value or "", absent=absent, live=live)

    def _chosen(
        self, name: str, operator: str, word: str, value: str, *, absent: bool, live: bool
    ) -> str:
        if operator == "+":
            return "" if absent else word
        if operator == "?" and absent and live:
            message = f"the variable {name} is not set" + (f": {word}" if word else "")
            raise Wrong(self._line, message, f"Set {name} in the environment or in .env.")
        return word if absent else value

    def _value(self, name: str, *, live: bool) -> str:
        if name not in self._environ and live:
            self._missing(name)
        value = self._environ.get(name, "")
        self._spend(len(value), self._line)
        return value

    def _name(self) -> str:
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise Wrong(self._line, "'$' is not followed by a variable's name", _HINT)
        self._at = match.end()
        return match[0]

    def _close(self) -> None:
        if not self._skip("}"):
            raise Wrong(self._line, "'${' is not closed by '}', or the name is invalid", _HINT)

    def _skip(self, character: str) -> bool:
        matches = self._text.startswith(character, self._at)
        self._at += len(character) if matches else 0
        return matches
