"""A Docker Swarm through Docker's own client, on the laptop or on a manager.

The client knows contexts, certificates, SSH and credentials, and it alone reads a stack's file.
Contents of secrets and configs reach it on its input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hashlab.errors import LabError
from hashlab.pipeline import CancelToken
from hashlab.protocols import (
    Completed,
    FileKind,
    Runner,
    Shell,
    SwarmFile,
    SwarmNode,
    SwarmService,
    SwarmTask,
)

CLIENT_SECONDS = 60.0
NAMESPACE = "com.docker.stack.namespace"
KINDS: tuple[FileKind, ...] = ("secret", "config")
# How the client says that something has gone in the meantime.
GONE = ("no such", "not found")
# How it says that a network still has tasks that end.
BUSY = ("in use", "failed to remove network")
Client = Callable[[Sequence[str], bytes], Completed]
Shape = Mapping[str, Any]


def open_swarm(place: str | Shell, runner: Runner, cancel: CancelToken) -> SwarmClient:
    """Return the Swarm behind a Docker context ("" for that of the user's environment), or behind
    the shell of a manager.
    """
    if not isinstance(place, str):
        shell = place
        return SwarmClient(
            lambda argv, stdin: shell.run(["docker", *argv], stdin=stdin, timeout=CLIENT_SECONDS)
        )
    context = ("--context", place) if place else ()

    def client(argv: Sequence[str], stdin: bytes) -> Completed:
        return runner.run(
            ["docker", *context, *argv],
            stdin=stdin.decode(errors="surrogateescape"),
            timeout=CLIENT_SECONDS,
            cancel=cancel,
            # Contexts and credentials are those of the user.
            users=True,
        )

    return SwarmClient(client)


class SwarmClient:
    """See protocols.Swarm."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def nodes(self) -> Sequence[SwarmNode]:
        """See protocols.Swarm."""
        state = json.loads(self._run("info", "--format", "{{json .Swarm}}"))
        if not (state or {}).get("ControlAvailable"):
            raise LabError(
                "this Docker Engine does not manage a Swarm",
                next_step="--context NAME of a manager; docker context ls lists them",
            )
        ids = self._run("node", "ls", "--quiet").split()
        return [_node(shape) for shape in self._inspect("node", ids)]

    def label(self, node: SwarmNode, labels: Mapping[str, str]) -> None:
        """See protocols.Swarm."""
        added = [word for pair in labels.items() for word in ("--label-add", "=".join(pair))]
        self._run("node", "update", *added, node.id)

    def services(self, stack: str) -> Sequence[SwarmService]:
        """See protocols.Swarm."""
        ids = self._list("service", stack)
        return [_service(shape, stack) for shape in self._inspect("service", ids)]

    def tasks(self, stack: str) -> Sequence[SwarmTask]:
        """See protocols.Swarm."""
        done = self._client(["stack", "ps", "--quiet", "--no-trunc", stack], b"")
        if done.code and "nothing found" in done.stderr.lower():
            return []
        ids = self._checked(done, "stack ps").split()
        return [_task(shape) for shape in self._inspect("task", ids)]

    def files(self, stack: str) -> Sequence[SwarmFile]:
        """See protocols.Swarm."""
        return [
            SwarmFile(shape["ID"], shape["Spec"]["Name"], kind, _labels(shape["Spec"]))
            for kind in KINDS
            for shape in self._inspect(kind, self._list(kind, stack))
        ]

    def add_file(
        self, stack: str, name: str, kind: FileKind, data: bytes, labels: Mapping[str, str]
    ) -> None:
        """See protocols.Swarm."""
        every = {NAMESPACE: stack, **labels}
        flags = [word for pair in every.items() for word in ("--label", "=".join(pair))]
        self._run(kind, "create", *flags, name, "-", stdin=data)

    def remove_files(self, files: Sequence[SwarmFile]) -> None:
        """See protocols.Swarm."""
        for kind in KINDS:
            ids = [file.id for file in files if file.kind == kind]
            if ids:
                self._run(kind, "rm", *ids)

    def deploy(self, stack: str, text: str, *, with_credentials: bool) -> None:
        """See protocols.Swarm."""
        flags = ["--prune", "--resolve-image", "never"]
        flags += ["--with-registry-auth"] if with_credentials else []
        self._run("stack", "deploy", *flags, "--compose-file", "-", stack, stdin=text.encode())

    def roll_back(self, service: SwarmService) -> None:
        """See protocols.Swarm."""
        self._run("service", "rollback", "--detach", service.id)

    def logs(self, task: SwarmTask, lines: int) -> str:
        """See protocols.Swarm."""
        done = self._client(
            ["service", "logs", "--raw", "--no-trunc", "--tail", str(lines), task.id], b""
        )
        # Containers print to both streams; a task that never had a container has no logs.
        return "" if done.code else done.stdout + done.stderr

    def remove(self, stack: str) -> bool:
        """See protocols.Swarm."""
        if not any(self._list(kind, stack) for kind in ("service", *KINDS, "network")):
            return not self.tasks(stack)
        done = self._client(["stack", "rm", stack], b"")
        if done.code and not any(word in done.stderr.lower() for word in (*GONE, *BUSY)):
            self._checked(done, "stack rm")
        return False

    def _list(self, kind: str, stack: str) -> list[str]:
        return self._run(kind, "ls", "--quiet", "--filter", f"label={NAMESPACE}={stack}").split()

    def _inspect(self, kind: str, ids: Sequence[str]) -> Iterator[Shape]:
        """Yield what the Swarm knows of each; of those that have gone since they were listed,
        nothing.
        """
        if not ids:
            return
        # Only the general command knows tasks, and in older clients it does not know configs.
        command = ["inspect", "--type", "task"] if kind == "task" else [kind, "inspect"]
        done = self._client([*command, *ids], b"")
        if done.code and not any(word in done.stderr.lower() for word in GONE):
            self._checked(done, f"{kind} inspect")
        yield from json.loads(done.stdout or "[]")

    def _run(self, *argv: str, stdin: bytes = b"") -> str:
        words = [word for word in argv[:2] if not word.startswith("-")]
        return self._checked(self._client(argv, stdin), " ".join(words))

    @staticmethod
    def _checked(done: Completed, command: str) -> str:
        if done.code == 0:
            return done.stdout
        raise LabError(
            f"docker {command} failed",
            output=done.stderr or done.stdout,
            next_step="docker context ls lists the engines that Docker's client knows",
        )


def _labels(spec: Shape) -> Mapping[str, str]:
    return spec.get("Labels") or {}


def _node(shape: Shape) -> SwarmNode:
    usable = shape["Status"]["State"] == "ready" and shape["Spec"]["Availability"] == "active"
    return SwarmNode(shape["ID"], shape["Description"]["Hostname"], _labels(shape["Spec"]), usable)


def _service(shape: Shape, stack: str) -> SwarmService:
    spec = shape["Spec"]
    update = shape.get("UpdateStatus") or {}
    replicated = spec["Mode"].get("Replicated")
    files = {name for each in (spec, shape.get("PreviousSpec") or {}) for name in _file_names(each)}
    return SwarmService(
        id=shape["ID"],
        name=spec["Name"].removeprefix(f"{stack}_"),
        labels=_labels(spec),
        image=spec["TaskTemplate"]["ContainerSpec"]["Image"],
        replicas=replicated.get("Replicas", 0) if replicated is not None else None,
        update=update.get("State", ""),
        message=update.get("Message", ""),
        files=frozenset(files),
    )


def _file_names(spec: Shape) -> Iterator[str]:
    container = spec.get("TaskTemplate", {}).get("ContainerSpec", {})
    for kind in ("Secret", "Config"):
        for reference in container.get(f"{kind}s") or ():
            yield reference[f"{kind}Name"]


def _task(shape: Shape) -> SwarmTask:
    status = shape["Status"]
    return SwarmTask(
        id=shape["ID"],
        service=shape["ServiceID"],
        node=shape.get("NodeID", ""),
        labels=_labels(shape["Spec"].get("ContainerSpec") or {}),
        state=status["State"],
        wanted=shape["DesiredState"],
        error=status.get("Err", ""),
        at=status.get("Timestamp", ""),
    )
