"""Read how a container shares its machine: limits, namespaces, devices, DNS and groups."""

from __future__ import annotations

import re
from ipaddress import ip_address

from hashlab.config.compose.scalars import integer, size
from hashlab.config.model import BlockIo, Device
from hashlab.config.nodes import Node
from hashlab.config.readers import (
    Context,
    Draft,
    Reader,
    Table,
    any_text,
    either,
    list_of,
    matching,
    table,
    text,
)
from hashlab.config.report import Wrong

# The engine's name of runc, the only runtime that machines have.
_RUNTIMES = ("runc", "io.containerd.runc.v2")
_CDI = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*=\S+")


def swap_limit(node: Node, context: Context) -> int:
    """Read memswap_limit in bytes: memory and swap together; -1 is unlimited swap."""
    if node.value in (-1, "-1"):
        return -1
    return size(node, context)


def namespace(*modes: str) -> Reader[str]:
    """Return a reader of a namespace's mode: one of ``modes``, or service:NAME."""

    def read(node: Node, context: Context) -> str:
        mode = text(node, context)
        if mode.startswith("container:"):
            hint = "Name a service of this file: service:NAME."
            raise Wrong(node.line, f"'{mode}' names a container that hashlab does not run", hint)
        if mode not in modes and not ("service:" in modes and re.fullmatch(r"service:\S+", mode)):
            known = ", ".join(f"{each}NAME" if each == "service:" else each for each in modes)
            raise Wrong(node.line, f"'{mode}' is not an allowed value", f"Write {known}.")
        return mode

    return read


def runtime(node: Node, context: Context) -> str:
    """Read the container runtime. Machines have runc only."""
    name = text(node, context)
    if name not in _RUNTIMES:
        message = f"machines have no container runtime '{name}'"
        raise Wrong(node.line, message, "Remove it: machines run containers by runc.")
    return name


cpuset = matching(
    r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*",
    "'{value}' is not a valid list of cores",
    'Write "0,1" or "0-3".',
)


def _address(node: Node, context: Context) -> str:
    written = text(node, context)
    try:
        return str(ip_address(written))
    except ValueError:
        message = f"'{written}' is not a valid IP address"
        raise Wrong(node.line, message, "Write the address of a DNS server.") from None


def _one_address(node: Node, context: Context) -> tuple[str, ...]:
    return (_address(node, context),)


dns: Reader[tuple[str, ...]] = either(
    _one_address, list_of(_address, "an address or a list of addresses"), when=str
)
# An empty name means "search nowhere", so it is passed on.
dns_search: Reader[tuple[str, ...]] = either(
    lambda node, context: (any_text(node, context),),
    list_of(any_text, "a name or a list of names"),
    when=str,
)


def _group(node: Node, context: Context) -> str:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return str(node.value)
    return text(node, context)


groups: Reader[tuple[str, ...]] = list_of(_group, "a list of groups")

DEVICE_KEYS = Table(
    noun="a device",
    readers={"source": text, "target": text, "permissions": text},
    required=("source",),
    expected='a device such as "/dev/fuse"',
)


def _device(node: Node, context: Context) -> Device:
    if isinstance(node.value, dict):
        draft: Draft = table(DEVICE_KEYS)(node, context)
        source = draft.get("source", "/dev/null")
        parts = [source, draft.get("target", source), draft.get("permissions", "rwm")]
    else:
        written = text(node, context)
        if _CDI.fullmatch(written):
            message = f"'{written}' is a device of CDI, which machines are not set up for"
            raise Wrong(node.line, message, "Name a device file of the machine: /dev/fuse")
        parts = written.split(":")
    source, *rest = parts
    if len(rest) == 1 and re.fullmatch(r"[rwm]{1,3}", rest[0]):
        rest = [source, rest[0]]
    target, permissions = [*rest, *(source, "rwm")[len(rest) :]][:2]
    if len(parts) > 3 or not source.startswith("/") or not re.fullmatch("[rwm]{1,3}", permissions):
        hint = 'Write "/dev/fuse", or "/dev/fuse:/dev/fuse:rwm".'
        raise Wrong(node.line, f"'{':'.join(parts)}' is not a device of a machine", hint)
    return Device(source, target, permissions)


devices: Reader[tuple[Device, ...]] = list_of(_device, "a list of devices")

_RATE = Table(noun="a limit of a device", readers={"path": text, "rate": size})
_WEIGHT = Table(noun="the weight of a device", readers={"path": text, "weight": integer(low=0)})


def _per_device(rows: Table) -> Reader[tuple[tuple[str, int], ...]]:
    def read(node: Node, context: Context) -> tuple[str, int]:
        path, number = (table(rows)(node, context).get(key) for key in rows.readers)
        return (path or "", number or 0)

    return list_of(read, "a list of devices")


BLOCK_IO_KEYS = Table(
    noun="blkio_config",
    readers={
        "weight": integer(low=0, high=1000),
        "weight_device": _per_device(_WEIGHT),
        **dict.fromkeys(
            ("device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"),
            _per_device(_RATE),
        ),
    },
)


def block_io(node: Node, context: Context) -> BlockIo:
    """Read blkio_config: the share of a container in the machine's disks, and its limits."""
    return BlockIo(**table(BLOCK_IO_KEYS)(node, context).pick(*BLOCK_IO_KEYS.readers))


def unless_blank(reader: Reader[str]) -> Reader[str | None]:
    """Return a reader that returns None for an empty string, which leaves a key unset."""

    def read(node: Node, context: Context) -> str | None:
        return None if node.value is None or node.value == "" else reader(node, context)

    return read


def platform(node: Node, context: Context) -> str:
    """Read a platform. Machines have the laptop's own, so another one is noted."""
    written = any_text(node, context)
    own = f"linux/{machine_architecture()}"
    if written and written.removesuffix("/v8") != own:
        message = f"'platform: {written}' has no effect: machines run the laptop's, {own}"
        context.report.note(node.key_line, message)
    return written


def machine_architecture() -> str:
    """Return the processor of the laptop, and so of its machines, as Docker calls it."""
    import platform as laptop  # noqa: PLC0415 - imported only for files that name a platform

    name = laptop.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}.get(name, name)
