"""Phase ``push``: a registry has the self-contained images. Only missing layers are sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from hashlab.documents.images import ServiceImage
from hashlab.errors import LabError, UsageError
from hashlab.phases.selfcontained.load import made_images
from hashlab.phases.selfcontained.store import MANIFEST, Blob, Store
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import Registry
from hashlab.state.files import open_binary

HUB = "docker.io"
PLACE = re.compile(
    r"(?P<host>([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?)(?P<path>(/[a-z0-9._-]+)*)/?"
)


@dataclass(frozen=True)
class Place:
    """A place for images: a registry, and the path in it before each image's name."""

    host: str
    path: str = ""

    @property
    def shown(self) -> str:
        """The place as people type it."""
        return f"{self.host}/{self.path}".rstrip("/")

    def repository(self, image: ServiceImage) -> str:
        """Return the repository of an image. Docker Hub has no further folders below a user."""
        name = image.image.partition(":")[0]
        name = name.replace("/", "-") if self.host == HUB else name
        return f"{self.path}/{name}".lstrip("/")

    def reference(self, image: ServiceImage) -> str:
        """Return the name under which engines pull exactly this image."""
        return f"{self.host}/{self.repository(image)}@{image.digest}"


def place(text: str) -> Place:
    """Read HOST[:PORT][/PATH]. Raises UsageError."""
    match = PLACE.fullmatch(text)
    host = match["host"] if match else ""
    if match is None or not ("." in host or ":" in host or host == "localhost"):
        raise UsageError(
            f"{text!r} does not name a registry",
            next_step="name it with its host: hashlab push registry.example.org/team",
        )
    found = Place(host, match["path"].strip("/"))
    if host == HUB and not found.path:
        raise UsageError(
            "Docker Hub needs the name of a user", next_step="hashlab push docker.io/USER"
        )
    return found


def push(world: World, track: Track, _: str, *, to: Place) -> None:
    """Promise: the registry has every image, and its tag names it. Tags move at the end, after all
    layers and manifests of all images are there.
    """
    store = Store(world.state.oci)
    images = made_images(store)
    registry = world.open_registry(to.host)
    try:
        sender = _Sender(store, registry, to)
        sender.send_all(images, track)
        moved = [image for image in images if sender.tag(image)]
    finally:
        registry.close()
    if moved:
        track.detail(f"{len(moved)} of {len(images)} tags moved at {to.shown}")
    else:
        track.skip(f"{to.shown} has all {len(images)} images")


class _Sender:
    """Sends images; a blob that several of them have is sent once."""

    def __init__(self, store: Store, registry: Registry, to: Place) -> None:
        self._store, self._registry, self._to = store, registry, to
        # The first repository that has each blob.
        self._places: dict[str, str] = {}
        self._lock = Lock()

    def send_all(self, images: Sequence[ServiceImage], track: Track) -> None:
        """Send what the registry lacks, and move no tag."""
        for image in images:
            with track.child("push", service=image.service) as step:
                sent = self._send(image, step)
                if sent:
                    step.detail(f"{len(sent)} layers sent")
                else:
                    step.skip("no layer was missing")

    def _send(self, image: ServiceImage, track: Track) -> list[Blob]:
        """Send what is missing of an image, and its manifest under its digest."""
        repository = self._to.repository(image)
        if self._registry.manifest(repository, image.digest) == image.digest:
            return []
        blobs = self._store.blobs_of(image.digest)
        missing = parallel(blobs, lambda blob: self._is_missing(repository, blob), track.cancel)
        sent = [blob for blob, gone in zip(blobs, missing, strict=True) if gone]
        for blob in sent:
            self._registry.upload(
                repository,
                blob.digest,
                self._store.path(blob.digest),
                cancel=track.cancel,
                sent=track.sent,
            )
        for blob in blobs:
            self._places.setdefault(blob.digest, repository)
        with open_binary(self._store.path(image.digest)) as stream:
            data = stream.read()
        self._registry.put_manifest(repository, image.digest, data, MANIFEST)
        return sent

    def _is_missing(self, repository: str, blob: Blob) -> bool:
        if self._registry.has(repository, blob.digest):
            return False
        source = self._places.get(blob.digest, repository)
        if source == repository:
            return True
        return not self._registry.mount(repository, blob.digest, source=source)

    def tag(self, image: ServiceImage) -> bool:
        """Let the content id, and "latest", name an image; return whether a tag moved."""
        repository = self._to.repository(image)
        with open_binary(self._store.path(image.digest)) as stream:
            data = stream.read()
        wanted = (image.image.rpartition(":")[2], "latest")
        moved = [tag for tag in wanted if self._registry.manifest(repository, tag) != image.digest]
        for tag in moved:
            self._registry.put_manifest(repository, tag, data, MANIFEST)
            if self._registry.manifest(repository, tag) != image.digest:
                raise LabError(
                    f"registry {self._to.host} stored {repository}:{tag} under another digest",
                    next_step="let nothing between here and the registry change manifests",
                )
        return bool(moved)
