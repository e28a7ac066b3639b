"""Small pieces of text that several parts of the page use."""

from __future__ import annotations

from hashlab.report.formats import seconds
from hashlab.report.page.markup import Markup, element


def lasting(value: float) -> str:
    """Return seconds with their unit on the same line: ``4.96 s``."""
    return f"{seconds(value)}\N{NO-BREAK SPACE}s"


def plural(count: int, noun: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def noted(sign: str, text: str, tone: str) -> Markup:
    """Return a line with a sign that means the same as its colour."""
    return element("p", element("span", sign, class_="sign", aria_hidden="true"), text, class_=tone)
