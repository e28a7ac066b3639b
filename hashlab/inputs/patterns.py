"""Patterns for file names as Docker reads them in a .dockerignore and in watch rules, and the names
of editors' temporary files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

# Swap, backup and lock files come and go while a file is open, so they are never inputs.
EDITOR_FILES = (
    "4913",  # Vim tests with it whether it may write to a folder
    "*~",  # backups and undo files of Vim, Emacs and others
    ".*.sw[a-px]",  # Vim, nano
    ".sw[a-px]",
    ".#*",  # Emacs: locks
    "#*#",  # Emacs: unsaved changes
    "*___jb_tmp___",  # JetBrains
    "*___jb_old___",
    ".idea",
    "*.kate-swp",
    ".goutputstream-*",  # gedit
    ".~lock.*#",  # LibreOffice
)
_EDITOR_FILE = re.compile("|".join(map(translate, EDITOR_FILES)))
_SPECIAL = re.compile(r"[*?\[\\]")
_ONLY_PYTHON, _ESCAPED = re.compile(r"([\[&~|])"), r"\\\1"


def is_editor_file(name: str) -> bool:
    """True if a file or folder of this name (its last part alone) is an editor's temporary file."""
    return _EDITOR_FILE.match(name) is not None


class BadPattern(ValueError):
    """A pattern that Docker refuses as well. ``place`` counts patterns from 0."""

    def __init__(self, pattern: str, place: int) -> None:
        super().__init__(f"'{pattern}' is not a valid pattern")
        self.place = place


@dataclass(frozen=True)
class _Pattern:
    """One pattern. ``start``: its fixed beginning, which every matching name has."""

    regex: re.Pattern[str]
    excepts: bool
    start: str


class Patterns:
    """A list of patterns. A later pattern overrides earlier ones, "!" in front includes names
    again, and a pattern that matches a folder matches everything below it. Raises BadPattern.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_pattern(text, place) for place, text in enumerate(patterns)]

    def ignores(self, name: str) -> bool:
        """True if the patterns exclude ``name`` ("/" between its parts)."""
        parts = name.split("/")
        above: tuple[bool, ...] = ()
        for end in range(1, len(parts) + 1):
            above = self.matched("/".join(parts[:end]), above)
        return self.decides(above)

    def matched(self, name: str, above: tuple[bool, ...]) -> tuple[bool, ...]:
        """Return for each pattern whether it matches ``name`` or a folder above it.

        ``above`` is the result for its folder, () at the top. With it, a walk down a tree tests
        each name only once.
        """
        known = above or (False,) * len(self._patterns)
        return tuple(
            before or pattern.regex.fullmatch(name) is not None
            for pattern, before in zip(self._patterns, known, strict=True)
        )

    def decides(self, matched: tuple[bool, ...]) -> bool:
        """True if the last matching pattern excludes the name."""
        for pattern, match in zip(reversed(self._patterns), reversed(matched), strict=True):
            if match:
                return not pattern.excepts
        return False

    def may_except_below(self, folder: str) -> bool:
        """False if no pattern can include a name below ``folder``, which is excluded."""
        below = folder + "/"
        return any(
            pattern.excepts and (pattern.start.startswith(below) or below.startswith(pattern.start))
            for pattern in self._patterns
        )


@lru_cache(maxsize=256)
def compiled(patterns: tuple[str, ...]) -> Patterns:
    """Return the patterns of a watch rule's ``ignore``. Raises BadPattern."""
    return Patterns(cleaned(text) for text in patterns if text.strip())


def ignore_lines(text: str) -> list[tuple[int, str]]:
    """Return line number and pattern of each line of a .dockerignore that contains a pattern."""
    numbered = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    kept = ((number, line) for number, line in numbered if not line.startswith("#"))
    return [(number, cleaned(line)) for number, line in kept if line.strip()]


def cleaned(line: str) -> str:
    """Return a pattern as Docker normalises it: no surrounding blanks, no leading "./" or "/"."""
    text = line.strip()
    mark = "!" if text.startswith("!") else ""
    text = text.removeprefix("!").strip()
    if not text:
        return mark
    path = posixpath.normpath(text)
    return mark + (path.lstrip("/") or "/")


def _pattern(text: str, place: int) -> _Pattern:
    excepts = text.startswith("!")
    body = text.removeprefix("!")
    if not body:
        raise BadPattern(text, place)
    try:
        regex = re.compile(_expression(body), re.DOTALL)
    except (re.error, IndexError) as error:
        raise BadPattern(text, place) from error
    return _Pattern(regex, excepts, _SPECIAL.split(body)[0])


def _expression(pattern: str) -> str:
    """Translate a pattern as moby/patternmatcher does: "*" and "?" do not match "/", "**" does."""
    expression, place = "", 0
    while place < len(pattern):
        sign = pattern[place]
        if pattern.startswith("**", place):
            place += 2
            place += pattern.startswith("/", place)
            deep = ".*" if place == len(pattern) else "(?:.*/)?"
            expression += "" if expression.endswith(deep) else deep
        elif sign == "[":
            end = _end_of_class(pattern, place)
            expression += _class(pattern[place + 1 : end])
            place = end + 1
        else:
            escaped = sign == "\\"
            place += 2 if escaped else 1
            simple = {"*": "[^/]*", "?": "[^/]"}
            expression += (
                re.escape(pattern[place - 1]) if escaped else simple.get(sign, re.escape(sign))
            )
    return expression


def _end_of_class(pattern: str, start: int) -> int:
    """Return the position where the class that begins at ``start`` ends. Raises IndexError if it
    does not end.
    """
    place = start + 1
    place += pattern[place] == "^"
    first = place
    while pattern[place] != "]" or place == first:
        place += 2 if pattern[place] == "\\" else 1
    return place


def _class(inside: str) -> str:
    """Return a character class for ``re``. Characters that are special only in Python are
    escaped.
    """
    mark = "^" if inside.startswith("^") else ""
    return f"[{mark}{_ONLY_PYTHON.sub(_ESCAPED, inside.removeprefix('^'))}]"


def patterns_of(lines: Sequence[tuple[int, str]]) -> Patterns:
    """Return the patterns of ``ignore_lines``. Raises BadPattern with the line number as its
    place.
    """
    try:
        return Patterns(text for _, text in lines)
    except BadPattern as bad:
        number, text = lines[bad.place]
        raise BadPattern(text, number) from bad
