"""A container on the laptop's engine that sees the volumes of a lab's machines together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from hashlab.errors import LabError
from hashlab.protocols import Engine
from hashlab.providers.docker.names import BOX_IMAGE
from hashlab.providers.seed import RECIPE_LABEL

SECONDS = 1800
# Layers have extended attributes that need this capability.
LAYER_CAPABILITIES = ("SYS_ADMIN",)


class VolumeShell:
    """Runs scripts where volumes of the engine lie below /volumes."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine = engine
        self._container = container

    def run(self, script: str, arguments: Sequence[str], *, failure: str) -> str:
        """Run a shell script with arguments; return its output.

        Raises LabError with the message ``failure``.
        """
        command = ["timeout", str(SECONDS), "sh", "-c", script, "sh", *arguments]
        done = self._engine.execute(self._container, command)
        if done.code != 0:
            raise LabError(failure, output=done.stdout + done.stderr)
        return done.stdout


def folder(volume: str) -> str:
    """Return the path at which such a container sees a volume's content."""
    return f"/volumes/{volume}/_data"


def seen(engine: Engine, volumes: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Return the binds and tmpfs through which a container sees these volumes, and no others of the
    engine.

    Hard links cannot cross mounts, so one mount contains all volumes, and those of other labs and
    programs are covered by an empty file system. A volume that is created meanwhile is not covered.
    """
    root = engine.info()["DockerRootDir"]
    others = sorted(set(engine.volumes({})) - set(volumes))
    cover = "ro,size=4k,nr_inodes=1,mode=0"
    return [f"{root}/volumes:/volumes"], {f"/volumes/{name}": cover for name in others}


def box_image(engine: Engine, recipes: Sequence[str]) -> str:
    """Return an image of a box of these recipes, else of any box. Raises LabError.

    A snapshot's image would not do: a machine's root may have replaced the programs in it, and they
    would run the script.
    """
    wanted = [f"{BOX_IMAGE}{recipe}" for recipe in recipes]
    images = [name for name in wanted if name in engine.image_ids(wanted)]
    images = images or [
        n for n in engine.images_with({RECIPE_LABEL: ""}) if n.startswith(BOX_IMAGE)
    ]
    if not images:
        raise LabError(
            "this laptop has no box whose tools could be used", next_step="hashlab init-box"
        )
    return images[0]


@contextmanager
def volume_shell(
    engine: Engine, *, recipes: Sequence[str], volumes: Collection[str], name: str
) -> Iterator[VolumeShell]:
    """Such a container, gone at the end. ``recipes``: of boxes with whose tools it works."""
    binds, covers = seen(engine, volumes)
    engine.remove(name)
    engine.create(
        name,
        {
            "Image": box_image(engine, recipes),
            "Entrypoint": ["sleep", "infinity"],
            "HostConfig": {
                "Binds": binds,
                "Tmpfs": covers,
                "CapAdd": list(LAYER_CAPABILITIES),
                "NetworkMode": "none",
            },
        },
    )
    try:
        engine.start(name)
        yield VolumeShell(engine, name)
    finally:
        engine.remove(name)
