"""protocols.Registry in memory: repositories with blobs, manifests and tags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fakes.faults import Faults
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import Registry


@dataclass
class Repository:
    """One repository; ``manifests`` by digest, ``tags`` are digests by tag."""

    blobs: dict[str, int] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class FakeRegistry:
    """One registry. ``mounts``: it gives a repository the blobs of another one."""

    def __init__(self, host: str, faults: Faults) -> None:
        self.host, self.faults = host, faults
        self.mounts = True
        self.closed = 0
        self.repositories: dict[str, Repository] = {}

    def _of(self, repository: str) -> Repository:
        return self.repositories.setdefault(repository, Repository())

    def has(self, repository: str, digest: str) -> bool:
        with self.faults.call("registry.has", repository, digest):
            return digest in self._of(repository).blobs

    def mount(self, repository: str, digest: str, *, source: str) -> bool:
        with self.faults.call("registry.mount", repository, digest, changes=True):
            if self.mounts and digest in self._of(source).blobs:
                self._of(repository).blobs[digest] = self._of(source).blobs[digest]
                return True
            return False

    def upload(
        self,
        repository: str,
        digest: str,
        path: Path,
        *,
        cancel: CancelToken,
        sent: Callable[[int], None],
    ) -> None:
        cancel.check()
        with self.faults.call("registry.upload", repository, digest, changes=True):
            data = path.read_bytes()
            assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
            self._of(repository).blobs[digest] = len(data)
            sent(len(data))

    def put_manifest(self, repository: str, reference: str, data: bytes, kind: str) -> None:
        with self.faults.call("registry.put_manifest", repository, reference, changes=True):
            found, value = self._of(repository), json.loads(data)
            for blob in (*value["layers"], value["config"]):
                if blob["digest"] not in found.blobs:
                    raise LabError(f"registry {self.host} answered 404: blob unknown")
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            found.manifests[digest] = data
            if reference != digest:
                found.tags[reference] = digest

    def manifest(self, repository: str, reference: str) -> str | None:
        with self.faults.call("registry.manifest", repository, reference):
            found = self._of(repository)
            digest = found.tags.get(reference, reference)
            return digest if digest in found.manifests else None

    def close(self) -> None:
        self.closed += 1


class FakeRegistries:
    """The registries of the world, and the laptop's own service of a layout."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.all: dict[str, FakeRegistry] = {}
        self.served: list[Path] = []

    def __getitem__(self, host: str) -> FakeRegistry:
        return self.all.setdefault(host, FakeRegistry(host, self._faults))

    def open(self, host: str) -> Registry:
        """Open a registry, which exists."""
        with self._faults.call("registry.open", host):
            return self[host]

    @contextmanager
    def serve(self, folder: Path) -> Iterator[Path]:
        """Serve a layout; its socket is only a name."""
        with self._faults.call("layout.serve", folder):
            self.served.append(folder)
            yield Path("/tmp/hashlab-test/registry.sock")
