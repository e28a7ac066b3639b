"""Check each service by itself: its image, mounts, ports and watch rules must fit together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from hashlab.config.compose.secret_files import source_of
from hashlab.config.compose.service import (
    OLD_KEYS,
    either_form,
    most_of_a_machine,
    replicas,
    under_deploy,
    watches,
)
from hashlab.config.model import BindMount, VolumeMount, Watch
from hashlab.config.readers import Draft
from hashlab.config.report import Report, suggestion


def check_service(
    name: str, service: Draft, compose: Draft, report: Report, *, fronted: bool = False
) -> None:
    """Report what is wrong within one service, and names that the file does not declare.
    ``fronted``: a front publishes its ports.
    """
    if not (service.has("image") or service.has("build")):
        hint = "Write image: NAME or build: FOLDER."
        report.add(service.line, f"service '{name}' has neither image nor build", hint)
    if not fronted:
        _check_replicas(name, service, report)
    _check_old_keys(service, report)
    _check_processor(service, report)
    _check_swap(service, report)
    _check_container_name(name, service, report)
    _check_declared(service, compose, report)
    _check_targets(name, service, report)
    for entry in watches(service):
        _check_watch(entry.value, entry.line, name, service, report)


def _check_replicas(name: str, service: Draft, report: Report) -> None:
    count = replicas(service)
    for port, line in service.get("ports", ()):
        if count > 1 and most_of_a_machine(service) != 1 and port.published is not None:
            message = f"{count} replicas of '{name}' cannot all publish port {port.published}"
            hint = (
                f'Write "{port.target}" to let the engine choose, replicas: 1, deploy: '
                "{placement: {max_replicas_per_node: 1}}, or in hashlab.toml "
                f"[services.{name}] front = true."
            )
            report.add(line, message, hint)


def _check_old_keys(service: Draft, report: Report) -> None:
    """Report a key of version 2 that contradicts the key of deploy with the same meaning."""
    for key, path in OLD_KEYS.items():
        old, new = service.get(key), under_deploy(service, path)
        if old is not None and new is not None and old != new:
            message = f"{key} is {old}, but deploy.{path} is {new}"
            report.add(service.line_of(key), message, "Keep one of the two.")


def _check_processor(service: Draft, report: Report) -> None:
    """Report two ways to limit the time on the processor, which the engine refuses together."""
    other = next((key for key in ("cpu_period", "cpu_quota") if service.get(key)), None)
    if other and either_form(service, "cpus"):
        message = f"{other} and a limit in 'cpus' exclude each other"
        report.add(service.line_of(other), message, "Keep one of the two.")


def _check_swap(service: Draft, report: Report) -> None:
    """Report a limit of memory with swap that the engine refuses."""
    swap, limit = service.get("memswap_limit", 0), either_form(service, "mem_limit") or 0
    if swap and not limit:
        hint = "Write mem_limit too: memswap_limit is memory and swap together."
        report.add(service.line_of("memswap_limit"), "memswap_limit needs a limit of memory", hint)
    elif 0 < swap < limit:
        message = "memswap_limit, memory and swap together, is below the limit of memory"
        report.add(service.line_of("memswap_limit"), message, "Raise it, or write -1.")


def _check_container_name(name: str, service: Draft, report: Report) -> None:
    own = service.get("container_name")
    if own and replicas(service) > 1:
        message = f"{replicas(service)} replicas of '{name}' cannot all be called '{own}'"
        report.add(service.line_of("container_name"), message, "Remove container_name.")


def _check_declared(service: Draft, compose: Draft, report: Report) -> None:
    for kind, name, line in _names_used(service):
        declared = compose.get(kind, {})
        if name not in declared and (not compose.has(kind) or declared):
            otherwise = f"Add it under {kind}: at the top level."
            hint = suggestion(name, list(declared), otherwise=otherwise)
            report.add(line, f"unknown {kind[:-1]} '{name}'", hint)
        elif name in declared:
            _check_variable(kind, name, declared[name], report)


def _check_variable(kind: str, name: str, declared: Draft, report: Report) -> None:
    """Report a secret or config in use whose variable is not set."""
    named = declared.has("environment") and not declared.flawed("environment")
    if named and source_of(declared) is None:
        message = f"the variable of {kind[:-1]} '{name}' is not set"
        report.add(declared.line_of("environment"), message, "Set it, or write it into .env.")


def _names_used(service: Draft) -> Iterator[tuple[str, str, int]]:
    for mount, line in service.get("volumes", ()):
        if isinstance(mount, VolumeMount) and mount.volume:
            yield "volumes", mount.volume, line
    for kind in ("secrets", "configs"):
        for reference, line in service.get(kind, ()):
            if reference.name:
                yield kind, reference.name, line
    build = service.get("build")
    for _, name in build.secrets if build else ():
        yield "secrets", name, service.line_of("build")


def _check_targets(name: str, service: Draft, report: Report) -> None:
    seen: dict[str, int] = {}
    for kind in ("volumes", "tmpfs", "secrets", "configs"):
        for mount, line in service.get(kind, ()):
            first = seen.get(mount.target)
            seen.setdefault(mount.target, line)
            if first is not None:
                message = f"service '{name}' mounts {mount.target} twice (first in line {first})"
                report.add(line, message, "Give each mount its own path.")


def _check_watch(watch: Watch, line: int, name: str, service: Draft, report: Report) -> None:
    if watch.action == "rebuild":
        if not service.has("build"):
            hint = "Write build, or action: sync+restart."
            report.add(line, f"service '{name}' has no build, so it cannot be rebuilt", hint)
        return
    if not watch.synchronises:
        return
    mounts = [mount for mount, _ in service.get("volumes", ())]
    binds = [mount for mount in mounts if isinstance(mount, BindMount)]
    if not watch.target and not any(watch.path.is_relative_to(bind.source) for bind in binds):
        message = (
            f"the watched '{watch.path.name}' has no target, and no mount of '{name}' shows it"
        )
        report.add(line, message, "Write target: the folder in the container to copy it to.")
    shown = [b.place(watch.path) for b in binds if watch.path.is_relative_to(b.source)]
    if watch.action == "sync+exec" and watch.target in ("", *shown):
        message = f"'{watch.path.name}' is mounted at the target, and sync+exec copies files"
        report.add(line, message, "Remove the mount, or write another action.")
    tmpfs = [mount.target for mount, _ in service.get("tmpfs", ())]
    over = next((path for path in tmpfs if PurePosixPath(watch.target).is_relative_to(path)), None)
    if watch.target and over:
        message = f"the target {watch.target} is on the tmpfs {over}, which is empty at each start"
        report.add(line, message, "Choose a target outside of it.")
