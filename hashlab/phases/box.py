"""Phases of ``init-box``: recipe, base system, images inside, packaging, registration."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashlab.errors import LabError, LaptopError
from hashlab.hashing import digest, file_digest, short
from hashlab.phases.images import build_images, image_inputs
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest
from hashlab.statefiles import read_json, write_text

BASE_SECONDS = 900.0
MANIFEST = "hashlab.json"


def box_name(world: World) -> str:
    """The name under which Vagrant knows the lab's box."""
    return f"hashlab/{world.lab.name}"


def recipe_manifest(world: World) -> BoxManifest:
    """What the box should be, from everything that goes into it; nothing is built."""
    known = world.facts.image_inputs
    images = {
        image.name: known.get(image.name) or image_inputs(world, image)
        for image in world.lab.images
    }
    recipe = short(
        digest(
            {
                "provider": world.provider.name,
                "system": dict(world.provider.recipe_inputs()),
                "base": world.lab.box.base,
                "packages": list(world.lab.box.packages),
                "images": images,
            }
        )
    )
    # Vagrant wants a version that begins with a number; what follows is the recipe's hash.
    version = f"1.0.0.r{recipe}"
    return BoxManifest(box_name(world), version, recipe, world.provider.name, images)


def boxes_folder(environ: Mapping[str, str]) -> Path:
    """Where Vagrant keeps registered boxes."""
    home = environ.get("VAGRANT_HOME") or str(Path(environ.get("HOME", "~")) / ".vagrant.d")
    return Path(home).expanduser() / "boxes"


def registered_boxes(world: World) -> list[BoxManifest]:
    """The lab's registered boxes of this provider, newest first; read without calling Vagrant."""
    folder = boxes_folder(world.environ) / box_name(world).replace("/", "-VAGRANTSLASH-")
    found = sorted(
        folder.glob(f"*/{world.provider.name}/{MANIFEST}"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    values = (read_json(path) for path in found)
    return [_manifest(value) for value in values if isinstance(value, dict)]


def registered_box(world: World) -> BoxManifest | None:
    """The registered box of exactly this recipe, else the newest one, else None."""
    boxes = registered_boxes(world)
    wanted = recipe_manifest(world)
    for box in boxes:
        if box.recipe == wanted.recipe:
            return box
    return boxes[0] if boxes else None


def _manifest(value: Mapping[str, Any]) -> BoxManifest:
    return BoxManifest(
        name=str(value["name"]),
        version=str(value["version"]),
        recipe=str(value["recipe"]),
        provider=str(value["provider"]),
        images=dict(value["images"]),
        data=dict(value.get("data", {})),
    )


def check_recipe(world: World, track: Track, _: str) -> None:
    """Promise: the facts hold the manifest of the wanted box; ``facts.box_current`` tells whether
    it is registered already, and then the later phases have nothing to do.
    """
    manifest = recipe_manifest(world)
    world.facts.box = manifest
    world.facts.image_inputs.update(manifest.images)
    registered = [box.recipe for box in registered_boxes(world)]
    if manifest.recipe in registered and world.provider.box_present(manifest):
        world.facts.box_current = True
        track.skip(f"{manifest.name} {manifest.version} is registered")
        return
    why = "its recipe changed" if registered else "no box yet"
    track.detail(f"{why}: building {manifest.version}")


def wanted_box(world: World) -> BoxManifest:
    """The manifest found by ``check_recipe``."""
    if world.facts.box is None:
        raise LabError("the recipe was not read")
    return world.facts.box


def make_base(world: World, track: Track, _: str) -> None:
    """Promise: the base image is on the laptop's engine: pulled, or made from Debian packages
    where no registry answers.
    """
    base = world.lab.box.base
    engine = world.laptop_engine()
    if world.facts.box_current or engine.image_labels([base]):
        track.skip(f"{base} is there")
        return
    try:
        engine.pull(base, track=track)
        track.detail(f"{base} pulled")
    except LabError as error:
        track.output(str(error))
        _debootstrap(world, base, track)


def _debootstrap(world: World, base: str, track: Track) -> None:
    """Make ``debian:SUITE[-slim]`` with mmdebstrap."""
    repository, _, tag = base.rpartition(":")
    suite = tag.removesuffix("-slim")
    if repository != "debian" or shutil.which("mmdebstrap", path=world.environ.get("PATH")) is None:
        raise LaptopError(
            f"cannot pull the base image {base}",
            next_step="check the network or `docker pull` it; on Debian or Ubuntu "
            "`apt-get install mmdebstrap` lets hashlab make debian:* images itself",
        )
    track.detail(f"making {base} with mmdebstrap")
    archive = _work_folder(world) / "base.tar"
    excludes = ("doc", "man", "info", "locale")
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excludes]
    try:
        done = world.runner.run(
            ["mmdebstrap", "--variant=minbase", *options, suite, str(archive)],
            timeout=BASE_SECONDS,
            cancel=track.cancel,
            on_line=track.output,
        )
        if done.code != 0:
            raise LabError("mmdebstrap failed", where=base, output=done.stderr)
        world.laptop_engine().import_image(base, archive)
    finally:
        archive.unlink(missing_ok=True)
    track.detail(f"{base} made with mmdebstrap")


def build_system(world: World, track: Track, _: str) -> None:
    """Promise: the minimal system of the box is built."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    world.provider.build_system(world.lab, wanted_box(world), track=track)


def build_box_images(world: World, track: Track, _: str) -> None:
    """Promise: every image of the Compose file is on the laptop's engine, up to date."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    built = build_images(world, list(wanted_box(world).images), track)
    if built:
        track.detail(f"{len(built)} built")
    else:
        track.skip("all there")


def put_images_inside(world: World, track: Track, _: str) -> None:
    """Promise: the box's machines start with every image in their store."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    manifest = wanted_box(world)
    archive = _work_folder(world) / "images.tar"
    try:
        written = 0
        with archive.open("wb") as stream:
            for chunk in world.laptop_engine().save_images(list(manifest.images)):
                track.cancel.check()
                written += stream.write(chunk)
                track.progress(written / 1e6, None, "MB")
        world.provider.build_store(world.lab, manifest, archive, track=track)
    except OSError as error:
        raise LaptopError(f"cannot write {archive}: {error.strerror}") from error
    finally:
        archive.unlink(missing_ok=True)


def register(world: World, track: Track, _: str) -> None:
    """Promise: `vagrant box add` knows the box under its recipe's version."""
    if world.facts.box_current:
        track.skip("unchanged")
        return
    manifest = wanted_box(world)
    folder = _work_folder(world)
    try:
        box = _pack(folder / "hashlab.box", manifest, world.provider.box_files(manifest))
        metadata = folder / "metadata.json"
        write_text(metadata, json.dumps(_metadata(manifest, box), indent=2))
        world.vagrant.box_add(metadata, track=track)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    track.detail(f"{manifest.name} {manifest.version}")


def _work_folder(world: World) -> Path:
    folder = world.state.root / "box"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _pack(box: Path, manifest: BoxManifest, files: Mapping[str, str | Path]) -> Path:
    description = {
        "name": manifest.name,
        "version": manifest.version,
        "recipe": manifest.recipe,
        "provider": manifest.provider,
        "images": dict(manifest.images),
        "data": dict(manifest.data),
    }
    members = {**files, MANIFEST: json.dumps(description, indent=2)}
    with tarfile.open(box, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, Path):
                archive.add(content, arcname=name)
                continue
            data = content.encode()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    return box


def _metadata(manifest: BoxManifest, box: Path) -> dict[str, Any]:
    """The metadata.json that `vagrant box add` reads."""
    provider = {
        "name": manifest.provider,
        "url": box.resolve().as_uri(),
        "checksum_type": "sha256",
        "checksum": file_digest(box),
    }
    return {
        "name": manifest.name,
        "versions": [{"version": manifest.version, "providers": [provider]}],
    }


def remove_boxes(world: World, track: Track) -> list[str]:
    """Remove every registered box of the lab, what it stands on, and the application's images."""
    removed: list[str] = []
    for manifest in registered_boxes(world):
        world.vagrant.box_remove(manifest.name, version=manifest.version, track=track)
        removed.append(f"box {manifest.name} {manifest.version}")
        removed += world.provider.remove_box(manifest)
    engine = world.laptop_engine()
    for image in world.lab.images:
        if image.build is not None and engine.remove_image(image.name):
            removed.append(f"image {image.name}")
    return removed
