"""A registry of images, as phases use it, and the lab's own one for its machines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hashlab.pipeline import CancelToken


class Registry(Protocol):
    """One registry. Every method raises LabError that names the registry and the next step.

    ``repository``: a name without the registry's host; ``digest``: sha256:…
    """

    @property
    def host(self) -> str:
        """The name under which engines know it, such as registry.example.org or docker.io."""

    def has(self, repository: str, digest: str) -> bool:
        """Return whether a repository has a blob."""

    def mount(self, repository: str, digest: str, *, source: str) -> bool:
        """Give a repository a blob that another one (``source``) has; return False if the registry
        does not do that.
        """

    def upload(
        self,
        repository: str,
        digest: str,
        path: Path,
        *,
        cancel: CancelToken,
        sent: Callable[[int], None],
    ) -> None:
        """Send a file as a blob. ``sent``: called with the bytes of each piece."""

    def put_manifest(self, repository: str, reference: str, data: bytes, kind: str) -> None:
        """Store a manifest under a tag or its digest. The registry must have its blobs. ``kind``:
        its media type.
        """

    def manifest(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest with this tag or digest, or None."""

    def close(self) -> None:
        """Close the connections."""


OpenRegistry = Callable[[str], Registry]
# Serves an image layout (its folder) read-only on a unix socket, whose path it yields.
ServeLayout = Callable[[Path], AbstractContextManager[Path]]
