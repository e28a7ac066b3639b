"""The laptop's files that services mount: their hashes, and where they lie on a machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hashlab.config.model import BindMount, FileMount, Lab, Service
from hashlab.errors import LabError
from hashlab.hashing import Digests, files_below, mode_digest

# Never part of a bind mount: our own state with its secrets, and version control.
PRIVATE_FOLDERS = frozenset({".hashlab", ".git"})


def home(lab: Lab) -> str:
    """The lab's folder on every machine."""
    return f"/var/lib/hashlab/{lab.name}"


def upload_root(lab: Lab) -> Path:
    """The laptop's folder whose layout machines repeat: the lab's, or a common parent."""
    sources = [bind.source for service in lab.services for bind in service.binds]
    return Path(os.path.commonpath([lab.folder, *sources]))


def remote_path(lab: Lab, source: Path) -> str:
    """Where a bind source of the laptop lies on a machine."""
    relative = source.relative_to(upload_root(lab)).as_posix()
    return f"{home(lab)}/files/{relative}" if relative != "." else f"{home(lab)}/files"


def secret_path(lab: Lab, name: str) -> str:
    """Where a secret or config lies on a machine."""
    return f"{home(lab)}/secrets/{name}"


@dataclass(frozen=True)
class Snapshot:
    """Content hashes of everything services mount, read once, so that a file saved while a run
    is at work cannot make its phases disagree.

    ``binds``: for each bind mount, content hash by name relative to the upload root, with ``+x``
    behind it for an executable file;
    ``files``: content hash of each secret and config ("" while it is not made yet).
    """

    binds: Mapping[BindMount, Mapping[str, str]]
    files: Mapping[FileMount, str]

    def of(self, services: Iterable[Service]) -> dict[str, str]:
        """Content hash by name of every file that these services mount."""
        found: dict[str, str] = {}
        for service in services:
            for bind in service.binds:
                found.update(self.binds[bind])
        return dict(sorted(found.items()))


def take_snapshot(lab: Lab, digests: Digests) -> Snapshot:
    """Read and hash every file the lab's services mount. Raises LabError for a name no machine
    could be told.
    """
    root = upload_root(lab)
    binds: dict[BindMount, dict[str, str]] = {}
    files: dict[FileMount, str] = {}
    for service in lab.services:
        for bind in service.binds:
            binds[bind] = {
                _name(path, root): mode_digest(path, digests.file)
                for path in files_below(bind.source)
                if not PRIVATE_FOLDERS & set(path.relative_to(root).parts[:-1])
            }
        for mount in service.files:
            files[mount] = digests.file(mount.source) if mount.source.exists() else ""
    return Snapshot(binds, files)


def _name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise LabError(
            f"the name of a file is no UTF-8: {name!a}",
            where=str(root),
            next_step="rename it",
        ) from None
    return name
