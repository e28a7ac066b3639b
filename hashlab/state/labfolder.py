"""Find the lab that a command is about. Imports next to nothing, because the client needs it
first.
"""

from __future__ import annotations

import os

from hashlab.state.private import IGNORE, STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "hashlab.toml"
# The names that Compose looks for, in its order.
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
# Compose's variables with the names of its files, and with what is between them.
FILES_VARIABLE = "COMPOSE_FILE"
SEPARATOR_VARIABLE = "COMPOSE_PATH_SEPARATOR"
# The name of a file that means standard input.
STDIN = "-"


def nearest(start: str) -> str | None:
    """Return the nearest folder with a hashlab.toml, from ``start`` (absolute) upwards; without
    one, the nearest with a Compose file; without that, the folder of the Compose file that
    COMPOSE_FILE names first; otherwise None.
    """
    found = _nearest_with(start, (FILE,)) or _nearest_with(start, COMPOSE_FILES)
    return found or _named_beside(start)


def is_lab(folder: str) -> bool:
    """True if a folder has a hashlab.toml or a Compose file, or if the lab is there whose Compose
    file is known by its name only.
    """
    return _has(folder, (FILE, *COMPOSE_FILES)) or _named_beside(folder) == folder


def has_state(folder: str) -> bool:
    """True if a folder is a lab, or has the state of one whose Compose file may have any name."""
    return is_lab(folder) or _has(folder, (os.path.join(STATE, IGNORE),))


def named_files(variables: Mapping[str, str]) -> list[str]:
    """Return the Compose files that the variables name, as they are written there."""
    separator = variables.get(SEPARATOR_VARIABLE) or os.pathsep
    return [name for name in variables.get(FILES_VARIABLE, "").split(separator) if name.strip()]


def _named_beside(start: str) -> str | None:
    """Return the folder of a lab whose Compose file is known by its name only. A relative name
    starts at the lab folder, so that is ``start``.
    """
    for name in named_files(os.environ)[:1]:
        folder = os.path.dirname(os.path.normpath(name)) if os.path.isabs(name) else start
        if name == STDIN or os.path.isfile(os.path.join(folder, name)):
            return folder
    return None


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
