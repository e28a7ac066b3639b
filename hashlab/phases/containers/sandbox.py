"""Sandboxes in the engine's words, and how they should be. Pure.

A replica's sandbox is a container that does nothing. It holds the replica's names, networks,
address, host name, DNS settings and published ports, and stays while the service's own container,
which runs in its network, is replaced.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hashlab.config.model import Lab, Service
from hashlab.documents import unix_time
from hashlab.hashing import digest, short
from hashlab.phases.containers.body import container_name, network_body
from hashlab.phases.containers.networking import is_attached
from hashlab.protocols import LAB_LABEL, ContainerState

# The name of the service for which it holds the network.
SANDBOX_LABEL = "hashlab.sandbox"
RECIPE_LABEL = "hashlab.sandbox-recipe"
IMAGE = "hashlab/sandbox:1"
# Names of containers end with a number, so none of them ends like this.
SUFFIX = ".sandbox"
# The user nobody of every Linux.
NOBODY = "65534:65534"
# A Debian whose programs and libraries are the machine's own, in /usr.
USR = "/usr"
LINKS = ("bin", "lib", "lib32", "lib64", "sbin")
FOLDERS = ("dev", "etc", "proc", "sys", "usr")


@dataclass(frozen=True)
class Present:
    """The containers of a lab on a machine: ``containers`` of services and of persons, each with
    the networks of its sandbox; ``sandboxes`` by the name of the container that each is for.
    """

    containers: list[ContainerState]
    sandboxes: dict[str, ContainerState]


@dataclass(frozen=True)
class Fault:
    """Why a container must be replaced, or started again, to be in its service's network."""

    kind: Literal["replace", "restart"]
    reason: str


def has_sandbox(service: Service) -> bool:
    """True if a service is on networks of its own: not on its machine's, on none, on another's."""
    return bool(service.networks)


def sandbox_name(container: str) -> str:
    """Return the name of the sandbox of a container."""
    return f"{container}{SUFFIX}"


def network_holder(lab: Lab, service: Service) -> str:
    """Return the name of the container in whose network a service that joins another one runs."""
    owner = service
    while owner.joined:
        owner = lab.service(owner.joined)
    first = container_name(lab, owner, 1)
    return sandbox_name(first) if has_sandbox(owner) else first


def holder_of(
    lab: Lab, service: Service, container: str, present: Present
) -> ContainerState | None:
    """Return the container in whose network a container of a service, by its name, should run."""
    name = network_holder(lab, service) if service.joined else sandbox_name(container)
    all_of_them = (*present.sandboxes.values(), *present.containers)
    return next((each for each in all_of_them if each.name == name), None)


def tell_apart(listed: Iterable[ContainerState]) -> Present:
    """Tell sandboxes from the containers that run in them."""
    sandboxes: dict[str, ContainerState] = {}
    others: list[ContainerState] = []
    for container in listed:
        if SANDBOX_LABEL in container.labels:
            sandboxes[container.name.removesuffix(SUFFIX)] = container
        else:
            others.append(container)
    return Present([_placed(each, sandboxes.get(each.name)) for each in others], sandboxes)


def _placed(container: ContainerState, sandbox: ContainerState | None) -> ContainerState:
    if sandbox is None or container.network_mode != inside(sandbox):
        return container
    return replace(container, networks=sandbox.networks)


def inside(sandbox: ContainerState) -> str:
    """Return the network mode of a container that runs in this one's network."""
    return f"container:{sandbox.id}"


def sandbox_body(lab: Lab, service: Service, container: str) -> dict[str, Any]:
    """Return the create request of the sandbox of a container with this name."""
    # On its networks a container is found by its own name, too.
    network = network_body(lab, service, container)
    body: dict[str, Any] = {
        **network,
        "Image": IMAGE,
        "Cmd": ["/usr/bin/sleep", "infinity"],
        "User": NOBODY,
        # It has nothing to finish, and its program, the first of its container, ignores SIGTERM.
        "StopSignal": "SIGKILL",
        "HostConfig": {
            **network["HostConfig"],
            "Binds": [f"{USR}:{USR}:ro"],
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "none"},
            "RestartPolicy": {"Name": "always"},
        },
    }
    labels = {LAB_LABEL: lab.id, SANDBOX_LABEL: service.name, RECIPE_LABEL: short(digest(body))}
    return {**body, "Labels": labels}


def sandbox_action(
    wanted: Mapping[str, Any], existing: ContainerState | None, networks: Mapping[str, str]
) -> Literal["keep", "create", "replace", "wake"]:
    """Decide what must happen to a sandbox. ``wanted``: its create request; ``networks``: the ids
    of its service's networks, by name.
    """
    if existing is None:
        return "create"
    if existing.labels.get(RECIPE_LABEL) != wanted["Labels"][RECIPE_LABEL]:
        return "replace"
    if existing.state != "running":
        return "wake"
    return "keep" if is_attached(existing, networks) else "replace"


def fault(
    wanted: Mapping[str, Any],
    container: ContainerState,
    sandbox: ContainerState | None,
    networks: Mapping[str, str],
) -> Fault | None:
    """Return why a container is not in the sandbox that its service should have; None if it is."""
    action = sandbox_action(wanted, sandbox, networks)
    if sandbox is None:
        return Fault("replace", "it has no sandbox")
    if action == "replace":
        same = sandbox.labels.get(RECIPE_LABEL) == wanted["Labels"][RECIPE_LABEL]
        return Fault("replace", "the network is a new one" if same else "its network changed")
    return left_behind(container, sandbox)


def left_behind(container: ContainerState, holder: ContainerState | None) -> Fault | None:
    """Return why a container does not share the network of ``holder``; None if it does. A container
    that starts gets a new network, and leaves behind those that shared the old one.
    """
    if holder is None or container.network_mode != inside(holder):
        return Fault("replace", "the container that holds its network was replaced")
    if not container.pid:
        return None
    if not holder.pid:
        return Fault("restart", "the container that holds its network ended")
    own, other = unix_time(container.started_at), unix_time(holder.started_at)
    if own is not None and other is not None and own < other:
        return Fault("restart", "the container that holds its network was started again")
    return None


def image_archive() -> bytes:
    """Return the tar file of the sandbox's image: the empty folders and the links of a Debian whose
    /usr is mounted.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for name in LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
    return stream.getvalue()
