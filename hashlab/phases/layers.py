"""Leaves out of saved images the layers that an engine has already.

An engine loads a layer only if it has none with the same content on top of the same layers below;
it does not miss the file of one that it has.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from hashlab.errors import LabError
from hashlab.protocols import Layer
from hashlab.state.files import open_binary

CHUNK = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)


def saved_layers(archive: Path) -> dict[Layer, str]:
    """Return the member of each layer in an archive of ``docker save``. Raises LabError."""
    with open_binary(archive) as stream, tarfile.open(fileobj=stream) as opened:
        found: dict[Layer, str] = {}
        for image in _read(opened, "manifest.json"):
            layers = tuple(map(str, _read(opened, image["Config"])["rootfs"]["diff_ids"]))
            for count, member in enumerate(image["Layers"], 1):
                found[layers[:count]] = str(member)
        return found


def without(archive: Path, known: Set[Layer]) -> Iterator[bytes]:
    """Yield the archive, but without the files of layers in ``known``. Raises LabError."""
    layers = saved_layers(archive)
    needed = {member for layer, member in layers.items() if layer not in known}
    with open_binary(archive) as raw, tarfile.open(fileobj=raw) as opened:
        members = opened.getmembers()
        # A layer may be a link to another layer of the same content.
        links = {m.name: m.linkname for m in members if m.issym()}
        needed |= {
            posixpath.normpath(posixpath.join(posixpath.dirname(name), links[name]))
            for name in needed
            if name in links
        }
        dropped = set(layers.values()) - needed
        for member in members:
            if member.name not in dropped:
                yield from _raw(raw, member)
    yield END


def _raw(stream: Any, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Yield a member as it is in the archive, with its headers, in whole blocks."""
    data = member.size if member.isreg() else 0
    end = member.offset_data + -(-data // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    stream.seek(member.offset)
    left = end - member.offset
    while left > 0:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise LabError("the archive of saved images ends too early")
        left -= len(chunk)
        yield chunk


def _read(opened: tarfile.TarFile, name: str) -> Any:
    try:
        stream = opened.extractfile(name)
        return json.load(stream) if stream else {}
    except (KeyError, ValueError) as error:
        raise LabError(f"the archive of saved images has no valid {name}") from error
