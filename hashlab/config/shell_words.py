"""Split a command that is written as a string into words, as Compose does: no shell runs it."""

from __future__ import annotations

import re

# Quotes that end a piece are always there: an open one matches nothing. Compose keeps the text of
# `...` and $(...) as it is.
_PIECE = re.compile(
    r"'(?P<single>[^']*)'"
    r'|"(?P<double>(?:\\.|[^"\\])*)"'
    r"|(?P<kept>`(?:\\.|[^`\\])*`|\$\((?:\\.|[^()\\])*\))"
    r"|(?P<escaped>\\.)"
    r"|(?P<space>[ \t\r\n]+)"
    r"|(?P<operator>[;&|<>])"
    r"|(?P<plain>[^'\"`\\()])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CHARACTERS = {"t": "\t", "n": "\n"}


def split(text: str) -> tuple[tuple[str, ...], str]:
    """Return the words of ``text`` before the first operator of a shell, and the rest.

    Raises ValueError for a quote that is not closed, or a parenthesis outside of quotes and $(...).
    """
    words: list[str] = []
    word: str | None = None
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            raise ValueError(text[position:])
        if piece["operator"]:
            if piece["operator"] == ">" and (word or "").isdecimal():
                position -= len(word or "")  # 2> is one operator
                word = None
            break
        if piece["space"]:
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + _text(piece)
        position = piece.end()
    words += [] if word is None else [word]
    return tuple(words), text[position:]


def _text(piece: re.Match[str]) -> str:
    if piece.lastgroup in ("double", "escaped"):
        return _ESCAPE.sub(
            lambda found: _CHARACTERS.get(found[1], found[1]), piece[piece.lastgroup]
        )
    return str(piece[piece.lastgroup or 0])
