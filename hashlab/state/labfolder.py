"""Find the lab that a command is about. Imports next to nothing, because the client needs it
first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

FILE = "hashlab.toml"
OPTIONS = ("--lab", "-l")


def nearest(start: str) -> str | None:
    """Return the nearest folder with a hashlab.toml, from ``start`` (absolute) upwards, or None."""
    folder = start
    while not os.path.isfile(os.path.join(folder, FILE)):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def example(here: str) -> str | None:
    """Return the folder of the example lab if ``here`` is the top folder of hashlab's own
    repository, else None.
    """
    folder = os.path.join(here, "examples", "hash-collision")
    own = os.path.isfile(os.path.join(here, "hashlab", "run", "wiring.py"))
    own = own and not os.path.isfile(os.path.join(here, FILE))
    return folder if own and os.path.isfile(os.path.join(folder, FILE)) else None


def named_by(argv: Sequence[str], here: str) -> str | None:
    """Return the folder that a command line is about: the value of ``--lab``, else the
    nearest lab.
    """
    for place, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if option in OPTIONS:
            named = value if equals else "".join(argv[place + 1 : place + 2])
            # Links are resolved, so that the folder that is checked is the folder that is used.
            return os.path.realpath(os.path.join(here, named))
    return example(here) or nearest(here)
