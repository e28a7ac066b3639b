"""Find the settings under which a container on this laptop's engine can be a machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hashlab.errors import HashlabError
from hashlab.protocols import Engine
from hashlab.state.files import read_json, save_cache

PROBE_SECONDS = 60

# The parts of `--privileged`, for an engine that itself lacks CAP_SYS_RESOURCE.
UNPRIVILEGED_CAPS = {"CapAdd": ["ALL"], "CapDrop": ["SYS_RESOURCE"]}
SECURITY_OPTIONS = ("seccomp=unconfined", "apparmor=unconfined")
# Called systempaths=unconfined on the command line.
OPEN_PATHS: Mapping[str, list[str]] = {"MaskedPaths": [], "ReadonlyPaths": []}


class Isolation:
    """Finds out once per engine how a container gets what systemd and an inner engine need."""

    def __init__(self, *, engine: Callable[[], Engine], cache: Path) -> None:
        """``cache`` is a file that may be deleted; it holds results of probing the engine."""
        self._engine = engine
        self._cache = cache

    def host_config(self, image: str) -> dict[str, Any]:
        """Return the HostConfig under which systemd and an inner engine work on this engine."""
        tmpfs = {"/run": "", "/tmp": ""}  # noqa: S108 - paths inside the machine
        host: dict[str, Any] = {"CgroupnsMode": "private", "Tmpfs": tmpfs}
        if self._privileged_works(image):
            return {**host, "Privileged": True}
        return {**host, **UNPRIVILEGED_CAPS, "SecurityOpt": list(SECURITY_OPTIONS), **OPEN_PATHS}

    def _privileged_works(self, image: str) -> bool:
        engine = self._engine()
        key = str(engine.info().get("ID"))
        known = read_json(self._cache)
        if isinstance(known, dict) and known.get("engine") == key and "privileged" in known:
            return bool(known["privileged"])
        works = self._probe_privileged(engine, image)
        save_cache(self._cache, {"engine": key, "privileged": works})
        return works

    def _probe_privileged(self, engine: Engine, image: str) -> bool:
        """Return whether the engine can start a privileged container that does nothing."""
        name = f"hashlab-probe-{secrets.token_hex(4)}"
        config = {"Image": image, "Entrypoint": ["/bin/true"], "HostConfig": {"Privileged": True}}
        engine.create(name, config)
        try:
            engine.start(name)
            return engine.wait(name, timeout=PROBE_SECONDS) == 0
        except HashlabError as error:
            if "caps" in str(error) or "operation not permitted" in str(error):
                return False
            raise
        finally:
            engine.remove(name)


def as_flags(host: Mapping[str, Any]) -> list[str]:
    """Return the same HostConfig as flags of `docker run`, which Vagrant calls."""
    flags = [f"--cgroupns={host['CgroupnsMode']}"]
    flags += [word for path in host["Tmpfs"] for word in ("--tmpfs", path)]
    if host.get("Privileged"):
        flags.append("--privileged")
    flags += [word for cap in host.get("CapAdd", ()) for word in ("--cap-add", cap)]
    flags += [word for cap in host.get("CapDrop", ()) for word in ("--cap-drop", cap)]
    options = [*host.get("SecurityOpt", ())]
    options += ["systempaths=unconfined"] if "MaskedPaths" in host else []
    flags += [word for item in options for word in ("--security-opt", item)]
    return flags
