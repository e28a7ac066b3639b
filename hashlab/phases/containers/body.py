"""Turns a service into the body of the Docker Engine API's create request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashlab.config.compose.engine_rules import is_seccomp
from hashlab.config.model import (
    BindMount,
    BlockIo,
    Device,
    Healthcheck,
    Lab,
    MachineMount,
    Service,
    VolumeMount,
)
from hashlab.config.providers import HOSTS
from hashlab.phases.containers.networking import first_endpoint, namespace, network_mode
from hashlab.phases.upload.laptop import remote_path, secret_path
from hashlab.protocols import LAB_LABEL

SERVICE_LABEL = "hashlab.service"
BUILD_LABEL = "hashlab.build"
BUILD_VARIABLE = "HASHLAB_BUILD"
NANOSECONDS = 1_000_000_000
# The engines of machines that hashlab made do this by default. That of a host is not changed.
JOURNAL = {
    "Type": "journald",
    "Config": {"tag": "{{.Name}}", "labels": "hashlab.lab,hashlab.service,hashlab.build"},
}


def container_name(lab: Lab, service: Service, replica: int) -> str:
    """Return a container's name as Compose forms it: project-service-number, counted from 1."""
    return f"{lab.name}-{service.name}-{replica}"


def replica_names(lab: Lab, service: Service) -> list[str]:
    """Return the names of a service's containers."""
    return [container_name(lab, service, number) for number in range(1, service.replicas + 1)]


def container_body(
    lab: Lab,
    service: Service,
    *,
    build: str = "",
    holder: str = "",
    owners: Mapping[str, str] = {},
    time_factor: float = 1.0,
) -> dict[str, Any]:
    """Return the create request of one replica. With ``build`` the container has its build id as a
    label and in its environment.

    ``holder``: id of the container in whose network it runs; without one it has its own.
    ``owners``: ids of the containers of the services with which it shares something else;
    ``time_factor``: how much longer its health check may take, and its interval is.
    """
    joined: dict[str, Any] = {"HostConfig": {"NetworkMode": f"container:{holder}"}}
    network = joined if holder else network_body(lab, service)
    sysctls = {**network["HostConfig"].get("Sysctls", {}), **_sysctls(service, network=False)}
    environment = dict(service.environment)
    labels = {**dict(service.labels), LAB_LABEL: lab.id, SERVICE_LABEL: service.name}
    if build:
        environment[BUILD_VARIABLE] = build
        labels[BUILD_LABEL] = build
    body: dict[str, Any] = {
        "Image": service.image,
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Labels": labels,
        **network,
        "HostConfig": {
            **network["HostConfig"],
            **_host_config(lab, service),
            **_shared(service, owners),
            **({"Sysctls": sysctls} if sysctls else {}),
        },
    }
    optional = {
        "Cmd": list(service.command) if service.command is not None else None,
        "Entrypoint": list(service.entrypoint) if service.entrypoint is not None else None,
        "User": service.user or None,
        "WorkingDir": service.working_dir or None,
        "Tty": service.tty or None,
        "OpenStdin": service.stdin_open or None,
        "StopSignal": service.stop_signal or None,
        "StopTimeout": _whole(service.stop_grace_period),
        "Healthcheck": healthcheck_body(service.healthcheck, time_factor),
    }
    return {**body, **_set(optional)}


def network_body(lab: Lab, service: Service, container: str = "") -> dict[str, Any]:
    """Return the part of a create request that decides about a container's network. An engine
    accepts none of it for a container that runs in the network of another one, which has it.
    ``container``: one more name there.
    """
    settings = {name: getattr(service, field) for field, name in _NETWORK_FIELDS.items()}
    optional = {
        "ExtraHosts": list(service.extra_hosts) or None,
        "PortBindings": _port_bindings(service) or None,
        "Sysctls": _sysctls(service, network=True) or None,
    }
    names = {"Hostname": service.hostname or None, "Domainname": service.domainname or None}
    return {
        "ExposedPorts": {
            **{_exposed(port): {} for port in service.expose},
            **{f"{port.target}/{port.protocol}": {} for port in service.ports},
        },
        "HostConfig": {
            "NetworkMode": network_mode(lab, service),
            **{name: list(value) for name, value in settings.items() if value},
            **_set(optional),
        },
        "NetworkingConfig": first_endpoint(lab, service, container),
        **_set(names),
    }


def _sysctls(service: Service, *, network: bool) -> dict[str, str]:
    """Return the kernel's settings of a container's network, or its others."""
    return {key: v for key, v in service.sysctls if key.startswith("net.") is network}


_NETWORK_FIELDS = {"dns": "Dns", "dns_opt": "DnsOptions", "dns_search": "DnsSearch"}
# Fields of a service that the engine takes as they are, under its own names.
_HOST_FIELDS = {
    "annotations": "Annotations",
    "cgroup": "CgroupnsMode",
    "cgroup_parent": "CgroupParent",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "cpuset": "CpusetCpus",
    "device_cgroup_rules": "DeviceCgroupRules",
    "group_add": "GroupAdd",
    "mem_reservation": "MemoryReservation",
    "memswap_limit": "MemorySwap",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "privileged": "Privileged",
    "runtime": "Runtime",
    "shm_size": "ShmSize",
    "userns_mode": "UsernsMode",
    "uts": "UTSMode",
}
_BLOCK_IO_FIELDS = {
    "weight_device": ("BlkioWeightDevice", "Weight"),
    "device_read_bps": ("BlkioDeviceReadBps", "Rate"),
    "device_read_iops": ("BlkioDeviceReadIOps", "Rate"),
    "device_write_bps": ("BlkioDeviceWriteBps", "Rate"),
    "device_write_iops": ("BlkioDeviceWriteIOps", "Rate"),
}


def _shared(service: Service, owners: Mapping[str, str]) -> dict[str, Any]:
    """Return what a container shares with those of other services, besides its network."""
    sources = (each.partition(":") for each in service.volumes_from)
    volumes = [f"{owners.get(name, name)}{colon}{mode}" for name, colon, mode in sources]
    modes = {"IpcMode": service.ipc, "PidMode": service.pid}
    namespaces = {key: namespace(mode, owners) for key, mode in modes.items() if mode}
    return {**namespaces, **({"VolumesFrom": volumes} if volumes else {})}


def _host_config(lab: Lab, service: Service) -> dict[str, Any]:
    limits = service.limits
    optional = {
        "Init": service.init,
        "NanoCpus": int(limits.cpus * NANOSECONDS) if limits.cpus else None,
        "Memory": limits.memory,
        "PidsLimit": limits.pids,
        "CapAdd": list(service.cap_add) or None,
        "CapDrop": list(service.cap_drop) or None,
        "SecurityOpt": _security(service) or None,
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in service.ulimits]
        or None,
        "ReadonlyRootfs": service.read_only or None,
        "MemorySwappiness": service.mem_swappiness,
        "Devices": [_device(device) for device in service.devices] or None,
        "Tmpfs": _tmpfs_options(service) or None,
    }
    as_they_are = {name: getattr(service, field) for field, name in _HOST_FIELDS.items()}
    return {
        **({"LogConfig": JOURNAL} if lab.provider == HOSTS else {}),
        "Mounts": _mounts(lab, service),
        "RestartPolicy": _restart_policy(service.restart),
        **{name: _plain(value) for name, value in as_they_are.items() if value},
        **_block_io(service.blkio_config),
        **_set(optional),
    }


def _security(service: Service) -> list[str]:
    """Return the security options. The engine reads a profile from the request, not from a file."""
    if not service.seccomp:
        return list(service.security_opt)
    others = [option for option in service.security_opt if not is_seccomp(option)]
    return [*others, f"seccomp={service.seccomp}"]


def _plain(value: Any) -> Any:
    """Return pairs as a mapping, other tuples as a list, and any other value as it is."""
    if not isinstance(value, tuple):
        return value
    return dict(value) if isinstance(value[0], tuple) else list(value)


def _device(device: Device) -> dict[str, str]:
    return {
        "PathOnHost": device.source,
        "PathInContainer": device.target,
        "CgroupPermissions": device.permissions,
    }


def _block_io(block_io: BlockIo | None) -> dict[str, Any]:
    if block_io is None:
        return {}
    limits = {
        name: [{"Path": path, number: value} for path, value in getattr(block_io, field)]
        for field, (name, number) in _BLOCK_IO_FIELDS.items()
        if getattr(block_io, field)
    }
    return {"BlkioWeight": block_io.weight, **limits}


def _tmpfs_options(service: Service) -> dict[str, str]:
    """Return the tmpfs mounts with options that only the engine's short form has."""
    return {
        tmpfs.target: ",".join(
            [
                *tmpfs.options,
                *([f"size={tmpfs.size}"] if tmpfs.size is not None else []),
                *([f"mode={tmpfs.mode:o}"] if tmpfs.mode is not None else []),
            ]
        )
        for tmpfs in service.tmpfs
        if tmpfs.options
    }


def _mounts(lab: Lab, service: Service) -> list[dict[str, Any]]:
    return [
        *(_bind(bind, remote_path(lab, bind.source), create=bind.create) for bind in service.binds),
        *(_bind(mount, mount.source, create=mount.create) for mount in service.machine_mounts),
        *(_volume(lab, volume) for volume in service.volumes),
        *(
            {"Type": "bind", "Source": secret_path(lab, file), "Target": file.target}
            | {"ReadOnly": True}
            for file in service.files
        ),
        *(
            {
                "Type": "tmpfs",
                "Target": tmpfs.target,
                "TmpfsOptions": _set({"SizeBytes": tmpfs.size, "Mode": tmpfs.mode}),
            }
            for tmpfs in service.tmpfs
            if not tmpfs.options
        ),
    ]


_RECURSIVE = {
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def _bind(bind: BindMount | MachineMount, source: str, *, create: bool) -> dict[str, Any]:
    options: dict[str, Any] = {**_RECURSIVE.get(bind.recursive, {})}
    if bind.propagation:
        options["Propagation"] = bind.propagation
    if create:
        options["CreateMountpoint"] = True
    mount = {
        "Type": "bind",
        "Source": source,
        "Target": bind.target,
        "ReadOnly": bind.read_only,
    }
    return {**mount, "BindOptions": options} if options else mount


def _volume(lab: Lab, volume: VolumeMount) -> dict[str, Any]:
    mount = {"Type": "volume", "Target": volume.target, "ReadOnly": volume.read_only}
    options: dict[str, Any] = {}
    if volume.volume:
        declared = lab.volume(volume.volume)
        mount["Source"] = declared.name
        if not declared.external:
            own = {**dict(declared.labels), **dict(volume.labels), LAB_LABEL: lab.id}
            options["Labels"] = own
        if declared.driver_opts:
            options["DriverConfig"] = {"Name": "local", "Options": dict(declared.driver_opts)}
    if volume.nocopy:
        options["NoCopy"] = True
    if volume.subpath:
        options["Subpath"] = volume.subpath
    return {**mount, "VolumeOptions": options} if options else mount


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


def healthcheck_body(check: Healthcheck | None, time_factor: float = 1.0) -> dict[str, Any] | None:
    """Return a health check as the Engine API has it."""
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
            "StartInterval": scaled(check.start_interval),
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
