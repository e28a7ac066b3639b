"""The stack that a lab becomes, and what it changes in a Swarm. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hashlab.config.model import Lab
from hashlab.documents.deployment import Change, DeployedFile, DeployedService
from hashlab.hashing import digest, short
from hashlab.phases.deploy.versions import Version
from hashlab.phases.export.stack import stack
from hashlab.protocols import SwarmFile, SwarmNode, SwarmService

Shape = dict[str, Any]
# Labels of services: the lab, what a container of it consists of, and everything but its image.
# Containers bear the second one too.
LAB, VERSION, SETTINGS = "hashlab.stack.lab", "hashlab.version", "hashlab.settings"
# Label of secrets and configs: their name in the Compose file.
FILE = "hashlab.file"
# A change of these replaces no container.
OF_SERVICE = ("labels", "replicas", "rollback_config", "update_config")
KINDS = ("secret", "config")
MACHINE = "node.labels.machine == "


@dataclass(frozen=True)
class WantedStack:
    """The whole ``shape`` of a stack's file, its secrets and configs, and what Swarm cannot do.
    ``delays``: seconds between two containers of an update, by service.
    """

    shape: Shape
    versions: Sequence[Version]
    notes: Sequence[str] = ()
    services: Mapping[str, Shape] = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)

    def label(self, service: str, name: str) -> str:
        """Return a label of a service."""
        return str(self.services[service]["deploy"]["labels"][name])

    def replicas(self, service: str, nodes: Sequence[SwarmNode]) -> int:
        """Return how many containers of a service should run."""
        deploy = self.services[service]["deploy"]
        if deploy["mode"] == "global":
            return sum(node.usable for node in nodes)
        return int(deploy["replicas"])

    def ends(self, service: str) -> bool:
        """Return whether containers of a service may end by themselves."""
        condition = self.services[service]["deploy"]["restart_policy"]["condition"]
        return str(condition) in ("none", "on-failure")


def wanted_stack(
    lab: Lab,
    images: Mapping[str, str],
    versions: Sequence[Version],
    *,
    dnsrr: bool,
    pinned: bool,
) -> WantedStack:
    """Return the lab as a stack of images. ``pinned``: each service stays on the node of its
    machine.
    """
    plain = stack(lab, images, dnsrr=dnsrr, read=lambda _: b"")
    shape = deepcopy(dict(plain.shape))
    names: dict[tuple[str, str], str] = {(each.kind, each.name): each.full for each in versions}
    for kind in KINDS:
        if f"{kind}s" in shape:
            shape[f"{kind}s"] = {
                name: {"external": True, "name": names[kind, name]} for name in shape[f"{kind}s"]
            }
    machines = {service.family: service.machine for service in lab.services}
    for name, service in shape["services"].items():
        deploy = service["deploy"]
        if pinned and deploy["mode"] != "global":
            deploy.setdefault("placement", {"constraints": [f"{MACHINE}{machines[name]}"]})
        _mark(lab, service, names)
    notes = [note for note in plain.notes if not (pinned and note.startswith("placement:"))]
    delays = {service.family: service.update_delay for service in lab.services}
    return WantedStack(shape, versions, notes, shape["services"], delays)


def _mark(lab: Lab, service: Shape, names: Mapping[tuple[str, str], str]) -> None:
    """Label a service by what it consists of."""
    files = [
        names[kind, reference["source"]]
        for kind in KINDS
        for reference in service.get(f"{kind}s", ())
    ]
    deploy = {key: value for key, value in service["deploy"].items() if key not in OF_SERVICE}
    version = short(digest([{**service, "deploy": deploy}, files]))
    settings = short(digest({key: value for key, value in service.items() if key != "image"}))
    service["labels"] = {**service.get("labels", {}), VERSION: version}
    service["deploy"]["labels"] = {LAB: lab.name, VERSION: version, SETTINGS: settings}


def unlabelled(wanted: WantedStack, nodes: Sequence[SwarmNode]) -> Sequence[str]:
    """Return the machines whose place no usable node takes."""
    needed = {
        constraint.removeprefix(MACHINE)
        for service in wanted.services.values()
        for constraint in service["deploy"].get("placement", {}).get("constraints", ())
        if constraint.startswith(MACHINE)
    }
    return sorted(needed - {node.labels.get("machine", "") for node in nodes if node.usable})


def service_changes(
    wanted: WantedStack, existing: Iterable[SwarmService], files: Sequence[DeployedFile]
) -> Sequence[DeployedService]:
    """Return what becomes of each service: those of the lab first, then those that go."""
    before = {service.name: service for service in existing}
    rotated = {(file.kind, file.name) for file in files if file.change in ("new", "changed")}
    found = [
        _service_change(wanted, name, before.pop(name, None), rotated) for name in wanted.services
    ]
    gone = [
        DeployedService(name, "removed", (), None, service.image)
        for name, service in sorted(before.items())
    ]
    return [*found, *gone]


def _service_change(
    wanted: WantedStack,
    name: str,
    before: SwarmService | None,
    rotated: set[tuple[Any, str]],
) -> DeployedService:
    image = str(wanted.services[name]["image"])
    if before is None:
        return DeployedService(name, "new", (), image, None)
    same = {key: before.labels.get(key) == wanted.label(name, key) for key in (VERSION, SETTINGS)}
    if all(same.values()) and before.image == image:
        return DeployedService(name, "same", (), image, before.image)
    why = [] if before.image == image else ["image"]
    why += [] if same[SETTINGS] else ["settings"]
    why += [
        f"{kind} {reference['source']}"
        for kind in KINDS
        for reference in wanted.services[name].get(f"{kind}s", ())
        if (kind, reference["source"]) in rotated
    ]
    return DeployedService(name, "changed", tuple(why), image, before.image)


def file_changes(wanted: WantedStack, existing: Sequence[SwarmFile]) -> Sequence[DeployedFile]:
    """Return what becomes of each secret and config."""
    there = {(file.kind, file.name) for file in existing}
    known = {(file.kind, file.labels.get(FILE, "")) for file in existing}
    kept = {(each.kind, each.name) for each in wanted.versions}

    def changes() -> Iterator[DeployedFile]:
        for each in wanted.versions:
            change: Change = "changed" if (each.kind, each.name) in known else "new"
            same = (each.kind, each.full) in there
            yield DeployedFile(each.kind, each.name, "same" if same else change)
        for kind, name in sorted(known - kept):
            if name:
                yield DeployedFile(kind, name, "removed")

    return list(changes())
