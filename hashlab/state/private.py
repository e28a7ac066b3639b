"""Create the lab's folder ``.hashlab``, and open its files without following links.

A cloned repository may contain a ``.hashlab`` whose files are links to the user's own files.
Therefore each part of a path from ``.hashlab`` downwards is opened relative to the part before it,
and a link is an error. Links above it, and in paths without it, are followed. Imports next to
nothing, because the client needs it.
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
# Opening a pipe in place of a file must not block.
_FILE = os.O_CLOEXEC | os.O_NONBLOCK


def is_private(path: str) -> bool:
    """True for ``.hashlab`` and everything below it."""
    return STATE in path.split(os.sep)


def make_state(lab: str) -> None:
    """Create the lab's ``.hashlab``, accessible to its owner alone and ignored by git.

    An existing folder, as earlier versions created it, gets the same permissions and ignore file.
    """
    with _naming_path(os.path.join(lab, STATE)):
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
        status = os.fstat(folder)
        if status.st_uid == os.geteuid():
            if stat.S_IMODE(status.st_mode) != FOLDER_MODE:
                os.fchmod(folder, FOLDER_MODE)
            _ignore(folder)
    except BaseException:
        os.close(folder)
        raise
    return folder


def _ignore(folder: int) -> None:
    """Write a .gitignore, so that ``git add .`` adds nothing of the folder."""
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
    """Open a folder; with ``make``, also create it and all missing folders above it.

    Raises OSError that names the part of the path that is in the way.
    """
    opened = open_folder(path, make=make)
    try:
        yield opened
    finally:
        os.close(opened)


def open_folder(path: str, *, make: bool = False) -> int:
    """Return the descriptor of a folder. The caller closes it; see ``folder``."""
    path = os.path.abspath(path)
    top, parts = _split(path)
    if make and not parts:
        os.makedirs(path, exist_ok=True)
    opened = os.open(top, _FOLDER)
    here = top
    for part in parts:
        above, here = opened, os.path.join(here, part)
        try:
            with _naming_path(here):
                opened = _enter(above, part, make=make)
        finally:
            os.close(above)
    return opened


def _split(path: str) -> tuple[str, list[str]]:
    """Return the part of a path in which links are followed, and the parts in which they are
    not.
    """
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
    """Open the folder of a path; yield its descriptor and the last part of the path.

    OSErrors of the block name the path.
    """
    above, name = os.path.split(os.path.abspath(path))
    with folder(above, make=make) as opened, _naming_path(path):
        yield opened, name


def open_file(path: str, flags: int, mode: int = FILE_MODE) -> int:
    """Return the descriptor of a regular file. The caller closes it.

    With O_CREAT its folder is created as well.
    """
    with parent(path, make=bool(flags & os.O_CREAT)) as (above, name):
        no_links = os.O_NOFOLLOW if is_private(path) else 0
        opened = os.open(name, flags | _FILE | no_links, mode, dir_fd=above)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise OSError(errno.EISDIR, "it is not a regular file")
    return opened


def kind(path: str) -> int:
    """Return the type of a path (``stat.S_IFREG``, ``S_IFDIR``, ``S_IFLNK``, …); 0 if it is missing
    or unreachable.

    In ``.hashlab`` a link counts as a link, elsewhere as its target.
    """
    try:
        with parent(path) as (above, name):
            status = os.stat(name, dir_fd=above, follow_symlinks=not is_private(path))
    except OSError:
        return 0
    return stat.S_IFMT(status.st_mode)


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Make a folder the current one for the block.

    The path of a socket may have at most 107 characters, so sockets are named relative to their
    folder.
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
def _naming_path(path: str) -> Iterator[None]:
    """Let an OSError name the whole path and the obstacle."""
    try:
        yield
    except OSError as error:
        if error.filename and os.path.isabs(os.fsdecode(error.filename)):
            raise
        what = error.strerror or str(error)
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            what = "it is a link" if os.path.islink(path) else "it is not a folder"
        raise OSError(error.errno, what, path) from error
