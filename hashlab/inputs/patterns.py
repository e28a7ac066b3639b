"""Patterns for names of files: those of a .dockerignore and of a watch rule, read as Docker reads
them, and the table of files that editors leave beside the file that is edited.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

# Swap, backup and lock files: they come and go while a file is open, so they are never inputs.
EDITOR_FILES = (
    "4913",  # Vim tries with it whether it may write to a folder
    "*~",  # backups and undo files of Vim, Emacs and others
    ".*.sw[a-px]",  # Vim, nano
    ".sw[a-px]",
    ".#*",  # Emacs: locks
    "#*#",  # Emacs: what is not saved yet
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
    """True if a file or folder of this name (its last part alone) is one that editors leave."""
    return _EDITOR_FILE.match(name) is not None


class BadPattern(ValueError):
    """A pattern that Docker refuses, too. ``place`` counts patterns from 0."""

    def __init__(self, pattern: str, place: int) -> None:
        super().__init__(f"'{pattern}' is not a valid pattern")
        self.place = place


@dataclass(frozen=True)
class _Pattern:
    """One pattern. ``start``: the part of it that stands in every name it matches."""

    regex: re.Pattern[str]
    excepts: bool
    start: str


class Patterns:
    """A list of patterns. Each rules over those before it; one with "!" in front takes names back
    in. A pattern that matches a folder matches all below it. Raises BadPattern.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_pattern(text, place) for place, text in enumerate(patterns)]

    def ignores(self, name: str) -> bool:
        """True if the patterns leave out ``name`` ("/" between its parts)."""
        parts = name.split("/")
        above: tuple[bool, ...] = ()
        for end in range(1, len(parts) + 1):
            above = self.matched("/".join(parts[:end]), above)
        return self.decides(above)

    def matched(self, name: str, above: tuple[bool, ...]) -> tuple[bool, ...]:
        """For each pattern, whether it matches ``name`` or a folder above it. ``above`` is the
        answer for its folder, () at the top. So a walk down a tree tests each name once.
        """
        known = above or (False,) * len(self._patterns)
        return tuple(
            before or pattern.regex.fullmatch(name) is not None
            for pattern, before in zip(self._patterns, known, strict=True)
        )

    def decides(self, matched: tuple[bool, ...]) -> bool:
        """True if the last pattern that matched leaves the name out."""
        for pattern, match in zip(reversed(self._patterns), reversed(matched), strict=True):
            if match:
                return not pattern.excepts
        return False

    def may_except_below(self, folder: str) -> bool:
        """False if no name below ``folder``, which is left out, can be taken back in."""
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
    """Return number and pattern of each line of a .dockerignore that holds one."""
    numbered = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    kept = ((number, line) for number, line in numbered if not line.startswith("#"))
    return [(number, cleaned(line)) for number, line in kept if line.strip()]


def cleaned(line: str) -> str:
    """Return a pattern as Docker cleans it: no blanks around it, no "./", no "/" in front."""
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
    """Translate as moby/patternmatcher does: "*" and "?" stop at "/", "**" does not."""
    found, place = "", 0
    while place < len(pattern):
        sign = pattern[place]
        if pattern.startswith("**", place):
            place += 2
            place += pattern.startswith("/", place)
            deep = ".*" if place == len(pattern) else "(?:.*/)?"
            found += "" if found.endswith(deep) else deep
        elif sign == "[":
            end = _end_of_class(pattern, place)
            found += _class(pattern[place + 1 : end])
            place = end + 1
        else:
            escaped = sign == "\\"
            place += 2 if escaped else 1
            simple = {"*": "[^/]*", "?": "[^/]"}
            found += re.escape(pattern[place - 1]) if escaped else simple.get(sign, re.escape(sign))
    return found


def _end_of_class(pattern: str, start: int) -> int:
    """Return where the class that begins at ``start`` ends. Raises IndexError if nowhere."""
    place = start + 1
    place += pattern[place] == "^"
    first = place
    while pattern[place] != "]" or place == first:
        place += 2 if pattern[place] == "\\" else 1
    return place


def _class(inside: str) -> str:
    """Return a class of characters for ``re``: what is special only in Python is escaped."""
    mark = "^" if inside.startswith("^") else ""
    return f"[{mark}{_ONLY_PYTHON.sub(_ESCAPED, inside.removeprefix('^'))}]"


def patterns_of(lines: Sequence[tuple[int, str]]) -> Patterns:
    """Return the patterns of ``ignore_lines``. Raises BadPattern, whose place is the line."""
    try:
        return Patterns(text for _, text in lines)
    except BadPattern as bad:
        number, text = lines[bad.place]
        raise BadPattern(text, number) from bad
