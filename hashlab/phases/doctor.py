"""Phase ``doctor``: does this laptop have what a lab needs? Every answer is a row."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hashlab.errors import HashlabError, LaptopError
from hashlab.phases.world import World
from hashlab.pipeline import Track

MIB = 1 << 20
DISK_NEEDED = 2 << 30
DEFAULT_MACHINE_MEMORY = 512 * MIB


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``next_step`` tells what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    next_step: str = ""


def examine(world: World, *, building: bool) -> list[Check]:
    """Look at tools, the provider, memory and disk; raises nothing."""
    checks = [_tools(world, building), _provider(world), _disk(world.lab.folder)]
    memory = _memory(world)
    return [*checks, memory] if memory else checks


def doctor(world: World, track: Track, _: str) -> None:
    """Promise: what a lab needs is there; everything missing is told at once."""
    _judge(examine(world, building=False), track)


def doctor_building(world: World, track: Track, _: str) -> None:
    """As ``doctor``, for building a box."""
    _judge(examine(world, building=True), track)


def _judge(checks: list[Check], track: Track) -> None:
    wrong = [check for check in checks if not check.ok]
    if wrong:
        raise LaptopError(
            "; ".join(f"{check.name}: {check.detail}" for check in wrong),
            next_step="; ".join(check.next_step for check in wrong if check.next_step),
        )
    track.detail(", ".join(check.detail for check in checks))


def _tools(world: World, building: bool) -> Check:
    path = world.environ.get("PATH")
    tools = world.provider.tools(building=building)
    missing = [tool for tool in tools if shutil.which(tool.command, path=path) is None]
    if not missing:
        return Check("tools", True, f"{len(tools)} tools")
    packages = " ".join(sorted({tool.package for tool in missing}))
    return Check(
        "tools",
        False,
        f"not found: {', '.join(tool.command for tool in missing)}",
        f"install {packages} (Debian, Ubuntu: apt-get install {packages})",
    )


def _provider(world: World) -> Check:
    try:
        world.provider.check()
    except HashlabError as error:
        return Check(world.provider.name, False, error.what, error.next_step)
    return Check(world.provider.name, True, f"provider {world.provider.name} works")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.1f} GiB of disk free"
    next_step = f"free {DISK_NEEDED / 2**30:.0f} GiB on the disk of {folder}"
    return Check("disk", free >= DISK_NEEDED, detail, next_step)


def _memory(world: World) -> Check | None:
    """Linux tells what is available; elsewhere the engine's own limit stands in /proc of its VM."""
    available = available_memory()
    if available is None:
        return None
    limits = [machine.memory or DEFAULT_MACHINE_MEMORY for machine in world.lab.machines]
    # Limits are rarely used up: half of them must fit.
    needed = sum(limits) // 2
    detail = f"{available / 2**30:.1f} GiB of memory available"
    next_step = f"close something: {needed / 2**30:.1f} GiB are needed"
    return Check("memory", available >= needed, detail, next_step)


def available_memory() -> int | None:
    """Bytes of memory that programs can still take; None where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    kibibytes = values.get("MemAvailable", "").split()
    return int(kibibytes[0]) * 1024 if kibibytes else None
