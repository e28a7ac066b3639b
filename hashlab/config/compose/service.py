"""Read one service of the Compose file; make a Service of it once no problem is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hashlab.config.compose import (
    engine_rules,
    keys,
    mounts,
    networks,
    running,
    secret_files,
    sharing,
)
from hashlab.config.compose import host_settings as host
from hashlab.config.compose.debugger import DEBUG_LABEL, debugger_of
from hashlab.config.compose.environment import (
    env_file,
    environment,
    label_file,
    merged,
    read_env_files,
)
from hashlab.config.compose.host_settings import unless_blank
from hashlab.config.compose.image import build, image
from hashlab.config.compose.ports import expose, ports
from hashlab.config.compose.scalars import boolean, command, cpus, duration, integer, size, texts
from hashlab.config.model import (
    BindMount,
    Content,
    CopyName,
    FileMount,
    Limits,
    MachineMount,
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
    strings,
    table,
    text,
)

_profile = matching(
    r"[a-zA-Z0-9][a-zA-Z0-9_.-]*",
    "'{value}' is not a valid profile name",
    "Use letters and digits.",
)
# As Docker Engine takes them: '_' is not in the standard, but common.
_hostname = matching(
    r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?",
    "'{value}' is not a valid host name",
    "Use letters, digits, '-' and '_'.",
)

_engine_name = matching(
    r"[a-zA-Z0-9][a-zA-Z0-9_.-]+",
    "'{value}' is not a valid name of a container",
    "Use letters, digits, '_', '.' and '-', at least 2 characters.",
)


def _container_name(node: Node, context: Context) -> str:
    name = _engine_name(node, context)
    message = "hashlab names containers; 'container_name' is a further name of the service"
    context.report.note(node.key_line, message)
    return name


def _labels(node: Node, context: Context) -> tuple[tuple[str, str], ...]:
    labels = texts(node, context)
    _check_labels(dict(labels), node.key_line, context)
    return labels


def _check_labels(labels: Iterable[str], line: int, context: Context) -> None:
    if any(name.startswith("hashlab.") and name != DEBUG_LABEL for name in labels):
        message = "labels that begin with 'hashlab.' are hashlab's own"
        context.report.add(line, message, "Use another prefix.")


def resolved(_node: Node, _context: Context) -> None:
    """Read a key that ``loading`` has acted on already: include, extends."""


SERVICE_KEYS = Table(
    noun="a service",
    readers={
        "image": image,
        "build": build,
        "command": command,
        "entrypoint": command,
        "environment": environment,
        "env_file": env_file,
        "extends": resolved,
        "ports": ports,
        "expose": expose,
        "volumes": mounts.volumes,
        "volumes_from": sharing.volumes_from,
        "tmpfs": mounts.tmpfs,
        "secrets": secret_files.secrets,
        "configs": secret_files.configs,
        "healthcheck": running.healthcheck,
        "depends_on": running.depends_on,
        "deploy": table(running.DEPLOY_KEYS),
        "develop": table(running.DEVELOP_KEYS),
        "restart": unless_blank(running.restart),
        "user": unless_blank(engine_rules.user),
        "working_dir": unless_blank(engine_rules.working_dir),
        "labels": _labels,
        "label_file": label_file,
        "init": boolean,
        "stop_signal": unless_blank(engine_rules.stop_signal),
        "stop_grace_period": duration,
        "cap_add": engine_rules.capabilities,
        "cap_drop": engine_rules.capabilities,
        "read_only": boolean,
        "security_opt": engine_rules.security_opt,
        "pids_limit": integer(low=-1),
        "ulimits": running.ulimits,
        "sysctls": engine_rules.sysctls,
        "extra_hosts": running.extra_hosts,
        "hostname": unless_blank(_hostname),
        "profiles": list_of(_profile, "a list of profiles"),
        "annotations": texts,
        "blkio_config": host.block_io,
        "cgroup": unless_blank(host.namespace("host", "private")),
        "cgroup_parent": unless_blank(text),
        "container_name": unless_blank(_container_name),
        "cpu_period": integer(low=0),
        "cpu_quota": integer(low=-1),
        "cpu_shares": integer(low=0),
        "cpus": cpus,
        "cpuset": unless_blank(host.cpuset),
        "device_cgroup_rules": strings,
        "devices": host.devices,
        "dns": host.dns,
        "dns_opt": strings,
        "dns_search": host.dns_search,
        "domainname": unless_blank(_hostname),
        "group_add": host.groups,
        "links": networks.links,
        "external_links": networks.external_links,
        "mac_address": unless_blank(networks.mac_address),
        "network_mode": unless_blank(networks.network_mode),
        "networks": networks.attachments,
        "ipc": unless_blank(host.namespace("service:", "host", "private", "shareable", "none")),
        "mem_limit": engine_rules.memory,
        "mem_reservation": engine_rules.memory,
        "mem_swappiness": integer(low=0, high=100),
        "memswap_limit": host.swap_limit,
        "oom_kill_disable": boolean,
        "oom_score_adj": integer(low=-1000, high=1000),
        "pid": unless_blank(host.namespace("service:", "host")),
        "platform": host.platform,
        "post_start": running.hooks,
        "pre_start": running.steps,
        "pre_stop": running.hooks,
        "privileged": boolean,
        "runtime": unless_blank(host.runtime),
        "scale": integer(low=1, high=100),
        "shm_size": size,
        "stdin_open": boolean,
        "tty": boolean,
        "userns_mode": unless_blank(host.namespace("host")),
        "uts": unless_blank(host.namespace("host")),
    },
    others=keys.SERVICE,
    expected="a mapping with image or build",
)

_AS_THEY_ARE = (
    "build", "command", "entrypoint", "expose", "healthcheck", "user", "working_dir",
    "labels", "label_file", "debugger", "init", "stop_signal", "stop_grace_period", "cap_add",
    "cap_drop", "read_only",
    "security_opt", "seccomp", "ulimits", "sysctls", "extra_hosts", "hostname", "tty", "stdin_open",
    "privileged", "annotations", "blkio_config", "cgroup", "cgroup_parent", "cpu_period",
    "cpu_quota", "cpu_shares", "cpuset", "device_cgroup_rules", "devices", "dns", "dns_opt",
    "dns_search", "domainname", "group_add", "ipc", "mem_swappiness",
    "memswap_limit", "oom_kill_disable", "oom_score_adj", "pid", "post_start",
    "pre_start", "pre_stop", "runtime", "shm_size",
    "userns_mode", "uts", "container_name", "mac_address",
)  # fmt: skip


def read_service(node: Node, context: Context) -> Draft:
    """Read a service, the files it names and the dependencies that other keys imply included.

    In one that no selected profile has, problems are notes: Compose does not run it either.
    """
    if _is_inactive(node, context):
        context = context._replace(report=context.report.of_inactive())
    draft = table(SERVICE_KEYS)(node, context)
    if also := networks.implied(draft):
        draft = draft.filled(depends_on=(*draft.get("depends_on", ()), *also))
    if labelled := draft.get("label_file", ()):
        labels = {**dict(read_env_files(labelled, (), context)), **dict(draft.get("labels", ()))}
        _check_labels(labels, draft.line_of("label_file"), context)
        paths = tuple(str(file.path) for file in labelled)
        draft = draft.filled(labels=tuple(labels.items()), label_file=paths)
    if debugger := debugger_of(draft, (entry.value for entry in watches(draft)), context):
        draft = draft.filled(debugger=debugger)
    options, line = draft.get("security_opt", ()), draft.line_of("security_opt")
    if profile := engine_rules.seccomp_profile(options, line, context):
        draft = draft.filled(seccomp=profile)
    files, own = draft.get("env_file", ()), draft.get("environment", ())
    return draft.filled(env_file=read_env_files(files, own, context)) if files else draft


def _is_inactive(node: Node, context: Context) -> bool:
    profiles = node.value.get("profiles") if isinstance(node.value, dict) else None
    if profiles is None or not isinstance(profiles.value, list):
        return False
    own = tuple(item.value for item in profiles.value)
    return not is_active(Draft(values={"profiles": own}), selected_profiles(context.environ))


def image_name(lab: str, name: str, draft: Draft) -> str:
    """Return the image of a service: the name it gives, or LAB-SERVICE for an image built here.

    Service names may have capitals, names of images may not.
    """
    return str(draft.get("image") or f"{lab}-{name}".lower())


def watches(draft: Draft) -> tuple[At[Watch], ...]:
    """Return the valid watch entries of a service."""
    entries = draft.get("develop", Draft()).get("watch", ())
    return tuple(entry for entry in entries if entry.value is not None)


def conditions(draft: Draft) -> tuple[At[running.Condition], ...]:
    """Return the constraints of a service on its machine."""
    written = under_deploy(draft, "placement.constraints") or ()
    return tuple(At(at.value, at.line) for at in written if at.value is not None)


def is_global(draft: Draft) -> bool:
    """Return whether a service runs once on each machine (``mode: global``)."""
    return bool(under_deploy(draft, "mode") == "global")


def most_of_a_machine(draft: Draft) -> int:
    """Return how many replicas of a service may run on one machine; 0: any number."""
    return int(under_deploy(draft, "placement.max_replicas_per_node") or 0)


def on_several(draft: Draft) -> bool:
    """Return whether a service runs on several machines: it is global, or has replicas that the
    file spreads or limits in number per machine. Replicas without a word on that stay together.
    """
    preferred = under_deploy(draft, "placement.preferences")
    spreads = bool(preferred or most_of_a_machine(draft))
    return is_global(draft) or (spreads and replicas(draft) > 1)


# Keys of version 2 and the keys of deploy that say the same.
OLD_KEYS = {
    "scale": "replicas",
    "cpus": "resources.limits.cpus",
    "mem_limit": "resources.limits.memory",
    "pids_limit": "resources.limits.pids",
    "mem_reservation": "resources.reservations.memory",
}


def under_deploy(draft: Draft, path: str) -> Any:
    """Return the value of a key below deploy such as resources.limits.cpus; None if not set."""
    *parents, key = path.split(".")
    mapping: Draft = draft.get("deploy", Draft())
    for parent in parents:
        mapping = mapping.get(parent, Draft())
    return mapping.get(key)


def either_form(draft: Draft, key: str) -> Any:
    """Return the value of one of OLD_KEYS or of its new form; None if neither is set."""
    new = under_deploy(draft, OLD_KEYS[key])
    return draft.get(key) if new is None else new


def replicas(draft: Draft) -> int:
    """Return how many containers a service has: as many as a person asked for, or as the file
    says.
    """
    return int(draft.get("scaled") or either_form(draft, "scale") or 1)


PROFILES_VARIABLE = "COMPOSE_PROFILES"


def selected_profiles(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the profiles that the variables select, separated by commas."""
    words = environ.get(PROFILES_VARIABLE, "").split(",")
    return frozenset(word.strip() for word in words if word.strip())


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
    files: Mapping[str, Mapping[str, Path | Content]],
) -> Service:
    """Return the service of a draft without problems. ``files``: what secrets and configs consist
    of, by name.
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
        mem_reservation=either_form(draft, "mem_reservation") or 0,
        parallelism=_parallelism(draft),
        update_delay=under_deploy(draft, "update_config.delay") or 0,
        rollback=under_deploy(draft, "update_config.failure_action") == "rollback",
        restart=under_deploy(draft, "restart_policy") or draft.get("restart") or "no",
        networks=tuple(at.value for at in networks.placed_on(draft)),
        network_mode=draft.get("network_mode") or "",
        volumes_from=tuple(at.value for at in draft.get("volumes_from", ())),
        links=(
            *(at.value for at in draft.get("links", ()) if at.value.service in active),
            *draft.get("external_links", ()),
        ),
        watch=tuple(entry.value for entry in watches(draft)),
        **_mounts(draft),
        **draft.pick(*_AS_THEY_ARE),
    )


def spread(
    services: Iterable[Service], everywhere: Mapping[str, Mapping[str, int]]
) -> tuple[Service, ...]:
    """Put a copy of each service on several machines, SERVICE.MACHINE, on each of its machines.

    ``everywhere``: the number of replicas on each machine of such a service. Its name leads to all
    copies, and services that depend on it depend on each copy.
    """
    copies: list[Service] = []
    for service in services:
        depends_on = tuple(
            replace(dependency, service=name)
            for dependency in service.depends_on
            for name in _copies(dependency.service, everywhere)
        )
        placed = replace(service, depends_on=depends_on)
        if service.name not in everywhere:
            copies.append(placed)
        for machine, count in everywhere.get(service.name, {}).items():
            aliases = (*service.aliases, service.name)
            name = str(CopyName(service.name, machine))
            own = replace(placed, name=name, machine=machine, aliases=aliases, replicas=count)
            own = replace(own, copy_of=service.name)
            copies.append(_sharing_on(own, machine))
    return tuple(copies)


def _sharing_on(service: Service, machine: str) -> Service:
    """Return the copy of a service that shares with the copies of others on its machine."""

    def there(mode: str) -> str:
        kind, colon, name = mode.partition(":")
        return f"service:{CopyName(name, machine)}" if kind == "service" and colon else mode

    sources = (each.partition(":") for each in service.volumes_from)
    return replace(
        service,
        network_mode=there(service.network_mode),
        ipc=there(service.ipc),
        pid=there(service.pid),
        volumes_from=tuple(
            f"{CopyName(name, machine)}{colon}{mode}" for name, colon, mode in sources
        ),
    )


def _copies(service: str, everywhere: Mapping[str, Mapping[str, int]]) -> list[str]:
    if service not in everywhere:
        return [service]
    return [str(CopyName(service, machine)) for machine in everywhere[service]]


def _parallelism(draft: Draft) -> int:
    """Return how many replicas are replaced at once; 0: all of them."""
    written = under_deploy(draft, "update_config.parallelism")
    return 1 if written is None else int(written)


def _limits(draft: Draft) -> Limits:
    """Return the limits of a service. 0 sets no limit, nor does -1 for processes."""
    pids = either_form(draft, "pids_limit") or 0
    return Limits(
        cpus=either_form(draft, "cpus") or None,
        memory=either_form(draft, "mem_limit") or None,
        pids=pids if pids > 0 else None,
    )


def _mounts(draft: Draft) -> dict[str, Any]:
    mounted = [at.value for key in ("tmpfs", "volumes") for at in draft.get(key, ())]
    kinds = {
        "binds": BindMount,
        "machine_mounts": MachineMount,
        "volumes": VolumeMount,
        "tmpfs": TmpfsMount,
    }
    return {
        field: tuple(mount for mount in mounted if isinstance(mount, kind))
        for field, kind in kinds.items()
    }


def _files(
    draft: Draft, files: Mapping[str, Mapping[str, Path | Content]]
) -> tuple[FileMount, ...]:
    return tuple(
        FileMount(
            name=reference.name,
            source=files[kind][reference.name],
            target=reference.target,
            mode=reference.mode,
            secret=kind == "secrets",
            uid=reference.uid,
            gid=reference.gid,
        )
        for kind in ("secrets", "configs")
        for reference, _ in draft.get(kind, ())
    )
