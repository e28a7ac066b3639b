"""Check the owner of a lab folder.

A lab's files name commands that run as the caller, so hashlab only uses labs that no other user
could have written (git does the same since CVE-2022-24765). Imports next to nothing, because the
client needs it first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from hashlab.state.private import STATE

SAFE = "HASHLAB_SAFE_DIRECTORY"
ANY = "*"
CONFIG = os.path.join("hashlab", "config.toml")
CONFIG_KEY = "safe_directories"


class Distrust:
    """The reason why a folder is not trusted, its path, and the next command to type.

    A plain class: defining a NamedTuple takes 4 ms, a dataclass takes longer.
    """

    def __init__(self, what: str, where: str, next_step: str) -> None:
        self.what = what
        self.where = where
        self.next_step = next_step


def distrusted(lab: str) -> Distrust | None:
    """Return why the lab in a folder, or the state next to it, must not be used; None if it may be.

    A folder that the user has declared safe may belong to anyone and be writable by anyone. A
    ``.hashlab`` that is a link or a file is still refused: files in it could be anywhere.
    """
    state = os.path.join(lab, STATE)
    misplaced = _misplaced(state)
    if misplaced is not None:
        return misplaced
    distrust = _foreign(lab, lab) or _foreign(state, lab)
    return None if distrust is None or _named_safe(lab) else distrust


def _misplaced(state: str) -> Distrust | None:
    mode = _mode_of(state)
    if mode and not stat.S_ISDIR(mode):
        what = "a link" if stat.S_ISLNK(mode) else "not a folder"
        advice = f"remove it, then run it again: rm {_quoted(state)}"
        return Distrust(f"the lab's state folder is {what}", state, advice)
    return None


def _mode_of(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _foreign(path: str, lab: str) -> Distrust | None:
    """Return why another user controls the content of a folder; None if no other user does."""
    try:
        status = os.stat(path)
    except OSError:
        return None  # it is missing; reading the lab reports that
    user = os.geteuid()
    if status.st_uid not in _owners(user):
        what = f"it belongs to {_user(status.st_uid)}, not to you"
        take = f"make it yours: sudo chown -R {user} {_quoted(path)}"
        return Distrust(what, path, f"{take}; or, if you trust it: {_exception(lab)}")
    writers = _other_writers(status)
    if writers is None:
        return None
    close = f"chmod {'o' if status.st_mode & stat.S_IWOTH else 'g'}-w {_quoted(path)}"
    what = f"{writers} can write to it, and its files name commands that would run as you"
    return Distrust(what, path, f"{close}; or, if you trust it: {_exception(lab)}")


def _exception(lab: str) -> str:
    return f"export {SAFE}={_quoted(lab)} (docs/reference/config.md)"


def _quoted(path: str) -> str:
    plain = path.replace("/", "").replace("-", "").replace("_", "").replace(".", "")
    return path if plain.isalnum() else "'" + path.replace("'", "'\\''") + "'"


def _owners(user: int) -> Iterator[int]:
    """Yield the user ids whose files the caller may trust: its own and, for root under sudo, that
    of the user who typed the command.
    """
    yield user
    before = os.environ.get("SUDO_UID", "")
    if user == 0 and before.isdecimal():
        yield int(before)


def _other_writers(status: os.stat_result) -> str | None:
    """Return who else than the owner can write to a folder; None if only the owner can."""
    if status.st_mode & stat.S_IWOTH:
        return "every user of this computer"
    if status.st_mode & stat.S_IWGRP and not _alone(status.st_gid, status.st_uid):
        return f"the group {_group(status.st_gid)}, which has other members,"
    return None


def _alone(group: int, user: int) -> bool:
    """True if a group has no other member than this user. Many systems create such a group for each
    user.
    """
    import grp
    import pwd

    try:
        name = pwd.getpwuid(user).pw_name
        others = set(grp.getgrgid(group).gr_mem) - {name}
    except KeyError:
        return False
    return not others and all(
        entry.pw_uid == user for entry in pwd.getpwall() if entry.pw_gid == group
    )


def _user(number: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user with the id {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _named_safe(lab: str) -> bool:
    """True if the user's own configuration declares the lab safe."""
    named = [*os.environ.get(SAFE, "").split(os.pathsep), *_configured()]
    real = os.path.realpath(lab)
    return any(
        path == ANY or (os.path.isabs(path) and os.path.realpath(path) == real) for path in named
    )


def _configured() -> list[str]:
    """Return the folders that the user's config.toml declares safe; none if it cannot be read."""
    import tomllib

    home = os.environ.get("XDG_CONFIG_HOME", "")
    home = home if os.path.isabs(home) else os.path.expanduser("~/.config")
    try:
        with open(os.path.join(home, CONFIG), "rb") as stream:
            value = tomllib.load(stream).get(CONFIG_KEY, [])
    except (OSError, ValueError, RecursionError):
        return []
    named = value if isinstance(value, list) else []
    return [os.path.expanduser(path) for path in named if isinstance(path, str)]
