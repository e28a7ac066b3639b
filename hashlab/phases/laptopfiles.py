"""The laptop's files that services mount: their hashes, and where they lie on a machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from hashlab.config.model import BindMount, FileMount, Lab, Service
from hashlab.errors import LabError
from hashlab.hashing import Digests, files_below, mode_digest, settled

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


class LaptopFiles:
    """Content hashes of everything services mount, each read once, when first asked for: so a file
    saved while a run is at work cannot make its phases disagree, and what one machine mounts need
    not be there before another machine is served. May be used by several threads.
    """

    def __init__(self, lab: Lab, digests: Digests) -> None:
        self._lab = lab
        self._root = upload_root(lab)
        self._digests = digests
        self._lock = threading.Lock()
        self._binds: dict[Path, dict[str, str]] = {}
        self._files: dict[Path, str] = {}

    def bind(self, bind: BindMount) -> Mapping[str, str]:
        """Content hash by name relative to the upload root of every file of a bind mount, with
        ``+x`` behind it for an executable one. Raises LabError for a name no machine could be told.
        """
        with self._lock:
            if bind.source not in self._binds:
                self._binds[bind.source] = settled(lambda: self._read(bind.source))
            return self._binds[bind.source]

    def file(self, mount: FileMount) -> str:
        """Content hash of a secret or config; "" while it is not made yet."""
        with self._lock:
            source = mount.source
            if not self._files.get(source):
                self._files[source] = settled(lambda: self._content(source))
            return self._files[source]

    def _content(self, source: Path) -> str:
        return self._digests.file(source) if source.exists() else ""

    def of(self, services: Iterable[Service]) -> dict[str, str]:
        """Content hash by name of every file that these services mount."""
        found: dict[str, str] = {}
        for service in services:
            for bind in service.binds:
                found.update(self.bind(bind))
        return dict(sorted(found.items()))

    def _read(self, source: Path) -> dict[str, str]:
        uploaded = self._lab.uploads(source)
        return {
            _name(path, self._root): mode_digest(path, self._digests.file)
            for path in files_below(source)
            if uploaded(path.relative_to(source).as_posix())
            and not PRIVATE_FOLDERS & set(path.relative_to(self._root).parts[:-1])
        }


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
