"""A container on the laptop's engine that sees the volumes of all machines at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hashlab.errors import LabError
from hashlab.protocols import Engine

SECONDS = 1800
# Layers carry marks that only such a container may read and write.
LAYER_CAPABILITIES = ("SYS_ADMIN",)


class Beside:
    """Runs scripts where every volume of the engine lies below /volumes."""

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


def binds(engine: Engine) -> list[str]:
    """The mount through which every volume is seen; hard links reach no further than a mount."""
    return [f"{engine.info()['DockerRootDir']}/volumes:/volumes"]


@contextmanager
def beside_volumes(engine: Engine, *, image: str, name: str) -> Iterator[Beside]:
    """Such a container, gone at the end; ``image`` has a shell and GNU's tools."""
    engine.remove(name)
    engine.create(
        name,
        {
            "Image": image,
            "Entrypoint": ["sleep", "infinity"],
            "HostConfig": {
                "Binds": binds(engine),
                "CapAdd": list(LAYER_CAPABILITIES),
                "NetworkMode": "none",
            },
        },
    )
    try:
        engine.start(name)
        yield Beside(engine, name)
    finally:
        engine.remove(name)
