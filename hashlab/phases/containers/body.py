"""Turns a service into the body of the Docker Engine API's create request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashlab.config.model import Healthcheck, Lab, Service
from hashlab.phases.upload.laptop import remote_path, secret_path
from hashlab.protocols import LAB_LABEL

SERVICE_LABEL = "hashlab.service"
BUILD_LABEL = "hashlab.build"
BUILD_VARIABLE = "HASHLAB_BUILD"
NANOSECONDS = 1_000_000_000


def container_name(lab: Lab, service: Service, replica: int) -> str:
    """Return a container's name as Compose forms it: project-service-number, counted from 1."""
    return f"{lab.name}-{service.name}-{replica}"


def container_body(
    lab: Lab, service: Service, *, build: str = "", time_factor: float = 1.0
) -> dict[str, Any]:
    """Return the create request of one replica. With ``build`` the container has its build id as a
    label and in its environment.

    ``time_factor``: how much longer its health check may take, and its interval is.
    """
    environment = dict(service.environment)
    labels = {**dict(service.labels), LAB_LABEL: lab.id, SERVICE_LABEL: service.name}
    if build:
        environment[BUILD_VARIABLE] = build
        labels[BUILD_LABEL] = build
    body: dict[str, Any] = {
        "Image": service.image,
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Labels": labels,
        "ExposedPorts": {
            **{_exposed(port): {} for port in service.expose},
            **{f"{port.target}/{port.protocol}": {} for port in service.ports},
        },
        "HostConfig": _host_config(lab, service),
        "NetworkingConfig": {"EndpointsConfig": {lab.overlay: {"Aliases": [service.name]}}},
    }
    optional = {
        "Cmd": list(service.command) if service.command is not None else None,
        "Entrypoint": list(service.entrypoint) if service.entrypoint is not None else None,
        "User": service.user or None,
        "WorkingDir": service.working_dir or None,
        "Hostname": service.hostname or None,
        "StopSignal": service.stop_signal or None,
        "StopTimeout": _whole(service.stop_grace_period),
        "Healthcheck": _healthcheck(service.healthcheck, time_factor),
    }
    return {**body, **_set(optional)}


def _host_config(lab: Lab, service: Service) -> dict[str, Any]:
    limits = service.limits
    optional = {
        "Init": service.init,
        "NanoCpus": int(limits.cpus * NANOSECONDS) if limits.cpus else None,
        "Memory": limits.memory,
        "PidsLimit": limits.pids,
        "CapAdd": list(service.cap_add) or None,
        "CapDrop": list(service.cap_drop) or None,
        "SecurityOpt": list(service.security_opt) or None,
        "ExtraHosts": list(service.extra_hosts) or None,
        "Sysctls": dict(service.sysctls) or None,
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in service.ulimits]
        or None,
        "ReadonlyRootfs": service.read_only or None,
    }
    return {
        "NetworkMode": lab.overlay,
        "Mounts": _mounts(lab, service),
        "PortBindings": _port_bindings(service),
        "RestartPolicy": _restart_policy(service.restart),
        **_set(optional),
    }


def _mounts(lab: Lab, service: Service) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {
            "Type": "bind",
            "Source": remote_path(lab, bind.source),
            "Target": bind.target,
            "ReadOnly": bind.read_only,
        }
        for bind in service.binds
    ]
    for volume in service.volumes:
        mount = {"Type": "volume", "Target": volume.target, "ReadOnly": volume.read_only}
        if volume.volume:
            mount["Source"] = f"{lab.name}_{volume.volume}"
            mount["VolumeOptions"] = {"Labels": {LAB_LABEL: lab.id}}
        mounts.append(mount)
    mounts += [
        {
            "Type": "bind",
            "Source": secret_path(lab, file),
            "Target": file.target,
            "ReadOnly": True,
        }
        for file in service.files
    ]
    for tmpfs in service.tmpfs:
        options = _set({"SizeBytes": tmpfs.size, "Mode": tmpfs.mode})
        mounts.append({"Type": "tmpfs", "Target": tmpfs.target, "TmpfsOptions": options})
    return mounts


def _port_bindings(service: Service) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in service.ports:
        published = str(port.published) if port.published is not None else ""
        entry = {"HostIp": port.host_ip, "HostPort": published}
        bindings.setdefault(f"{port.target}/{port.protocol}", []).append(entry)
    return bindings


def _restart_policy(restart: str) -> dict[str, Any]:
    name, _, count = restart.partition(":")
    policy: dict[str, Any] = {"Name": name}
    if count:
        policy["MaximumRetryCount"] = int(count)
    return policy


def _healthcheck(check: Healthcheck | None, time_factor: float) -> dict[str, Any] | None:
    if check is None:
        return None

    def scaled(seconds: float | None) -> int | None:
        return None if seconds is None else _nanoseconds(seconds * time_factor)

    return _set(
        {
            "Test": list(check.test) or None,
            "Interval": scaled(check.interval),
            "Timeout": scaled(check.timeout),
            "StartPeriod": scaled(check.start_period),
            "Retries": check.retries,
        }
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * NANOSECONDS)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else max(0, round(seconds))


def _exposed(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
