"""Whose lab a folder is. A lab's files name commands that run as the caller, so hashlab obeys only
those that nobody else could have written (as git does since CVE-2022-24765).

Imports next to nothing: the client needs it first.
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
    """Why a folder is not trusted: what is wrong with which path, and what to type. A plain class:
    a NamedTuple takes 4 ms to define, a dataclass longer.
    """

    def __init__(self, what: str, where: str, next_step: str) -> None:
        self.what = what
        self.where = where
        self.next_step = next_step


def distrusted(lab: str) -> Distrust | None:
    """Why the lab in a folder, and the state beside it, must not be used; None if it may.

    A folder that the user has named as safe may belong to anyone and be writable by anyone, but a
    ``.hashlab`` that is a link or a file is refused all the same: files in it could be anywhere.
    """
    state = os.path.join(lab, STATE)
    misplaced = _misplaced(state)
    if misplaced is not None:
        return misplaced
    found = _foreign(lab, lab) or _foreign(state, lab)
    return None if found is None or _named_safe(lab) else found


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
    """Why somebody else than the caller decides what is in a folder; None if nobody does."""
    try:
        found = os.stat(path)
    except OSError:
        return None  # not there: whoever reads the lab says so
    user = os.geteuid()
    if found.st_uid not in _owners(user):
        what = f"it belongs to {_user(found.st_uid)}, not to you"
        take = f"make it yours: sudo chown -R {user} {_quoted(path)}"
        return Distrust(what, path, f"{take}; or, if you trust it: {_exception(lab)}")
    who = _other_writers(found)
    if who is None:
        return None
    close = f"chmod {'o' if found.st_mode & stat.S_IWOTH else 'g'}-w {_quoted(path)}"
    what = f"{who} can write to it, and its files name commands that would run as you"
    return Distrust(what, path, f"{close}; or, if you trust it: {_exception(lab)}")


def _exception(lab: str) -> str:
    return f"export {SAFE}={_quoted(lab)} (docs/reference/config.md)"


def _quoted(path: str) -> str:
    plain = path.replace("/", "").replace("-", "").replace("_", "").replace(".", "")
    return path if plain.isalnum() else "'" + path.replace("'", "'\\''") + "'"


def _owners(user: int) -> Iterator[int]:
    """User ids whose files the caller may trust: its own; for root under sudo, also those of the
    user who typed it.
    """
    yield user
    before = os.environ.get("SUDO_UID", "")
    if user == 0 and before.isdecimal():
        yield int(before)


def _other_writers(found: os.stat_result) -> str | None:
    """Who but the owner can write to a folder; None if nobody can."""
    if found.st_mode & stat.S_IWOTH:
        return "every user of this computer"
    if found.st_mode & stat.S_IWGRP and not _alone(found.st_gid, found.st_uid):
        return f"the group {_group(found.st_gid)}, which has other members,"
    return None


def _alone(group: int, user: int) -> bool:
    """True if a group has no member but this user: many systems give each user such a group."""
    import grp
    import pwd

    try:
        name = pwd.getpwuid(user).pw_name
        others = set(grp.getgrgid(group).gr_mem) - {name}
    except KeyError:
        return False
    return not others and all(one.pw_uid == user for one in pwd.getpwall() if one.pw_gid == group)


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
    """True if the user's own configuration makes an exception for the lab."""
    named = [*os.environ.get(SAFE, "").split(os.pathsep), *_configured()]
    real = os.path.realpath(lab)
    return any(
        one == ANY or (os.path.isabs(one) and os.path.realpath(one) == real) for one in named
    )


def _configured() -> list[str]:
    """The exceptions of the user's config.toml; none where it cannot be read."""
    import tomllib

    home = os.environ.get("XDG_CONFIG_HOME", "")
    home = home if os.path.isabs(home) else os.path.expanduser("~/.config")
    try:
        with open(os.path.join(home, CONFIG), "rb") as stream:
            value = tomllib.load(stream).get(CONFIG_KEY, [])
    except (OSError, ValueError, RecursionError):
        return []
    named = value if isinstance(value, list) else []
    return [os.path.expanduser(one) for one in named if isinstance(one, str)]
