"""Phase ``assemble``: one image for each service, with everything that the service runs with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hashlab.config.model import Service
from hashlab.documents import iso_time
from hashlab.documents.images import ImageLayer, ServiceImage, ServiceImages
from hashlab.errors import LabError, LaptopError
from hashlab.hashing import settled
from hashlab.phases.images import build_images
from hashlab.phases.selfcontained.bases import Base, take_base
from hashlab.phases.selfcontained.configuration import IMAGE_KEYS, configuration, content_id
from hashlab.phases.selfcontained.contents import Contents, Entry, contents, layered
from hashlab.phases.selfcontained.layer import (
    Secrets,
    folders_of,
    layer_key,
    secrets_of,
    write_layer,
)
from hashlab.phases.selfcontained.root import Root
from hashlab.phases.selfcontained.sbom import artifacts_of, bill_of_materials, components_of
from hashlab.phases.selfcontained.store import CONFIG, LAYER, MANIFEST, Blob, Store
from hashlab.phases.upload.laptop import LaptopFiles
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import write_json

GIT_SECONDS = 30.0
Layers = list[tuple[Blob, str]]


def assemble(world: World, track: Track, _: str) -> None:
    """Promise: the store has an image for each service that depends on nothing of the laptop, and
    its bill of materials. What did not change is not made again.
    """
    lab = world.source_lab
    maker = _Maker(world, Store(world.state.oci), secrets_of(lab), world.source_files())
    services = {service.family: service for service in lab.services}
    provenance = _provenance(world, track)
    images, manifests, notes = [], [], list[str]()
    for name, service in services.items():
        with track.child("image", service=name) as step:
            image, manifest, about = maker.make(service, step)
            images.append(image)
            manifests.append({**manifest, "annotations": {**provenance, **_names(image)}})
            notes += about
            step.detail(f"{image.image}, {image.bytes / 1e6:.1f} MB")
    document = ServiceImages(lab.name, world.provider.name, tuple(images), tuple(notes))
    maker.store.save(document, manifests)
    world.facts.document = document
    track.detail(f"{len(images)} images")


def runs_images(world: World) -> bool:
    """Return whether the lab runs from self-contained images."""
    return world.lab.built_from is not None


def fill_known(world: World) -> None:
    """Put the contents of the self-contained images that were made last into the facts."""
    if not runs_images(world):
        return
    document = Store(world.state.oci).document()
    made = {image.service: image.image for image in document.images} if document else {}
    for service in world.lab.services:
        content = made.get(service.family, "").rpartition(":")[2]
        world.facts.images.inputs[service.image] = content


def assemble_images(world: World, track: Track, _: str) -> None:
    """Promise: the store has the self-contained image of each service, of the present files."""
    bases = sorted({name for each in world.source_lab.services for name in each.images})
    build_images(world, bases, track)
    assemble(world, track, "")
    fill_known(world)


@dataclass(frozen=True)
class _Maker:
    """Makes images. ``secrets``: what no file of an image may contain."""

    world: World
    store: Store
    secrets: Secrets
    laptop: LaptopFiles

    def make(
        self, service: Service, track: Track
    ) -> tuple[ServiceImage, dict[str, Any], Sequence[str]]:
        """Return the image of a service, its entry in the index, and notes."""
        lab = self.world.source_lab
        base = take_base(self.world, self.store, service.image, track)
        root = Root(layer.facts for layer in base.layers)
        inside = settled(lambda: contents(lab, service, self.laptop, root))
        layers = self._layers(base, inside, root)
        config = configuration(base.config, service, [blob.digest for blob, _ in layers])
        manifest = self._manifest(config, layers)
        name = service.family
        sbom = self.store.sbom(name)
        image = ServiceImage(
            name,
            f"{lab.name}/{name}:{content_id(config)}",
            manifest.digest,
            sum(blob.size for blob, _ in layers),
            tuple(ImageLayer(blob.digest, blob.size, origin) for blob, origin in layers),
            sbom.relative_to(lab.folder).as_posix(),
        )
        components = [c for a in artifacts_of(lab, service) for c in components_of(a)]
        write_json(sbom, bill_of_materials(image.image, manifest.digest, root, components))
        platform = {key: config[key] for key in IMAGE_KEYS if key in config}
        entry = {**_described(manifest, MANIFEST), "platform": platform}
        return image, entry, (*inside.notes, *_findings(name, root, config["config"]))

    def _layers(self, base: Base, inside: Contents, root: Root) -> Layers:
        """Return the layers of an image, those of the base first."""
        layers = [(layer.blob, layer.origin) for layer in base.layers]
        emptied = sorted(inside.emptied)
        for kind, entries in settled(lambda: layered(self.world.source_lab, inside.entries)):
            layers.append((self._layer(entries, emptied, root), kind))
            emptied = []  # a second marker would hide the layer below
        return layers

    def _layer(self, entries: Sequence[Entry], emptied: Sequence[str], root: Root) -> Blob:
        folders = folders_of(entries, emptied, root)
        key = layer_key(entries, folders, emptied)
        made = self.store.made(key)
        if made is not None:
            return Blob(made["digest"], made["size"])
        blob = self.store.write(
            lambda target: write_layer(target, entries, folders, emptied, self.secrets)
        )
        self.store.save_made(key, blob)
        return blob

    def _manifest(self, config: Mapping[str, Any], layers: Layers) -> Blob:
        """Save configuration and manifest of an image; return its manifest."""
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _described(self.store.put(config), CONFIG),
            "layers": [_described(blob, LAYER) for blob, _ in layers],
        }
        return self.store.put(value)


def _described(blob: Blob, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": blob.digest, "size": blob.size}


def _names(image: ServiceImage) -> dict[str, str]:
    return {"org.opencontainers.image.ref.name": image.image, "hashlab.service": image.service}


def _findings(name: str, root: Root, config: Mapping[str, Any]) -> Iterator[str]:
    if root.packages is None:
        yield f"{name}: its base has no package database, so its SBOM names no packages of it"
    if str(config.get("User") or "0").partition(":")[0] in ("0", "root"):
        yield f"{name}: it runs as root; write user in the Compose file or USER in its Dockerfile"


def _provenance(world: World, track: Track) -> Mapping[str, str]:
    """Return annotations about the source. They are in the index, so they move no digest."""
    found = {"org.opencontainers.image.created": iso_time(time.time())}
    with suppress(LaptopError, LabError):  # without git, or outside of a repository
        commit = _git(world, track, "rev-parse", "HEAD")
        changes = _git(world, track, "status", "--porcelain", "--", ".")
        found["org.opencontainers.image.revision"] = commit
        found["hashlab.dirty"] = "true" if changes else "false"
    return found


def _git(world: World, track: Track, *words: str) -> str:
    done = world.runner.run(
        ["git", *words], cwd=world.lab.folder, timeout=GIT_SECONDS, cancel=track.cancel
    )
    if done.code != 0:
        raise LabError("git has no answer", output=done.stderr)
    return done.stdout.strip()
