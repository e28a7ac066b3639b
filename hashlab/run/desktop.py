"""Opens an address with the desktop of the laptop."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def opener(environ: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Return the program that opens addresses; None without a desktop."""
    if platform == "darwin":
        # A session over SSH has no desktop, although the computer may have one.
        return None if "SSH_CONNECTION" in environ else "open"
    return "xdg-open" if any(environ.get(name) for name in DISPLAYS) else None


def open_address(program: str, address: str) -> bool:
    """Start the program; it outlives this process. Return False if it does not exist."""
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        # A group of its own: Ctrl-C in this terminal must not end the browser.
        os.posix_spawnp(program, [program, address], os.environ, file_actions=silent, setpgroup=0)
    except FileNotFoundError:
        return False
    return True
