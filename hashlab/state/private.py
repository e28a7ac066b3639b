"""The lab's folder ``.hashlab``: makes it, and opens what is in it without following links.

A cloned repository may bring a ``.hashlab`` whose files are links to the user's own. So each part
of a path from ``.hashlab`` downwards is opened relative to the part before it, and a link is an
error. Above it, and in paths without it, links are followed.
Imports next to nothing: the client needs it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STATE = ".hashlab"
IGNORE = ".gitignore"
FOLDER_MODE = 0o700
FILE_MODE = 0o600
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe in the place of a file must not be waited for.
_FILE = os.O_CLOEXEC | os.O_NONBLOCK


def is_private(path: str) -> bool:
    """True for ``.hashlab`` and everything below it."""
    return STATE in path.split(os.sep)


def make_state(lab: str) -> None:
    """Make the lab's ``.hashlab``: for its owner alone, and ignored by git. One that is there, as
    earlier versions made it, becomes so.
    """
    with _errors_name(os.path.join(lab, STATE)):
        above = os.open(lab, _FOLDER)
        try:
            os.close(_make_state(above))
        finally:
            os.close(above)


def _make_state(above: int) -> int:
    with suppress(FileExistsError):
        os.mkdir(STATE, FOLDER_MODE, dir_fd=above)
    folder = os.open(STATE, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    try:
        found = os.fstat(folder)
        if found.st_uid == os.geteuid():
            if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
                os.fchmod(folder, FOLDER_MODE)
            _ignore(folder)
    except BaseException:
        os.close(folder)
        raise
    return folder


def _ignore(folder: int) -> None:
    """Let ``git add .`` take nothing of the folder."""
    try:
        os.stat(IGNORE, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileExistsError):  # another thread made it
            made = os.open(IGNORE, flags, FILE_MODE, dir_fd=folder)
            try:
                os.write(made, b"*\n")
            finally:
                os.close(made)


@contextmanager
def folder(path: str, *, make: bool = False) -> Iterator[int]:
    """Open a folder; ``make``: also make it and all above it that is missing. Raises OSError that
    names the part of the path that is in the way.
    """
    opened = open_folder(path, make=make)
    try:
        yield opened
    finally:
        os.close(opened)


def open_folder(path: str, *, make: bool = False) -> int:
    """The descriptor of a folder, for the caller to close; see ``folder``."""
    path = os.path.abspath(path)
    top, parts = _split(path)
    if make and not parts:
        os.makedirs(path, exist_ok=True)
    opened = os.open(top, _FOLDER)
    here = top
    for part in parts:
        above, here = opened, os.path.join(here, part)
        try:
            with _errors_name(here):
                opened = _enter(above, part, make=make)
        finally:
            os.close(above)
    return opened


def _split(path: str) -> tuple[str, list[str]]:
    """The part of a path in which links are followed, and the parts in which they are not."""
    parts = path.split(os.sep)
    if STATE not in parts:
        return path, []
    last = len(parts) - 1 - parts[::-1].index(STATE)
    return os.sep.join(parts[:last]) or os.sep, parts[last:]


def _enter(above: int, part: str, *, make: bool) -> int:
    if make and part == STATE:
        return _make_state(above)
    try:
        return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # another thread made it
        os.mkdir(part, FOLDER_MODE, dir_fd=above)
    return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=above)


@contextmanager
def parent(path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of a path; gives its descriptor and the last part of the path. Errors of what
    is done in it name the path.
    """
    above, name = os.path.split(os.path.abspath(path))
    with folder(above, make=make) as opened, _errors_name(path):
        yield opened, name


def open_file(path: str, flags: int, mode: int = FILE_MODE) -> int:
    """The descriptor of a regular file, for the caller to close. With O_CREAT its folder is made,
    too.
    """
    with parent(path, make=bool(flags & os.O_CREAT)) as (above, name):
        no_links = os.O_NOFOLLOW if is_private(path) else 0
        opened = os.open(name, flags | _FILE | no_links, mode, dir_fd=above)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise OSError(errno.EISDIR, "it is not a regular file")
    return opened


def kind(path: str) -> int:
    """What a path is (``stat.S_IFREG``, ``S_IFDIR``, ``S_IFLNK``, …); 0 if there is nothing, or no
    way to it. In ``.hashlab`` a link counts as a link, elsewhere as what it leads to.
    """
    try:
        with parent(path) as (above, name):
            found = os.stat(name, dir_fd=above, follow_symlinks=not is_private(path))
    except OSError:
        return 0
    return stat.S_IFMT(found.st_mode)


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Stand in a folder: the path of a socket may have 107 characters only, so it is named from its
    own folder.
    """
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with folder(path) as opened:
            os.fchdir(opened)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextmanager
def _errors_name(path: str) -> Iterator[None]:
    """Let an OSError name the whole path, and say what is in the way."""
    try:
        yield
    except OSError as error:
        if error.filename and os.path.isabs(os.fsdecode(error.filename)):
            raise
        what = error.strerror or str(error)
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            what = "it is a link" if os.path.islink(path) else "it is not a folder"
        raise OSError(error.errno, what, path) from error
