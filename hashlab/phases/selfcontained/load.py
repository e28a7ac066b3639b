"""Phase ``load``: the laptop's engine gets the self-contained images."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence, Set

from hashlab.documents.images import ServiceImage
from hashlab.errors import LabError
from hashlab.phases.selfcontained.store import Store, canonical
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import Layer
from hashlab.state.files import open_binary

CHUNK = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)


def load_images(world: World, track: Track, _: str) -> None:
    """Promise: the laptop's engine has the image of each service, under its name and content id."""
    store, engine = Store(world.state.oci), world.laptop_engine()
    images = made_images(store)
    existing = engine.image_ids([image.image for image in images])
    missing = [image for image in images if image.image not in existing]
    if not missing:
        track.skip("up to date")
        return
    named = [(image, image.image) for image in missing]
    engine.load_images(archive(store, named, engine.layers(), track))
    track.detail(f"{len(missing)} loaded")


def made_images(store: Store) -> Sequence[ServiceImage]:
    """Return the images that `hashlab images` made last. Raises LabError if there are none."""
    document = store.document()
    if document is None:
        raise LabError("the lab has no self-contained images", next_step="hashlab images")
    return document.images


def archive(
    store: Store, images: Sequence[tuple[ServiceImage, str]], known: Set[Layer], track: Track
) -> Iterator[bytes]:
    """Yield images, each with its name, as `docker save` writes them, but without the files of
    layers in ``known``. Raises LabError, LaptopError.
    """
    manifest = []
    sent: set[str] = set()
    for image, name in images:
        config = store.read(image.digest)["config"]["digest"]
        layers = tuple(layer.digest for layer in image.layers)
        manifest.append(
            {"Config": _name(config), "RepoTags": [name], "Layers": list(map(_name, layers))}
        )
        needed = [layers[n - 1] for n in range(1, len(layers) + 1) if layers[:n] not in known]
        for digest in (*needed, config):
            if digest not in sent:
                sent.add(digest)
                yield from _member(store, digest, track)
    data = canonical(manifest)
    yield _header("manifest.json", len(data)) + _padded(data) + END


def _name(digest: str) -> str:
    return f"{digest.partition(':')[2]}.tar"


def _member(store: Store, digest: str, track: Track) -> Iterator[bytes]:
    path = store.path(digest)
    try:
        with open_binary(path) as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            yield _header(_name(digest), size)
            while chunk := stream.read(CHUNK):
                track.cancel.check()
                track.sent(len(chunk))
                yield chunk
            yield bytes(-size % tarfile.BLOCKSIZE)
    except OSError as error:
        raise LabError(
            f"cannot read {path}: {error.strerror}", next_step="run hashlab images again"
        ) from error


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)
