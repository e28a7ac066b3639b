"""Rewrites a layer that a build made here, so that the same build gives the same bytes again.

A build stamps each file that it writes with the time of the day. These times are replaced by a
fixed one; files that a Debian package brought keep theirs, which are the package's, because Python
compares them. The logs and caches of Debian's package tools, which contain times, are emptied.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from typing import IO

from hashlab.phases.selfcontained.packages import (
    DATABASES,
    OS_RELEASE,
    Package,
    read_packages,
    read_system,
)
from hashlab.phases.selfcontained.root import Folder, LayerFacts

# 2000-01-01 in UTC, the time of everything that has no time of its own.
FIXED_TIME = 946_684_800
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
# Written by apt, dpkg, ldconfig and debconf; nothing that runs reads them.
EMPTIED = re.compile(
    r"var/log/(apt/[^/]+|dpkg\.log|alternatives\.log|bootstrap\.log|fontconfig\.log)"
    r"|var/cache/(ldconfig/aux-cache|apt/[^/]+\.bin|debconf/[^/]+-old)"
    r"|var/lib/dpkg/[^/]+-old|etc/(passwd|group|shadow|gshadow|subuid|subgid)-"
)
# The files of a package, one path on each line.
OWNED = re.compile(r"var/lib/dpkg/info/[^/]+\.list")


def normalise(source: IO[bytes], target: io.RawIOBase | None) -> LayerFacts:
    """Copy a layer with fixed times, in its order, and return what it holds. Without a ``target``
    it is only read. Raises tarfile.TarError, OSError.
    """
    with tarfile.open(fileobj=source) as layer:
        members = layer.getmembers()
        owned = _owned(layer, members) if target else frozenset[str]()
        facts = _facts(layer, members)
        if target is not None:
            with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as rewritten:
                for member in members:
                    _copy(layer, member, rewritten, owned)
    return facts


def _copy(
    layer: tarfile.TarFile, member: tarfile.TarInfo, target: tarfile.TarFile, owned: frozenset[str]
) -> None:
    content = layer.extractfile(member) if member.isreg() else None
    name = clean(member.name)
    if member.isdir() or name not in owned:
        member.mtime = FIXED_TIME
    member.mtime = int(member.mtime)
    member.uname = member.gname = ""
    member.pax_headers = {
        key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")
    }
    if member.isreg() and EMPTIED.fullmatch(name):
        member.size, content = 0, None
    target.addfile(member, content)


def clean(name: str) -> str:
    """Return the name of a member without "./" and "/" around it."""
    return name.removeprefix("./").strip("/").removeprefix("./")


def _owned(layer: tarfile.TarFile, members: list[tarfile.TarInfo]) -> frozenset[str]:
    lists = [m for m in members if m.isreg() and OWNED.fullmatch(clean(m.name))]
    return frozenset(clean(line) for each in lists for line in _text(layer, each).splitlines())


def _facts(layer: tarfile.TarFile, members: list[tarfile.TarInfo]) -> LayerFacts:
    folders: dict[str, Folder] = {}
    links: dict[str, str] = {}
    gone: list[str] = []
    emptied: list[str] = []
    packages: tuple[Package, ...] | None = None
    system: dict[str, str] = {}
    for member in members:
        path = f"/{clean(member.name)}"
        above, _, name = path.rpartition("/")
        if name == OPAQUE:
            emptied.append(above or "/")
        elif name.startswith(WHITEOUT):
            gone.append(f"{above}/{name.removeprefix(WHITEOUT)}")
        elif member.isdir():
            folders[path] = (member.mode, member.uid, member.gid)
        elif member.issym():
            links[path] = member.linkname
        elif member.isreg() and path in DATABASES:
            packages = read_packages(path, _text(layer, member))
        elif member.isreg() and path in OS_RELEASE:
            system = read_system(_text(layer, member))
    return LayerFacts(folders, links, tuple(gone), tuple(emptied), packages, system)


def _text(layer: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = layer.extractfile(member)
    return (stream.read() if stream else b"").decode(errors="replace")


def differences(first: IO[bytes], second: IO[bytes]) -> Iterator[str]:
    """Yield each path that two layers have different, and what of it. Raises tarfile.TarError."""
    with tarfile.open(fileobj=first) as one, tarfile.open(fileobj=second) as other:
        before = {clean(member.name): member for member in one.getmembers()}
        after = {clean(member.name): member for member in other.getmembers()}
        for path in sorted(before.keys() | after.keys()):
            if path not in before or path not in after:
                yield f"{path} (only in one build)"
            elif reason := _different(one, before[path], other, after[path]):
                yield f"{path} ({reason})"


def _different(
    one: tarfile.TarFile, before: tarfile.TarInfo, other: tarfile.TarFile, after: tarfile.TarInfo
) -> str:
    aspects = {
        "kind": (before.type, after.type),
        "mode": (before.mode, after.mode),
        "owner": ((before.uid, before.gid), (after.uid, after.gid)),
        "time": (before.mtime, after.mtime),
        "target": (before.linkname, after.linkname),
        "attributes": (before.pax_headers, after.pax_headers),
    }
    for aspect, (left, right) in aspects.items():
        if left != right:
            return aspect
    if not before.isreg():
        return ""
    left, right = (t.extractfile(m) or io.BytesIO() for t, m in ((one, before), (other, after)))
    return "" if left.read() == right.read() else "content"
