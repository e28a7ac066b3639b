"""Phase ``doctor``: checks that this laptop has what a lab needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hashlab.documents.doctor import Check, Doctor
from hashlab.errors import HashlabError, LaptopError
from hashlab.phases.boxes.registry import OWNER, SLASH, boxes_folder
from hashlab.phases.stores import PROGRAMS, StoreProgram, source_of_store
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import KvmProbe, Probe
from hashlab.protocols.tools import how_to_install, missing_tools, remedies

MIB = 1 << 20
DISK_NEEDED = 2 << 30
DEFAULT_MACHINE_MEMORY = 512 * MIB


def examine(
    world: World, *, building: bool, providers: Sequence[Check] | None = None
) -> list[Check]:
    """Check tools, the provider, memory and disk. Raises nothing.

    ``providers``: checks of providers made before; without them, the lab's provider is checked.
    """
    known = [_provider(world)] if providers is None else providers
    engine = [] if providers is None else [_engine(world), _builder(world), _held(world)]
    checks = [_tools(world, building), *known, *engine, _disk(world.lab.folder)]
    checks += [
        _store(world, name, program)
        for name, program in PROGRAMS.items()
        if name in world.observed or engine
    ]
    if world.provider.hosts is not None:
        return [*checks, *(_hosts(world) if engine else ())]
    memory = _memory(world)
    return [*checks, memory] if memory else checks


def provider_checks(
    probes: Mapping[str, Probe], kvm: KvmProbe | None, *, own: str, why: str
) -> list[Check]:
    """Return the check of the lab's provider, one of each provider, and one of KVM.

    ``own``: the lab's provider, "" if none works; ``why``: the reason for that one.
    """
    taken = Check("provider", True, f"{own}: {why}")
    none = Check("provider", False, "none works here", remedies(probes))
    rows = [
        Check(name, probe.works, probe.detail, probe.next_step, needed=name == own)
        for name, probe in probes.items()
    ]
    if kvm is not None:
        rows.append(Check("kvm", kvm.works, kvm.why, kvm.next_step, needed=False))
    return [taken if own else none, *rows]


def doctor_document(checks: Sequence[Check], *, own: str, why: str) -> Doctor:
    """Return the document of `hashlab doctor`; ``own``, ``why``: as in ``provider_checks``."""
    ok = all(check.ok for check in checks if check.needed)
    return Doctor(ok, own or None, why, tuple(checks))


def doctor(world: World, track: Track, _: str) -> None:
    """Promise: the laptop has what a lab needs; one error names everything that is missing."""
    _judge(examine(world, building=False), track)


def doctor_building(world: World, track: Track, _: str) -> None:
    """Promise: the laptop has what building a box needs; otherwise as ``doctor``."""
    _judge(examine(world, building=True), track)


def _judge(checks: list[Check], track: Track) -> None:
    failed = [check for check in checks if not check.ok]
    if failed:
        raise LaptopError(
            "; ".join(f"{check.name}: {check.detail}" for check in failed),
            next_step="; ".join(check.next_step for check in failed if check.next_step),
        )
    track.detail(", ".join(check.detail for check in checks))


def _tools(world: World, building: bool) -> Check:
    path = world.environ.get("PATH")
    tools = world.provider.tools(building=building)
    missing = missing_tools(tools, path)
    if not missing:
        return Check("tools", True, f"{len(tools)} tools")
    commands = ", ".join(tool.command for tool in missing)
    return Check("tools", False, f"not found: {commands}", how_to_install(missing))


def _provider(world: World) -> Check:
    try:
        world.provider.check()
    except HashlabError as error:
        return Check(world.provider.name, False, error.what, error.next_step)
    return Check(world.provider.name, True, f"provider {world.provider.name} works")


def _hosts(world: World) -> list[Check]:
    """Check each host of the lab."""
    found = world.provider.hosts.checks(world.lab) if world.provider.hosts else ()
    return [Check(c.name, c.ok, c.detail, c.next_step, needed=c.needed) for c in found]


def _engine(world: World) -> Check:
    """Check the engine that Vagrant, Docker's client and hashlab use, and name its source."""
    try:
        version = world.laptop_engine().info().get("ServerVersion")
    except HashlabError as error:
        return Check("engine", False, error.what, error.next_step)
    return Check("engine", True, f"Docker {version} at {world.engine_name()}")


def _builder(world: World) -> Check:
    """Name the builder of images: the classic one cannot do all that BuildKit can."""
    if version := world.image_builder.buildkit:
        return Check("builder", True, f"BuildKit by {version}", needed=False)
    detail = "the engine's classic builder; RUN --mount and here-documents need BuildKit's client"
    return Check("builder", True, detail, "install docker-buildx", needed=False)


def _store(world: World, name: str, program: StoreProgram) -> Check:
    """Report where a store comes from, which only a lab that asks for it needs."""
    needed = name in world.observed
    if source := source_of_store(program, world.environ):
        return Check(program.stores, True, source, needed=needed)
    detail = f"{program.title} and Go are not installed"
    return Check(program.stores, False, detail, program.next_step, needed=needed)


def _held(world: World) -> Check:
    """Report the disk space that hashlab uses for all labs, by kind."""
    boxes = boxes_folder(world.environ)
    sizes = {
        "boxes": sum(_size_of(path) for path in boxes.glob(f"{OWNER}{SLASH}*")),
        "state": _size_of(world.state.root),
    }
    try:
        held = world.laptop_engine().held()
    except HashlabError:
        unknown = "; the engine does not say how much it uses"
    else:
        sizes |= {name: held[name] for name in ("images", "volumes", "snapshots")}
        unknown = ""
    names = {"state": f"state of {world.lab.name}", "images": "images and build stages"}
    listed = ", ".join(f"{names.get(n, n)} {size / 1e6:.0f} MB" for n, size in sizes.items())
    detail = f"hashlab uses up to: {listed}{unknown}"
    return Check("held", True, detail, needed=False, bytes=sizes)


def _size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, which may change meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(Path(place) / name).st_size
    return total


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.1f} GiB of disk free"
    sizes = {"free": free, "needed": DISK_NEEDED}
    if free >= DISK_NEEDED:
        return Check("disk", True, detail, bytes=sizes)
    next_step = f"free {DISK_NEEDED / 2**30:.0f} GiB on the disk of {folder}"
    return Check("disk", False, detail, next_step, bytes=sizes)


def _memory(world: World) -> Check | None:
    """Check the memory, on Linux only: elsewhere the engine runs in a VM with its own limit."""
    available = available_memory()
    if available is None:
        return None
    limits = [machine.memory or DEFAULT_MACHINE_MEMORY for machine in world.lab.machines]
    # Limits are rarely used up: half of them must fit.
    needed = sum(limits) // 2
    detail = f"{available / 2**30:.1f} GiB of memory available"
    sizes = {"available": available, "needed": needed}
    if available >= needed:
        return Check("memory", True, detail, bytes=sizes)
    next_step = f"close something: {needed / 2**30:.1f} GiB are needed"
    return Check("memory", False, detail, next_step, bytes=sizes)


def available_memory() -> int | None:
    """Return the bytes of memory that programs can still use; None if the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    kibibytes = values.get("MemAvailable", "").split()
    return int(kibibytes[0]) * 1024 if kibibytes else None
