"""Puts a replica back to its previous build if the new one does not get ready
(``update_config``: ``failure_action: rollback``).

The engine has the old container's image as long as nobody prunes it. What the container mounts is
replaced by the upload, so the machine keeps a second name of those files before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashlab.config.model import Lab, Service
from hashlab.errors import LabError
from hashlab.phases.builds import Build
from hashlab.phases.containers.body import BUILD_LABEL, replica_names
from hashlab.phases.containers.fronts import let_in
from hashlab.phases.containers.readiness import wait_ready
from hashlab.phases.containers.sandbox import Present, has_sandbox, inside
from hashlab.phases.containers.sandboxes import known_sandboxes
from hashlab.phases.programs import KEEP_FILES
from hashlab.phases.upload.laptop import home
from hashlab.phases.world import World
from hashlab.pipeline import Track

# The parts of an engine's description that are also those of a create request. The container's
# network is its sandbox's, which has the names and ports.
CONFIG_KEYS = (
    *("Env", "Labels", "Cmd", "Entrypoint", "User", "WorkingDir", "Tty", "OpenStdin"),
    *("StopSignal", "StopTimeout", "Healthcheck"),
)


def keep_previous(
    world: World, machine: str, present: Present, builds: Mapping[str, Build]
) -> None:
    """Keep what the running replicas of a machine need to be made again, if they are about to get
    another build, and their service asks for it. Nothing may have been uploaded yet. ``builds``:
    the wanted ones, by service.
    """
    running = {each.name: each for each in present.containers if each.state == "running"}
    for service in world.services_on(machine):
        if not service.rollback:
            continue
        for name in replica_names(world.lab, service):
            if name in running and not world.rests(service.name, name):
                known = running[name].labels.get(BUILD_LABEL, "")
                if known != builds[service.name].start_id:
                    _keep(world, machine, name, known)


def _keep(world: World, machine: str, container: str, build: str) -> None:
    link = world.link(machine)
    inspected = link.engine.inspect(container)
    if inspected is None:
        return
    base = f"{home(world.lab)}/previous/{container}"
    uploaded = _uploaded(world.lab, inspected)
    # A container that was put back already mounts what was kept then.
    sources = [] if any(each.startswith(f"{base}/") for each in uploaded) else uploaded
    words = [base, build, *sources]
    done = link.shell.run(["sudo", "sh", "-c", KEEP_FILES, "sh", *words])
    if done.code != 0:
        raise LabError(
            f"cannot keep the files of {container} for a rollback",
            where=machine,
            output=done.stderr,
        )
    kept = {source: f"{base}/{build}/{number}" for number, source in enumerate(sources)}
    with world.lock:
        world.facts.containers.previous[container] = body_again(inspected, kept)


def _uploaded(lab: Lab, inspected: Mapping[str, Any]) -> list[str]:
    """Return the paths of the machine that hashlab uploaded, and a container mounts."""
    mounts = inspected["HostConfig"].get("Mounts") or []
    sources = (mount["Source"] for mount in mounts if mount["Type"] == "bind")
    return list(dict.fromkeys(each for each in sources if each.startswith(f"{home(lab)}/")))


def body_again(inspected: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, Any]:
    """Return a create request for the container that an engine describes. ``kept``: other paths of
    what it mounts. Pure.
    """
    config, host = inspected["Config"], inspected["HostConfig"]
    mounts = [
        {**mount, "Source": kept.get(mount["Source"], mount["Source"])}
        if "Source" in mount
        else mount
        for mount in host.get("Mounts") or []
    ]
    return {
        **{key: config[key] for key in CONFIG_KEYS if config.get(key) is not None},
        # The name of the image is that of the new one by now.
        "Image": inspected["Image"],
        "HostConfig": {**host, "Mounts": mounts},
    }


def put_back(world: World, service: Service, container: str, step: Track) -> str:
    """Replace a container that did not get ready by one of the previous build. Return what was
    done; "" if there is nothing to put back. Raises LabError.
    """
    body = world.facts.containers.previous.get(container)
    if body is None:
        return ""
    engine = world.link(service.machine).engine
    existing = engine.container(container)
    build = str(body["Labels"].get(BUILD_LABEL, ""))
    if existing is not None and existing.labels.get(BUILD_LABEL) == build:
        return ""
    step.detail("putting back the previous build")
    if existing is not None:
        engine.remove(existing.id)
    if has_sandbox(service):
        sandbox = known_sandboxes(world, service.machine)[container]
        body = {**body, "HostConfig": {**body["HostConfig"], "NetworkMode": inside(sandbox)}}
    engine.start(engine.create(container, body))
    wait_ready(world, service, container, step)
    let_in(world, service, [container], step)
    return f"{container} runs its previous build {build} again"
