"""protocols.Swarm in memory: services get new tasks at once, and fail as a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from fakes.faults import Faults
from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import (
    FileKind,
    Shell,
    Swarm,
    SwarmFile,
    SwarmNode,
    SwarmService,
    SwarmTask,
)


@dataclass
class FakeSwarm:
    """One Swarm with one stack. ``broken``: the error of each new task of a service, by its name;
    ``pending``: services that no node takes; ``busy``: how often the network of a removed stack is
    still in use.
    """

    faults: Faults
    all_nodes: list[SwarmNode] = field(default_factory=list)
    all_services: dict[str, SwarmService] = field(default_factory=dict)
    all_tasks: dict[str, list[SwarmTask]] = field(default_factory=dict)
    all_files: list[SwarmFile] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    places: list[object] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    credentials: list[bool] = field(default_factory=list)
    busy: int = 0
    _before: dict[str, SwarmService] = field(default_factory=dict)
    _count: int = 0

    def open(self, place: str | Shell, cancel: CancelToken) -> Swarm:
        """protocols.OpenSwarm."""
        cancel.check()
        self.places.append(place)
        return self

    def nodes(self) -> Sequence[SwarmNode]:
        with self.faults.call("swarm.nodes"):
            return list(self.all_nodes)

    def label(self, node: SwarmNode, labels: Mapping[str, str]) -> None:
        with self.faults.call("swarm.label", node.hostname, changes=True):
            at = self.all_nodes.index(node)
            self.all_nodes[at] = replace(node, labels={**node.labels, **labels})

    def services(self, stack: str) -> Sequence[SwarmService]:
        with self.faults.call("swarm.services", stack):
            return list(self.all_services.values())

    def tasks(self, stack: str) -> Sequence[SwarmTask]:
        with self.faults.call("swarm.tasks", stack):
            return [task for tasks in self.all_tasks.values() for task in tasks]

    def files(self, stack: str) -> Sequence[SwarmFile]:
        with self.faults.call("swarm.files", stack):
            return list(self.all_files)

    def add_file(
        self, stack: str, name: str, kind: FileKind, data: bytes, labels: Mapping[str, str]
    ) -> None:
        with self.faults.call("swarm.add_file", name, changes=True):
            assert name not in self.contents, "a Swarm refuses a second object of a name"
            self.contents[name] = data
            self.all_files.append(SwarmFile(f"id-{name}", name, kind, labels))

    def remove_files(self, files: Sequence[SwarmFile]) -> None:
        with self.faults.call("swarm.remove_files", *files, changes=True):
            used = {name for service in self.all_services.values() for name in service.files}
            for file in files:
                if file.name in used:
                    raise LabError(f"{file.name} is in use by a service")
                self.all_files.remove(file)
                del self.contents[file.name]

    def deploy(self, stack: str, text: str, *, with_credentials: bool) -> None:
        with self.faults.call("swarm.deploy", stack, changes=True):
            self.texts.append(text)
            self.credentials.append(with_credentials)
            shape = yaml.safe_load(text)
            for gone in set(self.all_services) - set(shape["services"]):
                del self.all_services[gone], self.all_tasks[gone]
            for name, service in shape["services"].items():
                self._update(name, service, shape)

    def _update(self, name: str, shape: Any, whole: Any) -> None:
        before = self.all_services.get(name)
        kept = before.files if before else frozenset()
        deploy = shape["deploy"]
        files = {
            whole[kind][reference["source"]]["name"]
            for kind in ("secrets", "configs")
            for reference in shape.get(kind, ())
        }
        assert files <= self.contents.keys(), "a service needs its secrets and configs"
        after = SwarmService(
            id=f"id-{name}",
            name=name,
            labels=deploy["labels"],
            image=shape["image"],
            replicas=None if deploy["mode"] == "global" else deploy["replicas"],
            files=frozenset(files) | kept,
        )
        self.all_services[name] = after
        if before and before.labels == after.labels:
            return
        if before:
            self._before[name] = before
        self._start(after, shape["labels"], back_to=before)

    def _start(
        self, service: SwarmService, labels: Mapping[str, str], *, back_to: SwarmService | None
    ) -> None:
        tasks = self.all_tasks.setdefault(service.name, [])
        error = self.broken.get(service.name, "")
        state = "failed" if error else "pending" if service.name in self.pending else "running"
        wanted = "shutdown" if error else "running"
        count = len(self.all_nodes) if service.replicas is None else service.replicas
        if state == "running":
            tasks.clear()
        for _ in range(count):
            self._count += 1
            node = self.all_nodes[0].id if state != "pending" else ""
            why = error or ("no suitable node" if state == "pending" else "")
            made = f"task-{self._count}", service.id, node, labels, state, wanted, why
            tasks.append(SwarmTask(*made, at=f"{self._count:05}"))
        if error and back_to:
            self.all_services[service.name] = replace(back_to, update="rollback_completed")

    def roll_back(self, service: SwarmService) -> None:
        with self.faults.call("swarm.roll_back", service.name, changes=True):
            back = self._before[service.name]
            self.all_services[service.name] = replace(back, update="rollback_completed")

    def logs(self, task: SwarmTask, lines: int) -> str:
        with self.faults.call("swarm.logs", task.id):
            return f"{task.id} said: cannot start\n" if task.node else ""

    def remove(self, stack: str) -> bool:
        with self.faults.call("swarm.remove", stack, changes=bool(self.all_services)):
            left = bool(self.all_services or self.all_files)
            self.all_services.clear()
            self.all_tasks.clear()
            self.all_files.clear()
            self.busy -= 1
            return not left and self.busy < 0
