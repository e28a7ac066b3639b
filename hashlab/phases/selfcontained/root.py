"""The folders and links of an image's file system, as far as a further layer must know them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Mode and owner of a folder: permissions, uid, gid.
Folder = tuple[int, int, int]
NEW_FOLDER: Folder = (0o755, 0, 0)
# As many links as the kernel follows in one path.
MOST_LINKS = 40


@dataclass(frozen=True)
class LayerFacts:
    """The content of one layer besides its files. Paths are absolute.

    ``gone``: paths that it removes; ``emptied``: folders of which it hides what is below;
    ``packages``: name, version, architecture and source of each package in its package database,
    None if it does not hold the database; ``system``: its os-release.
    """

    folders: Mapping[str, Folder] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    packages: tuple[tuple[str, str, str, str], ...] | None = None
    system: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LayerFacts:
        """Return the facts that were saved as JSON. Raises KeyError, TypeError, ValueError."""
        packages = data["packages"]
        return cls(
            {path: (int(mode), int(uid), int(gid)) for path, (mode, uid, gid) in _items(data)},
            {str(path): str(target) for path, target in data["links"].items()},
            tuple(map(str, data["gone"])),
            tuple(map(str, data["emptied"])),
            None
            if packages is None
            else tuple((str(n), str(v), str(a), str(s)) for n, v, a, s in packages),
            {str(key): str(value) for key, value in data["system"].items()},
        )


def _items(data: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((str(path), entry) for path, entry in data["folders"].items())


class Root:
    """The file system that several layers make together."""

    def __init__(self, layers: Iterable[LayerFacts]) -> None:
        self._folders: dict[str, Folder] = {}
        self._links: dict[str, str] = {}
        self.packages: tuple[tuple[str, str, str, str], ...] | None = None
        self.system: dict[str, str] = {}
        for layer in layers:
            self._add(layer)

    def _add(self, layer: LayerFacts) -> None:
        for path in layer.gone:
            self._forget(path, itself=True)
        for path in layer.emptied:
            self._forget(path, itself=False)
        for path in layer.links:
            self._folders.pop(path, None)
        for path in layer.folders:
            self._links.pop(path, None)
        self._folders |= layer.folders
        self._links |= layer.links
        self.packages = self.packages if layer.packages is None else layer.packages
        self.system |= layer.system

    def _forget(self, path: str, *, itself: bool) -> None:
        below = f"{path.rstrip('/')}/"
        for known in (self._folders, self._links):
            for name in [n for n in known if n.startswith(below) or (itself and n == path)]:
                del known[name]

    def folder(self, path: str) -> Folder:
        """Return mode and owner of a folder; those of a new one if it does not exist."""
        return self._folders.get(path, NEW_FOLDER)

    def resolve(self, path: str) -> str:
        """Return an absolute path without the links of the file system."""
        done, waiting = "/", _parts(path)
        for _ in range(MOST_LINKS):
            while waiting:
                done = posixpath.normpath(posixpath.join(done, waiting.pop(0)))
                if done in self._links:
                    break
            else:
                return done
            waiting = [*_parts(self._links[done]), *waiting]
            done = "/" if self._links[done].startswith("/") else posixpath.dirname(done)
        return posixpath.normpath(posixpath.join(done, *waiting))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
