"""The laptop's files that services mount: their hashes, and their paths on a machine."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from hashlab.config.model import BindMount, Content, FileMount, Lab, Service, Watch
from hashlab.errors import LabError
from hashlab.hashing import Digests, settled
from hashlab.inputs.patterns import is_editor_file

# Never part of a bind mount: our own state with its secrets, and version control.
PRIVATE_FOLDERS = frozenset({".hashlab", ".git"})
FOLDER = "folder"
LINK = "link:"
EXECUTABLE = 0o100
_DESCRIBED = re.compile(r"([0-9a-f]{64}|folder):([0-7]{1,4})")


def home(lab: Lab) -> str:
    """Return the lab's folder on every machine."""
    return f"/var/lib/hashlab/{lab.name}"


def upload_root(lab: Lab) -> Path:
    """Return the laptop's folder that machines mirror: the lab's, or a common parent."""
    sources = [bind.source for service in lab.services for bind in service.binds]
    return Path(os.path.commonpath([lab.folder, *sources]))


def bind_name(lab: Lab, source: Path) -> str:
    """Return the path of a bind source below the lab's folder on a machine."""
    relative = source.relative_to(upload_root(lab)).as_posix()
    return f"files/{relative}" if relative != "." else "files"


def file_name(mount: FileMount) -> str:
    """Return the path of a secret or config below the lab's folder on a machine. A secret and a
    config of the same name are two files, and so are two modes or owners of one secret. PLACE takes
    the owner from the name.
    """
    kind = "secret" if mount.secret else "config"
    owner = f".{mount.uid}.{mount.gid}" if mount.uid or mount.gid else ""
    return f"secrets/{kind}/{mount.name}/{mount.mode:o}{owner}"


def remote_path(lab: Lab, source: Path) -> str:
    """Return the path on a machine of a bind source of the laptop."""
    return f"{home(lab)}/{bind_name(lab, source)}"


def secret_path(lab: Lab, mount: FileMount) -> str:
    """Return the path on a machine of a secret or config."""
    return f"{home(lab)}/{file_name(mount)}"


def file_content(digest: str, mode: int) -> str:
    """Describe a file's content and mode; a folder has FOLDER as ``digest``."""
    return f"{digest}:{mode:o}"


def link_content(target: str) -> str:
    """Describe a link by its target."""
    return LINK + target


def is_folder(content: str) -> bool:
    """Return whether this describes a folder."""
    return content.startswith(f"{FOLDER}:")


def plain(content: str) -> str:
    """Return the part of a description that must stay as it was sent: a file's content and whether
    it is executable, a link's target. A container may change the rest of a mode.
    """
    described = _DESCRIBED.fullmatch(content)
    if described is None:
        return content
    what, mode = described.groups()
    return what if what == FOLDER or not int(mode, 8) & EXECUTABLE else f"{what}+x"


def mode_of(content: str) -> str:
    """Return the mode in a description, in octal digits; "" if it holds none."""
    described = _DESCRIBED.fullmatch(content)
    return described[2] if described else ""


class LaptopFiles:
    """Content hashes of everything that services mount. Each is read once, at its first use: a file
    saved during a run cannot make its phases disagree, and the files of one machine need not exist
    before another machine gets its own. Several threads may use this.
    """

    def __init__(self, lab: Lab, digests: Digests) -> None:
        self._lab = lab
        self._root = upload_root(lab)
        self._digests = digests
        self._lock = threading.Lock()
        self._binds: dict[Path, dict[str, str]] = {}
        self._watched: dict[Watch, dict[Path, str]] = {}
        self._files: dict[Path, str] = {}

    def bind(self, bind: BindMount) -> Mapping[str, str]:
        """Describe every entry of a bind mount (file, folder, link), by its path below the lab's
        folder on a machine. Raises LabError for what cannot be read, FilesChanged.
        """
        if not bind.upload:
            return {}
        with self._lock:
            if bind.source not in self._binds:
                self._binds[bind.source] = settled(lambda: dict(self._bound(bind.source)))
            return self._binds[bind.source]

    def watched(self, rule: Watch) -> Mapping[Path, str]:
        """Describe every file and link that a watch rule covers. Raises LabError for what cannot be
        read, FilesChanged.
        """
        with self._lock:
            if rule not in self._watched:
                self._watched[rule] = settled(lambda: dict(self._below_rule(rule)))
            return self._watched[rule]

    def _below_rule(self, rule: Watch) -> Iterator[tuple[Path, str]]:
        allowed = self._lab.boundary.below(rule.path)

        def allows(name: str) -> bool:
            kept = not allowed(name) or any(map(is_editor_file, name.split("/")))
            return not kept and not rule.ignores(rule.path / name)

        for name, content in self._read(rule.path, "", allows):
            path = rule.path / name.removeprefix("/")
            if not is_folder(content) and rule.includes(path):
                yield path, content

    def file(self, mount: FileMount) -> str:
        """Return the content hash of a secret or config; "" before it is made."""
        source = mount.source
        if isinstance(source, Content):
            return hashlib.sha256(source.data).hexdigest()
        with self._lock:
            if not self._files.get(source):
                self._files[source] = settled(
                    lambda: self._digests.file(source) if source.exists() else ""
                )
            return self._files[source]

    def wanted(self, services: Iterable[Service]) -> dict[str, str]:
        """Describe everything that these services mount, with secrets and configs, by path below
        the lab's folder on a machine.
        """
        found: dict[str, str] = {}
        for service in services:
            for bind in service.binds:
                found.update(self.bind(bind))
            for mount in service.files:
                found[file_name(mount)] = file_content(self.file(mount), mount.mode)
        return dict(sorted(found.items()))

    def _bound(self, source: Path) -> Iterator[tuple[str, str]]:
        return self._read(source, bind_name(self._lab, source), self._lab.uploads(source))

    def _read(
        self, source: Path, name: str, allows: Callable[[str], bool]
    ) -> Iterator[tuple[str, str]]:
        """Describe the entries of a mount or watch rule; ``name``: that of the source. If the
        source is a link, it is followed, as Docker does; links inside it are described as links.
        """
        try:
            status = source.stat()
        except FileNotFoundError:
            return  # an artifact that is not built yet
        if not allows("."):
            return
        if stat.S_ISDIR(status.st_mode):
            yield name, file_content(FOLDER, stat.S_IMODE(status.st_mode))
            yield from self._below(source, "", name, allows)
        elif stat.S_ISREG(status.st_mode):
            yield name, file_content(self._digests.file(source), stat.S_IMODE(status.st_mode))
        else:
            raise LabError(
                "neither a file nor a folder",
                where=str(source),
                next_step="name a file or a folder in compose.yaml",
            )

    def _below(
        self, top: Path, below: str, name: str, allows: Callable[[str], bool]
    ) -> Iterator[tuple[str, str]]:
        for entry in _entries(top / below):
            relative = f"{below}{entry.name}"
            if not allows(relative):
                continue
            path, place = Path(entry.path), f"{name}/{entry.name}"
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            if entry.is_symlink():
                target = os.readlink(path)  # noqa: PTH115 (Path would tidy it up)
                yield place, link_content(target)
            elif entry.is_file(follow_symlinks=False):
                yield place, file_content(self._digests.file(path), mode)
            elif entry.is_dir(follow_symlinks=False) and entry.name not in PRIVATE_FOLDERS:
                yield place, file_content(FOLDER, mode)
                yield from self._below(top, f"{relative}/", place, allows)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
