"""A container on the laptop's engine that runs one shell script and is then removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from types import MappingProxyType

from hashlab.errors import LabError
from hashlab.protocols import Engine

SECONDS = 600
ALL_LINES = 10_000


def _script(name: str) -> str:
    return resources.files("hashlab.providers").joinpath(f"{name}.sh").read_text("utf-8")


# Lets the lab's key into a machine: arguments are the public key and the file for it.
AUTHORIZE = _script("authorize")
# Runs on the laptop, as a trigger of Vagrant's: the argument is the file to wait for.
WAIT_FOR_FILE = _script("wait-for-file")


def run_script(
    engine: Engine,
    script: str,
    *,
    name: str,
    image: str,
    arguments: Sequence[str] = (),
    binds: Sequence[str] = (),
    tmpfs: Mapping[str, str] = MappingProxyType({}),
    capabilities: Sequence[str] = (),
    may_mount: bool = False,
    labels: Mapping[str, str] = MappingProxyType({}),
    failure: str,
) -> str:
    """Run ``script`` in a container of ``image`` without a network; return its output.

    ``arguments``: the script's arguments; ``binds``, ``tmpfs`` (options by path): as the flags of
    ``docker run``; ``may_mount``: allow mounting where AppArmor would forbid it despite the
    capability. Raises LabError with the message ``failure``.
    """
    engine.remove(name)
    engine.create(
        name,
        {
            "Image": image,
            "Labels": dict(labels),
            "Entrypoint": ["/bin/sh", "-c", script, "sh", *arguments],
            "HostConfig": {
                "Binds": list(binds),
                "Tmpfs": dict(tmpfs),
                "CapAdd": list(capabilities),
                "SecurityOpt": ["apparmor=unconfined"] if may_mount else [],
                "NetworkMode": "none",
            },
        },
    )
    try:
        engine.start(name)
        code = engine.wait(name, timeout=SECONDS)
        output = engine.logs(name, lines=ALL_LINES)
        if code != 0:
            raise LabError(failure, output=output)
        return output
    finally:
        engine.remove(name)
