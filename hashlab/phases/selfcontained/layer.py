"""Writes a layer of the laptop's files: the same files give the same bytes on every laptop."""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hashlab.config.model import Content, Lab
from hashlab.errors import FilesChanged, LabError
from hashlab.hashing import open_regular
from hashlab.phases.selfcontained.contents import Entry
from hashlab.phases.selfcontained.normal import FIXED_TIME, OPAQUE
from hashlab.phases.selfcontained.root import Folder, Root
from hashlab.phases.upload.laptop import EXECUTABLE, LINK, is_folder, mode_of

# Permissions as git has them: of a checkout they depend on its umask.
FILE_MODE, ALL_MAY_RUN, ALL_MAY_WRITE = 0o644, 0o111, 0o222
# A shorter secret could be a part of any file by chance.
SHORTEST_SECRET = 8
Secrets = Mapping[str, bytes]


def secrets_of(lab: Lab) -> dict[str, bytes]:
    """Return the content of each secret of the lab that exists, without spaces around it, by
    name.
    """
    found = {}
    for name, source in lab.secrets:
        if isinstance(source, Content):
            found[name] = source.data.strip()
        elif source.is_file():
            found[name] = source.read_bytes().strip()
    return {name: data for name, data in found.items() if len(data) >= SHORTEST_SECRET}


def layer_key(entries: Iterable[Entry], folders: Mapping[str, Folder], emptied: object) -> object:
    """Return a value that decides the bytes of a layer."""
    files = sorted((entry.path, _normal(entry.content)) for entry in entries)
    return ["files", files, sorted(folders.items()), emptied]


def folders_of(entries: Sequence[Entry], emptied: Iterable[str], root: Root) -> dict[str, Folder]:
    """Return the folders that a layer must have, with mode and owner: those of its files as they
    are in the base, and the laptop's own.
    """
    own = {e.path: (_mode(e.content), 0, 0) for e in entries if is_folder(e.content)}
    needed = {above for path in (*(e.path for e in entries), *emptied) for above in _above(path)}
    needed |= set(emptied)
    return {path: own.get(path) or root.folder(path) for path in sorted(needed | own.keys())}


def _above(path: str) -> list[str]:
    """Return the folders above an absolute path, without the root."""
    found = []
    while (path := posixpath.dirname(path)) != "/":
        found.append(path)
    return found


def write_layer(
    target: io.RawIOBase,
    entries: Iterable[Entry],
    folders: Mapping[str, Folder],
    emptied: Iterable[str],
    secrets: Secrets,
) -> None:
    """Write the tar file of a layer. Raises LabError if a file holds a secret, FilesChanged."""
    members: dict[str, Entry | Folder | None] = dict(folders)
    members |= {posixpath.join(folder, OPAQUE): None for folder in emptied}
    members |= {entry.path: entry for entry in entries if not is_folder(entry.content)}
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(members):
            _add(archive, path, members[path], secrets)


def _add(
    archive: tarfile.TarFile, path: str, member: Entry | Folder | None, secrets: Secrets
) -> None:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mtime = FIXED_TIME
    if isinstance(member, Entry):
        data = _content(member, info, secrets)
        archive.addfile(info, io.BytesIO(data))
        return
    if member is not None:
        info.type = tarfile.DIRTYPE
        info.mode, info.uid, info.gid = member
    archive.addfile(info)


def _content(entry: Entry, info: tarfile.TarInfo, secrets: Secrets) -> bytes:
    """Fill the header of a file or link; return the content of a file."""
    if entry.content.startswith(LINK):
        info.type, info.linkname = tarfile.SYMTYPE, entry.content.removeprefix(LINK)
        return b""
    try:
        with open_regular(entry.source) as stream:
            data = stream.read()
    except OSError as error:
        raise _changed(entry.source) from error
    digest = hashlib.sha256(data).hexdigest()
    if not entry.content.startswith(f"{digest}:"):
        raise _changed(entry.source)
    for name, secret in secrets.items():
        if secret in data:
            raise LabError(
                f"the file would carry the secret {name} into an image",
                where=str(entry.source),
                next_step="remove the secret from the file; a container reads it from "
                f"/run/secrets/{name}",
            )
    info.size, info.mode = len(data), _mode(entry.content)
    # A time that follows from the content: web servers and JVMs take a file of the same size and
    # time for the same file.
    info.mtime = FIXED_TIME + int(digest[:6], 16)
    return data


def _normal(content: str) -> str:
    return (
        content if content.startswith(LINK) else f"{content.partition(':')[0]}:{_mode(content):o}"
    )


def _mode(content: str) -> int:
    mode = int(mode_of(content), 8)
    runs = ALL_MAY_RUN if is_folder(content) or mode & EXECUTABLE else 0
    return FILE_MODE | runs | (ALL_MAY_WRITE | mode & 0o1000 if mode & 0o002 else 0)


def _changed(path: Path) -> FilesChanged:
    return FilesChanged(f"{path} changed while its image was made", next_step="run it again")
