"""The system of a box and its image store, built on the laptop's engine for every provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from hashlab.config.model import Lab
from hashlab.errors import LabError
from hashlab.hashing import Digests
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.contexts import read_context
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest, BuildSettings, Engine
from hashlab.providers.isolation import Isolation

SYSTEM_FOLDER = "system"
RECIPE_LABEL = "hashlab.recipe"
BOX_LABEL = "hashlab.box"
STORE = "/var/lib/docker"
SEED_SECONDS = 60


def system_files(*names: str) -> dict[str, str]:
    """Return the text of files that describe the system, by name."""
    folder = resources.files("hashlab.providers").joinpath(SYSTEM_FOLDER)
    return {name: folder.joinpath(name).read_text("utf-8") for name in names}


def labels(manifest: BoxManifest) -> dict[str, str]:
    """Return labels that mark the objects a box needs."""
    return {BOX_LABEL: manifest.name, RECIPE_LABEL: manifest.recipe}


class Seed:
    """Builds a box's system as an image, and its image store on a seed machine."""

    def __init__(self, *, engine: Callable[[], Engine], isolation: Isolation) -> None:
        self._engine = engine
        self._isolation = isolation

    def build_system(
        self, lab: Lab, manifest: BoxManifest, name: str, *, target: str, track: Track
    ) -> None:
        """Build the system as image ``name``. ``target``: the stage of its Dockerfile."""
        folder = resources.files("hashlab.providers").joinpath(SYSTEM_FOLDER)
        with resources.as_file(folder) as root:
            context = read_context(
                root, root / "Dockerfile", boundary=Boundary(), digests=Digests()
            )
            self._engine().build_image(
                name,
                context=context,
                settings=BuildSettings(
                    {"BASE": lab.box.base, "PACKAGES": " ".join(lab.box.packages)}, target
                ),
                labels=labels(manifest),
                owner=lab.id,
                track=track,
            )

    def fill_store(
        self, manifest: BoxManifest, *, image: str, volume: str, archive: Path, track: Track
    ) -> None:
        """Make ``volume`` the store of an engine that has loaded every image of ``archive``."""
        engine = self._engine()
        engine.remove_volume(volume)
        engine.create_volume(volume, labels(manifest))
        try:
            with self._machine(image, volume, archive.parent) as seed:
                _wait_for_engine(engine, seed, track)
                _load(engine, seed, f"/images/{archive.name}")
            track.detail(f"{len(manifest.images)} images inside")
        except BaseException:
            engine.remove_volume(volume)
            raise

    @contextmanager
    def _machine(self, image: str, volume: str, folder: Path) -> Iterator[str]:
        """Run a machine of the new system whose engine writes into the volume; remove it
        afterwards.
        """
        engine = self._engine()
        name = f"{volume}-seed"
        engine.remove(name)
        host = self._isolation.host_config(image)
        host["Binds"] = [f"{volume}:{STORE}", f"{folder}:/images:ro"]
        engine.create(name, {"Image": image, "HostConfig": host})
        try:
            engine.start(name)
            yield name
            # An engine that is stopped cleanly leaves a consistent store.
            done = engine.execute(name, ["systemctl", "stop", "docker.service", "docker.socket"])
            if done.code != 0:
                raise LabError("the seed machine's engine does not stop", output=done.stderr)
        finally:
            engine.remove(name)


def _wait_for_engine(engine: Engine, container: str, track: Track) -> None:
    waited = 0.0
    while engine.execute(container, ["docker", "info"]).code != 0:
        if waited > SEED_SECONDS:
            raise LabError(
                "the seed machine's engine does not start", output=engine.logs(container)
            )
        track.cancel.wait(0.2)
        waited += 0.2


def _load(engine: Engine, container: str, archive: str) -> None:
    done = engine.execute(container, ["docker", "load", "--quiet", "--input", archive])
    if done.code != 0:
        raise LabError("the seed machine cannot load the images", output=done.stderr)
