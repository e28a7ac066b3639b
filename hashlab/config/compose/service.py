"""Read one service of the Compose file; make a Service of it once no problem is left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashlab.config.compose import engine_rules, mounts, running, unsupported_keys
from hashlab.config.compose.environment import env_file, environment, merged
from hashlab.config.compose.image import build, image
from hashlab.config.compose.ports import expose, ports
from hashlab.config.compose.scalars import boolean, command, duration, integer, texts
from hashlab.config.model import (
    BindMount,
    FileMount,
    Limits,
    Service,
    TmpfsMount,
    VolumeMount,
    Watch,
)
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    At,
    Context,
    Draft,
    Table,
    list_of,
    matching,
    table,
)

_profile = matching(
    r"[a-zA-Z0-9][a-zA-Z0-9_.-]*",
    "'{value}' is not a valid profile name",
    "Use letters and digits.",
)
_hostname = matching(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?",
    "'{value}' is not a valid host name",
    "Use letters, digits and '-'.",
)


def _labels(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    labels = texts(node, context)
    if any(name.startswith("hashlab.") for name, _ in labels):
        message = "labels that begin with 'hashlab.' are hashlab's own"
        context.report.add(node.key_line, message, "Use another prefix.")
    return labels


SERVICE_KEYS = Table(
    noun="a service",
    readers={
        "image": image,
        "build": build,
        "command": command,
        "entrypoint": command,
        "environment": environment,
        "env_file": env_file,
        "ports": ports,
        "expose": expose,
        "volumes": mounts.volumes,
        "tmpfs": mounts.tmpfs,
        "secrets": mounts.secrets,
        "configs": mounts.configs,
        "healthcheck": running.healthcheck,
        "depends_on": running.depends_on,
        "deploy": table(running.DEPLOY_KEYS),
        "develop": table(running.DEVELOP_KEYS),
        "restart": running.restart,
        "user": engine_rules.user,
        "working_dir": engine_rules.working_dir,
        "labels": _labels,
        "init": boolean,
        "stop_signal": engine_rules.stop_signal,
        "stop_grace_period": duration,
        "cap_add": engine_rules.capabilities,
        "cap_drop": engine_rules.capabilities,
        "read_only": boolean,
        "security_opt": engine_rules.security_opt,
        "pids_limit": integer(low=-1),
        "ulimits": running.ulimits,
        "sysctls": engine_rules.sysctls,
        "extra_hosts": running.extra_hosts,
        "hostname": _hostname,
        "profiles": list_of(_profile, "a list of profiles"),
    },
    unsupported=unsupported_keys.SERVICE,
    expected="a mapping with image or build",
)

_AS_THEY_ARE = (
    "build", "command", "entrypoint", "expose", "healthcheck", "restart", "user", "working_dir",
    "labels", "init", "stop_signal", "stop_grace_period", "cap_add", "cap_drop", "read_only",
    "security_opt", "ulimits", "sysctls", "extra_hosts", "hostname",
)  # fmt: skip


def image_name(lab: str, name: str, draft: Draft) -> str:
    """Return the image of a service: the name it gives, or LAB-SERVICE for an image built here."""
    return str(draft.get("image") or f"{lab}-{name}")


def watches(draft: Draft) -> tuple[At[Watch], ...]:
    """Return the valid watch entries of a service."""
    entries = draft.get("develop", Draft()).get("watch", ())
    return tuple(entry for entry in entries if entry.value is not None)


def constraints(draft: Draft) -> tuple[At[str], ...]:
    """Return the machines that the constraints of a service name."""
    placement: Draft = draft.get("deploy", Draft()).get("placement", Draft())
    return tuple(placement.get("constraints", ()))


def replicas(draft: Draft) -> int:
    """Return how many containers a service has."""
    return int(draft.get("deploy", Draft()).get("replicas", 1))


def is_active(draft: Draft, profiles: frozenset[str]) -> bool:
    """Return whether a service belongs to the lab: it has no profiles, or one of ``profiles``."""
    own = draft.get("profiles", ())
    return not own or "*" in profiles or not profiles.isdisjoint(own)


def service_of(
    name: str,
    draft: Draft,
    *,
    lab: str,
    machine: str,
    active: frozenset[str],
    files: Mapping[str, Mapping[str, Path]],
) -> Service:
    """Return the service of a draft without problems. ``files``: paths of secrets and configs by
    name.
    """
    return Service(
        name=name,
        machine=machine,
        image=image_name(lab, name, draft),
        environment=merged(draft.get("env_file", ()), draft.get("environment", ())),
        ports=tuple(port.value for port in draft.get("ports", ())),
        files=_files(draft, files),
        depends_on=tuple(
            each.value for each in draft.get("depends_on", ()) if each.value.service in active
        ),
        replicas=replicas(draft),
        limits=_limits(draft),
        watch=tuple(entry.value for entry in watches(draft)),
        **_mounts(draft),
        **draft.pick(*_AS_THEY_ARE),
    )


def limits(draft: Draft) -> Draft:
    """Return deploy.resources.limits of a service; empty if it has none."""
    limits: Draft = draft.get("deploy", Draft()).get("resources", Draft()).get("limits", Draft())
    return limits


def _limits(draft: Draft) -> Limits:
    values = limits(draft).pick("cpus", "memory", "pids")
    pids = draft.get("pids_limit", 0)
    if pids > 0:  # Compose: 0 and -1 set no limit
        values.setdefault("pids", pids)
    return Limits(**values)


def _mounts(draft: Draft) -> dict[str, Any]:
    mounted = [at.value for key in ("tmpfs", "volumes") for at in draft.get(key, ())]
    kinds = {"binds": BindMount, "volumes": VolumeMount, "tmpfs": TmpfsMount}
    return {
        field: tuple(mount for mount in mounted if isinstance(mount, kind))
        for field, kind in kinds.items()
    }


def _files(draft: Draft, files: Mapping[str, Mapping[str, Path]]) -> tuple[FileMount, ...]:
    return tuple(
        FileMount(
            name=reference.name,
            source=files[kind][reference.name],
            target=reference.target,
            mode=reference.mode,
            secret=kind == "secrets",
        )
        for kind in ("secrets", "configs")
        for reference, _ in draft.get(kind, ())
    )
