"""A container on the laptop's engine that sees the volumes of a lab's machines at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from hashlab.errors import LabError
from hashlab.protocols import Engine
from hashlab.providers.docker.names import BOX_IMAGE
from hashlab.providers.seed import RECIPE_LABEL

SECONDS = 1800
# Layers carry marks that only such a container may read and write.
LAYER_CAPABILITIES = ("SYS_ADMIN",)


class VolumeShell:
    """Runs scripts where volumes of the engine lie below /volumes."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine = engine
        self._container = container

    def run(self, script: str, words: Sequence[str], *, failure: str) -> str:
        """Run a shell script with arguments; return what it printed.

        Raises LabError with ``failure`` as its text.
        """
        command = ["timeout", str(SECONDS), "sh", "-c", script, "sh", *words]
        done = self._engine.execute(self._container, command)
        if done.code != 0:
            raise LabError(failure, output=done.stdout + done.stderr)
        return done.stdout


def folder(volume: str) -> str:
    """Where such a container sees a volume's content."""
    return f"/volumes/{volume}/_data"


def seen(engine: Engine, volumes: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """The binds and tmpfs through which these volumes are seen, and no others of the engine.

    Hard links reach no further than a mount, so it is one, of all volumes; those of other labs and
    programs are covered by something empty. One that is made meanwhile is not.
    """
    root = engine.info()["DockerRootDir"]
    others = sorted(set(engine.volumes({})) - set(volumes))
    cover = "ro,size=4k,nr_inodes=1,mode=0"
    return [f"{root}/volumes:/volumes"], {f"/volumes/{name}": cover for name in others}


def box_image(engine: Engine, recipes: Sequence[str]) -> str:
    """An image of a box of these recipes, or else of any: a script must not be run by programs that
    a machine's root may have exchanged, as in the image of a snapshot. Raises LabError.
    """
    wanted = [f"{BOX_IMAGE}{recipe}" for recipe in recipes]
    found = [name for name in wanted if name in engine.image_ids(wanted)]
    found = found or [n for n in engine.images_with({RECIPE_LABEL: ""}) if n.startswith(BOX_IMAGE)]
    if not found:
        raise LabError(
            "no box is on this laptop, whose tools can be used", next_step="hashlab init-box"
        )
    return found[0]


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
