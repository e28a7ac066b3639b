"""The folder of self-contained images: an OCI image layout, and what is known of its layers.

index.json, oci-layout, blobs/sha256/   the layout, which skopeo and other tools read
made/                                   which blob was made of what, so that none is made twice
sbom/SERVICE.json                       the bill of materials of each image
images.json                             the document of `hashlab images`
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlab.documents import to_json
from hashlab.documents.images import ImageLayer, ServiceImage, ServiceImages
from hashlab.errors import LabError
from hashlab.hashing import digest as digest_of
from hashlab.state import files

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
# Not compressed: the bytes of a compressed layer depend on the version of the library.
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
# A part of each key of ``made``. Increase it when layers are made in another way.
FORMAT = 1


@dataclass(frozen=True)
class Blob:
    """A file of the layout. ``digest``: sha256:…"""

    digest: str
    size: int


class _Hashing(io.RawIOBase):
    """Passes on what is written, and hashes it."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._write, self.hash, self.size = write, hashlib.sha256(), 0

    def write(self, data: Any, /) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self._write(data)

    def tell(self) -> int:
        return self.size


def canonical(value: object) -> bytes:
    """Return a JSON value as bytes that depend on nothing but the value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Store:
    """The images of one lab, in ``folder``. Every method raises LaptopError if the disk fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Return the path of a blob."""
        return self.folder / "blobs" / digest.replace(":", "/", 1)

    def has(self, blob: Blob) -> bool:
        """Return whether a blob exists, whole."""
        return files.size(self.path(blob.digest)) == blob.size

    def put(self, value: object) -> Blob:
        """Save a JSON value as a blob."""
        return self.write(lambda stream: stream.write(canonical(value)))

    def write(self, fill: Callable[[io.RawIOBase], object]) -> Blob:
        """Save what ``fill`` writes as a blob."""
        unfinished = self.folder / "unfinished"
        with files.explained(unfinished), files.open_binary(unfinished, write=True) as stream:
            hashing = _Hashing(stream.write)
            fill(hashing)
        blob = Blob(f"sha256:{hashing.hash.hexdigest()}", hashing.size)
        files.move(unfinished, self.path(blob.digest))
        return blob

    def read(self, digest: str) -> Any:
        """Return the JSON value of a blob. Raises LabError if it is missing or damaged."""
        value = files.read_json(self.path(digest))
        if value is None:
            raise LabError(
                f"the blob {digest} is missing or damaged",
                where=str(self.folder),
                next_step="run hashlab images again",
            )
        return value

    def made(self, source: object) -> Mapping[str, Any] | None:
        """Return what was saved about what was made of ``source``, if its blob still exists."""
        saved = files.read_json(self._made(source))
        try:
            return saved if self.has(Blob(saved["digest"], saved["size"])) else None
        except (TypeError, KeyError):
            return None

    def save_made(self, source: object, blob: Blob, **facts: object) -> None:
        """Save which blob was made of ``source``, and further facts about it."""
        facts = {name: to_json(value) for name, value in facts.items()}
        files.write_json(self._made(source), {**to_json(blob), **facts})

    def _made(self, source: object) -> Path:
        return self.folder / "made" / f"{digest_of([FORMAT, source])}.json"

    def sbom(self, service: str) -> Path:
        """Return the path of a service's bill of materials."""
        return self.folder / "sbom" / f"{service}.json"

    def save(self, document: ServiceImages, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Save the document, and the layout's index with these manifests."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
        files.write_json(self.folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
        files.write_json(self.folder / "index.json", index)
        files.write_json(self.folder / "images.json", to_json(document))

    def document(self) -> ServiceImages | None:
        """Return the document that was saved last; None if there is none, or it is damaged."""
        saved = files.read_json(self.folder / "images.json")
        try:
            images = tuple(
                ServiceImage(**{**one, "layers": tuple(ImageLayer(**e) for e in one["layers"])})
                for one in saved["images"]
            )
            return ServiceImages(saved["lab"], saved["provider"], images, tuple(saved["notes"]))
        except (TypeError, KeyError):
            return None

    def blobs_of(self, manifest: str) -> list[Blob]:
        """Return the blobs of an image without its manifest, layers first. Raises LabError."""
        value = self.read(manifest)
        return [Blob(one["digest"], one["size"]) for one in (*value["layers"], value["config"])]

    def prune(self) -> tuple[int, int]:
        """Remove all blobs that no image of the index needs; return their number and bytes."""
        index = files.read_json(self.folder / "index.json") or {"manifests": []}
        kept = {str(entry["digest"]) for entry in index["manifests"]}
        kept |= {blob.digest for manifest in set(kept) for blob in self.blobs_of(manifest)}
        count = freed = 0
        for digest in self._all_blobs():
            if digest not in kept:
                freed += files.size(self.path(digest)) or 0
                count += 1
                files.remove(self.path(digest))
        for name in files.names(self.folder / "made"):
            path = self.folder / "made" / name
            saved = files.read_json(path)
            if not isinstance(saved, dict) or saved.get("digest") not in kept:
                files.remove(path)
        return count, freed

    def _all_blobs(self) -> Iterator[str]:
        names = files.names(self.folder / "blobs" / "sha256")
        return (f"sha256:{name}" for name in names)
