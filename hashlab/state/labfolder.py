"""Find the lab that a command is about. Imports next to nothing, because the client needs it
first.
"""

from __future__ import annotations

import os

FILE = "hashlab.toml"
# The names that Compose looks for, in its order.
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def nearest(start: str) -> str | None:
    """Return the nearest folder with a hashlab.toml, from ``start`` (absolute) upwards; without
    one, the nearest with a Compose file; otherwise None.
    """
    return _nearest_with(start, (FILE,)) or _nearest_with(start, COMPOSE_FILES)


def is_lab(folder: str) -> bool:
    """True if a folder has a hashlab.toml or a Compose file."""
    return _has(folder, (FILE, *COMPOSE_FILES))


def _nearest_with(start: str, names: tuple[str, ...]) -> str | None:
    folder = start
    while not _has(folder, names):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def _has(folder: str, names: tuple[str, ...]) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in names)


def example(here: str) -> str | None:
    """Return the folder of the example lab if ``here`` is the top folder of hashlab's own
    repository, else None.
    """
    folder = os.path.join(here, "examples", "hash-collision")
    own = os.path.isfile(os.path.join(here, "hashlab", "run", "wiring.py"))
    own = own and not os.path.isfile(os.path.join(here, FILE))
    return folder if own and os.path.isfile(os.path.join(folder, FILE)) else None


def chosen(lab: str, here: str) -> str | None:
    """Return the folder of the lab that a command typed in ``here`` is about; ``lab`` is the value
    of --lab.
    """
    if lab:
        # Links are resolved, so that the folder that is checked is the folder that is used.
        return os.path.realpath(os.path.join(here, lab))
    return example(here) or nearest(here)
