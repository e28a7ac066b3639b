"""Asks a person at the terminal, in this process or in the background process of the lab."""

from __future__ import annotations

import sys


def has_terminal() -> bool:
    """Return whether a person can read a question on stderr and answer it on stdin."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str) -> bool:
    """Ask for a yes or no; anything but a yes is a no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
