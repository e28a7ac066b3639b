"""Boxes of the provider ``docker``: an image with the system, and a volume with the image store."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.inputs.plaintar import NotPlain, members
from hashlab.pipeline import Track
from hashlab.protocols import LAB_LABEL, BoxContents, BoxManifest, Engine
from hashlab.providers.contents import ask_contents
from hashlab.providers.docker.names import MACHINE_LABEL, image_store, system_image
from hashlab.providers.docker.volume_shell import LAYER_CAPABILITIES
from hashlab.providers.scripts import run_script
from hashlab.providers.seed import RECIPE_LABEL, Seed, labels, system_files
from hashlab.providers.vagrant import LabVagrant, VagrantBoxes
from hashlab.state.files import open_binary

SYSTEM_FILES = (
    *("Dockerfile", "setup.sh", "firewall.sh", "await-manager.sh", "sandboxes.sh"),
    "container-init.sh",
)
# Files that a box needs on another laptop than the one that built it.
SYSTEM_TAR = "system.tar"
STORE_TAR = "store.tar"
SCRIPT = resources.files("hashlab.providers.docker").joinpath("store.sh").read_text("utf-8")
CHUNK = 1 << 20
LIST_LIMIT = 1_000_000


class DockerBoxes(VagrantBoxes):
    """protocols.Boxes on the laptop's Docker Engine."""

    promised_size = 1_000_000_000
    packed = False
    holds_images = True

    def __init__(self, *, vagrant: LabVagrant, engine: Callable[[], Engine], seed: Seed) -> None:
        super().__init__(vagrant)
        self._engine = engine
        self._seed = seed

    def inputs(self) -> Mapping[str, str]:
        """See protocols.Boxes."""
        return system_files(*SYSTEM_FILES)

    def build_system(self, lab: Lab, manifest: BoxManifest, *, track: Track) -> None:
        """See protocols.Boxes."""
        name = system_image(manifest)
        self._seed.build_system(lab, manifest, name, target="container", track=track)

    def build_store(self, lab: Lab, manifest: BoxManifest, archive: Path, *, track: Track) -> None:
        """See protocols.Boxes."""
        self._seed.fill_store(
            manifest,
            image=system_image(manifest),
            volume=image_store(manifest),
            archive=archive,
            track=track,
        )

    def files(self, manifest: BoxManifest, work: Path) -> Mapping[str, str | Path]:
        """See protocols.Boxes. The box names an image and contains no disk."""
        return self.own_files(manifest)

    def takes(self, name: str) -> bool:
        """See protocols.Boxes."""
        return name in (SYSTEM_TAR, STORE_TAR)

    def fault_of(self, name: str, head: bytes, names: Collection[str]) -> str:
        """See protocols.Boxes. The names in the system's tar file are checked when it is loaded."""
        return ""

    def own_files(self, manifest: BoxManifest) -> Mapping[str, str]:
        """See protocols.Boxes."""
        image = json.dumps(system_image(manifest))
        return {
            "metadata.json": json.dumps({"provider": "docker"}),
            "Vagrantfile": (
                'Vagrant.configure("2") do |config|\n'
                f'  config.vm.provider("docker") {{ |docker| docker.image = {image} }}\n'
                "end\n"
            ),
        }

    def contents(self, manifest: BoxManifest, work: Path, *, track: Track) -> BoxContents:
        """See protocols.Boxes."""
        store = image_store(manifest)
        return ask_contents(
            self._engine(), name=f"{store}-contents", image=system_image(manifest), store=store
        )

    def users(self) -> Mapping[str, Sequence[str]]:
        """See protocols.Boxes."""
        users: dict[str, list[str]] = {}
        for state in self._engine().containers({LAB_LABEL: "", MACHINE_LABEL: ""}):
            if not state.labels[LAB_LABEL]:
                continue  # not a machine, but a container of a snapshot's image
            machine = f"{state.labels[LAB_LABEL]}/{state.labels[MACHINE_LABEL]}"
            users.setdefault(state.labels.get(RECIPE_LABEL, ""), []).append(machine)
        return users

    def export_files(
        self, manifest: BoxManifest, work: Path, *, track: Track
    ) -> Mapping[str, str | Path]:
        """See protocols.Boxes. The store is exported as it is, because the laptop's engine may have
        newer images.
        """
        engine = self._engine()
        with open_binary(work / SYSTEM_TAR, write=True) as stream:
            for chunk in _counted(engine.save_images([system_image(manifest)]), track):
                stream.write(chunk)
        track.detail("packing the image store")
        run_script(
            engine,
            SCRIPT,
            arguments=["pack"],
            name=f"{image_store(manifest)}-export",
            image=system_image(manifest),
            binds=[f"{work.resolve()}:/out", f"{image_store(manifest)}:/store:ro"],
            capabilities=LAYER_CAPABILITIES,
            failure="cannot pack the box's image store",
        )
        large = {name: work / name for name in (SYSTEM_TAR, STORE_TAR)}
        return {**self.files(manifest, work), **large}

    def take_in(self, manifest: BoxManifest, *, track: Track) -> bool:
        """See protocols.Boxes."""
        folder = manifest.registered_at
        if folder is None or not all((folder / n).exists() for n in (SYSTEM_TAR, STORE_TAR)):
            return False
        try:
            self._load_system(manifest, folder / SYSTEM_TAR, track)
            track.detail("unpacking the image store")
            self._unpack_store(manifest, folder)
        except BaseException:
            self.remove(manifest)
            raise
        for name in (SYSTEM_TAR, STORE_TAR):
            (folder / name).unlink()
        return True

    def _load_system(self, manifest: BoxManifest, archive: Path, track: Track) -> None:
        """Load the system, and refuse any other image."""
        engine, name = self._engine(), system_image(manifest)
        held = image_names(archive)
        if held != [name]:
            raise LabError(
                f"the box contains {', '.join(held) or 'unnamed images'} instead of {name}",
                where=str(archive),
            )
        with archive.open("rb") as stream:
            engine.load_images(_counted(iter(lambda: stream.read(CHUNK), b""), track))
        if engine.image_labels([name]).get(name, {}).get(RECIPE_LABEL) != manifest.recipe:
            raise LabError(
                f"the system in the box has another recipe than {name}", where=str(archive)
            )

    def _unpack_store(self, manifest: BoxManifest, folder: Path) -> None:
        engine, volume = self._engine(), image_store(manifest)
        engine.remove_volume(volume)
        engine.create_volume(volume, labels(manifest))
        run_script(
            engine,
            SCRIPT,
            arguments=["unpack"],
            name=f"{volume}-import",
            image=system_image(manifest),
            binds=[f"{folder.resolve()}:/in:ro", f"{volume}:/store"],
            capabilities=LAYER_CAPABILITIES,
            failure="cannot unpack the box's image store",
        )

    def present(self, manifest: BoxManifest) -> bool:
        """See protocols.Boxes."""
        engine = self._engine()
        image = engine.image_labels([system_image(manifest)])
        return bool(image) and image_store(manifest) in engine.volumes(labels(manifest))

    def remove(self, manifest: BoxManifest) -> list[str]:
        """See protocols.Boxes."""
        engine = self._engine()
        removed = []
        if engine.remove_image(system_image(manifest)):
            removed.append(f"image {system_image(manifest)}")
        for volume in engine.volumes(labels(manifest)):
            engine.remove_volume(volume)
            removed.append(f"volume {volume}")
        return removed


def image_names(archive: Path) -> list[str]:
    """Return the names of the images in a saved tar file, from each list that an engine may use.

    Raises LabError if it has no such list.
    """
    names: set[str] = set()
    lists = 0
    try:
        with archive.open("rb") as stream:
            for member in members(stream):
                named = _LISTS.get(member.name)
                if named is None:
                    continue
                if not member.plain or member.size > LIST_LIMIT:
                    raise NotPlain(f"{member.name} is too large")
                names.update(map(str, named(json.loads(member.read()))))
                lists += 1
    except (NotPlain, OSError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise LabError(
            f"cannot read the names of its images: {error}", where=str(archive)
        ) from error
    if not lists:
        raise LabError(
            "cannot read the names of its images: it has no list of images", where=str(archive)
        )
    return sorted(names)


def _names_in_manifest(entries: Any) -> Iterator[str]:
    for entry in entries:
        yield from entry.get("RepoTags") or []


def _names_in_index(index: Any) -> Iterator[str]:
    for entry in index.get("manifests") or []:
        name = (entry.get("annotations") or {}).get("io.containerd.image.name")
        if name:
            yield name.removeprefix("docker.io/library/")


def _names_in_repositories(repositories: Any) -> Iterator[str]:
    for name, tags in repositories.items():
        yield from (f"{name}:{tag}" for tag in tags)


# Docker's own list, the one of engines with containerd's store, and the one of very old engines.
_LISTS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "manifest.json": _names_in_manifest,
    "index.json": _names_in_index,
    "repositories": _names_in_repositories,
}


def _counted(chunks: Iterator[bytes], track: Track) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        track.cancel.check()
        total += len(chunk)
        track.progress(total / 1e6, None, "MB")
        yield chunk
