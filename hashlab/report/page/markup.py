"""Builds HTML in which every text is escaped, because only this module can make markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

VOID = ("meta", "link", "input", "br", "line", "rect", "path", "circle")


class Markup(str):
    """Finished HTML; any other text is escaped wherever it is put in."""

    __slots__ = ()


Child = str | Markup | Iterable["Child"] | None


def element(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """An element. Attributes: ``class_`` means class, ``_`` between words means -; True stands
    alone, False and None are left out.
    """
    words = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{words}/>")
    return Markup(f"<{name}{words}>{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Markup:
    """Children one after the other; what is None is left out."""
    return Markup("".join(_child(child) for child in children))


def trusted(text: str) -> Markup:
    """Text of hashlab's own files, taken as it stands."""
    return Markup(text)


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return str(child)
    if isinstance(child, str):
        return escape(child)
    return joined(child)


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
