"""Small pieces of text that several parts of the page say."""

from __future__ import annotations

from hashlab.report.page.markup import Markup, element
from hashlab.report.words import seconds


def lasting(value: float) -> str:
    """Seconds with their unit, which stays on the same line: ``4.96 s``."""
    return f"{seconds(value)}\N{NO-BREAK SPACE}s"


def plural(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def noted(sign: str, text: str, tone: str) -> Markup:
    """A line whose sign says the same as its colour."""
    return element("p", element("span", sign, class_="sign", aria_hidden="true"), text, class_=tone)
