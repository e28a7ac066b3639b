"""Find the services that would get root on their machine, or keys of the laptop for their build, by
what the Compose file gives them.

A container machine shares the laptop's kernel, so there it is root on the laptop.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from hashlab.config.compose.mounts import Mount
from hashlab.config.model import MachineMount, RootAccess, VolumeMount
from hashlab.config.nodes import file_of
from hashlab.config.readers import At, Draft
from hashlab.config.report import Report, suggestion

# A process that has one of these can leave its container.
CAPABILITIES = frozenset(
    (
        *("ALL", "BPF", "DAC_READ_SEARCH", "PERFMON", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE"),
        "SYS_RAWIO",
    )
)
# A process that reaches one of these can start others as root. A read-only mount does not prevent
# that, because a connection writes nothing to the file system.
SOCKETS = tuple(
    PurePosixPath(run, name)
    for run in ("/run", "/var/run")
    for name in ("docker.sock", "docker", "containerd", "systemd", "dbus")
)
# A process that can write here changes the machine's kernel, programs, users or containers.
SYSTEM = (
    *(PurePosixPath("/", name) for name in ("bin", "boot", "etc", "lib", "lib64", "proc", "root")),
    *(PurePosixPath("/", name) for name in ("sbin", "sys", "usr", "home/core", "var/spool")),
    *(PurePosixPath("/var/lib", name) for name in ("containerd", "docker", "hashlab")),
)
# File systems of a volume that are neither a disk nor a folder of the machine.
UNLIKE_DISKS = ("tmpfs", "nfs", "nfs4", "cifs")
HARMLESS = ("/etc/hostname", "/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo")


def root_access(
    services: Mapping[str, Draft],
    volumes: Mapping[str, Draft],
    allowed: Collection[str],
    report: Report,
) -> tuple[RootAccess, ...]:
    """Return why services would get root on their machine, in the file's order, one entry for each
    cause. ``volumes``: those of the top level; ``allowed``: the services that may.
    """
    return tuple(
        RootAccess(name, reason, file_of(line) or report.file, int(line))
        for name, service in services.items()
        if name not in allowed
        for reason, line in _reasons(service, services, volumes)
    )


def agent_access(
    services: Mapping[str, Draft], allowed: Collection[str], report: Report
) -> tuple[RootAccess, ...]:
    """Return which keys of the laptop the builds of services may use, as ``root_access`` does."""
    return tuple(
        RootAccess(name, _of_keys(build.ssh), file_of(line) or report.file, int(line))
        for name, service in services.items()
        for build, line in [(service.get("build"), service.line_of("build"))]
        if build and build.ssh and name not in allowed
    )


def _of_keys(ssh: Collection[tuple[str, str]]) -> str:
    keys = [f"the SSH key {path}" if path else "your SSH agent" for _, path in ssh]
    return f"uses {' and '.join(keys)} in its build"


def check_allowed(
    allowed: Collection[At[str]], services: Mapping[str, Draft], report: Report
) -> None:
    """Report names of a list in hashlab.toml that are not services of the Compose file."""
    for name, line in allowed:
        if name not in services:
            hint = suggestion(name, list(services), otherwise="Remove it.")
            report.add(line, f"unknown service '{name}'", hint)


def _reasons(
    service: Draft, services: Mapping[str, Draft], volumes: Mapping[str, Draft]
) -> Iterator[tuple[str, int]]:
    if service.get("privileged"):
        yield "is privileged", service.line_of("privileged")
    names = (name.upper().removeprefix("CAP_") for name in service.get("cap_add", ()))
    if risky := [name for name in names if name in CAPABILITIES]:
        yield f"has the capability {', '.join(risky)}", service.line_of("cap_add")
    if devices := [device.source for device in service.get("devices", ())]:
        yield f"uses the device {', '.join(devices)}", service.line_of("devices")
    if service.get("device_cgroup_rules"):
        yield "may make device files", service.line_of("device_cgroup_rules")
    for key in ("pre_start", "post_start", "pre_stop"):
        if any(hook.privileged for hook in service.get(key, ())):
            yield f"has a privileged {key} hook", service.line_of(key)
    sources = [services.get(at.value.partition(":")[0]) for at in service.get("volumes_from", ())]
    every = [
        mount for each in (service, *filter(None, sources)) for mount in each.get("volumes", ())
    ]
    for mount, line in every:
        if reason := _of_mount(mount, volumes):
            yield reason, line


def _of_mount(mount: Mount, volumes: Mapping[str, Draft]) -> str:
    """Return why a mount gives root on the machine; "" if it does not."""
    if isinstance(mount, MachineMount):
        return _of_path(mount.source, read_only=mount.read_only)
    if not isinstance(mount, VolumeMount):
        return ""
    options = dict(volumes.get(mount.volume, Draft()).get("driver_opts", ()))
    flags = options.get("o", "").split(",")
    device = options.get("device", "")
    if "bind" in flags or "rbind" in flags:
        return _of_path(device, read_only=mount.read_only or "ro" in flags)
    if device and options.get("type") not in UNLIKE_DISKS:
        return f"mounts the device {device} as volume '{mount.volume}'"
    return ""


def _of_path(path: str, *, read_only: bool) -> str:
    """Return why a mount of a path of the machine gives root there; "" if it does not."""
    source = PurePosixPath(posixpath.normpath(path))
    if socket := next((each for each in SOCKETS if _overlap(each, source)), None):
        return f"mounts {source}" if source == socket else f"mounts {source}, which has sockets"
    if read_only or any(source.is_relative_to(each) for each in HARMLESS):
        return ""
    system = any(_overlap(each, source) for each in SYSTEM)
    return f"can write to {source} of its machine" if system else ""


def _overlap(first: PurePosixPath, second: PurePosixPath) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)
