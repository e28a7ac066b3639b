"""Which lab a command is about. Imports next to nothing, for the client needs it first."""

from __future__ import annotations

import os
from collections.abc import Sequence

FILE = "hashlab.toml"
OPTIONS = ("--lab", "-l")


def nearest(start: str) -> str | None:
    """The nearest folder with a hashlab.toml, from ``start`` (absolute) upwards."""
    folder = start
    while not os.path.isfile(os.path.join(folder, FILE)):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def example(here: str) -> str | None:
    """The example, for whoever stands in the top folder of hashlab's own repository."""
    found = os.path.join(here, "examples", "hash-collision")
    own = os.path.isfile(os.path.join(here, "hashlab", "run", "wiring.py"))
    own = own and not os.path.isfile(os.path.join(here, FILE))
    return found if own and os.path.isfile(os.path.join(found, FILE)) else None


def named_by(words: Sequence[str], here: str) -> str | None:
    """The folder a command line is about: that of ``--lab``, else the nearest."""
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in OPTIONS:
            named = value if equals else "".join(words[place + 1 : place + 2])
            # Without links: the folder that is checked is the one that is used.
            return os.path.realpath(os.path.join(here, named))
    return example(here) or nearest(here)
