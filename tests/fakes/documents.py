"""Complete documents that were never measured; a test changes the part that it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hashlab.documents import unix_time
from hashlab.documents.boxes import Box, Boxes
from hashlab.documents.snapshots import Snapshot, Snapshots
from hashlab.documents.status import BoxStatus, MachineStatus, ServiceStatus, SshAddress, Status

NOW = unix_time("2026-11-23T12:00:00Z") or 0.0
RECIPE = "5f0c1e9a7b21"
BUILD = "91ab22cd33ef"


def box_status(**changes: Any) -> BoxStatus:
    """A box that is up to date."""
    whole = BoxStatus("hashlab/demo", f"1.0.0.r{RECIPE}", RECIPE, registered=True, stale=False)
    return replace(whole, **changes)


def machine_status(**changes: Any) -> MachineStatus:
    """A running machine."""
    ssh = SshAddress("127.0.0.1", 2201, "core")
    whole = MachineStatus("web", "192.168.60.6", "running", ssh, RECIPE, stale=False)
    return replace(whole, **changes)


def service_status(**changes: Any) -> ServiceStatus:
    """A service that has been healthy for two hours."""
    whole = ServiceStatus(
        name="nginx",
        machine="web",
        replica=1,
        state="running",
        since=NOW - 2 * 3600,
        restarts=0,
        exit_code=None,
        stopped_by=None,
        health="healthy",
        build=BUILD,
        running_build=BUILD,
        stale=None,
        problem=None,
        holder=None,
    )
    return replace(whole, **changes)


def lab_status(**changes: Any) -> Status:
    """A lab of one machine with one service, up to date."""
    whole = Status(
        lab="demo",
        provider="docker",
        box=box_status(),
        machines=(machine_status(),),
        services=(service_status(),),
        urls={"api": "http://127.0.0.1:9000", "web": "http://127.0.0.1:8080"},
        notes=(),
    )
    return replace(whole, **changes)


def one_box(**changes: Any) -> Box:
    """A box that is current and fully described."""
    whole = Box(
        name="hashlab/demo",
        version=f"1.0.0.r{RECIPE}",
        recipe=RECIPE,
        current=True,
        usable=True,
        created=unix_time("2026-11-20T11:00:00Z"),
        folder="/labs/demo",
        os="Debian GNU/Linux 12 (bookworm)",
        docker="20.10.24",
        kernel=None,
        bytes=804_000_000,
        parts={"system": 448_000_000, "image store": 356_000_000},
        packages={"docker.io": 151_000_000},
        images={"demo/web": 127_000_000, "demo/db": 225_000_000},
        machines=("demo-1a2b3c/web",),
    )
    return replace(whole, **changes)


def all_boxes(*boxes: Box, notes: tuple[str, ...] = ()) -> Boxes:
    """The boxes of the laptop."""
    return Boxes("demo", "docker", RECIPE, 1_000_000_000, boxes, notes)


def one_snapshot(**changes: Any) -> Snapshot:
    """A snapshot that can be restored."""
    taken = unix_time("2026-11-21T09:00:00Z")
    whole = Snapshot("before-upgrade", taken, 117_232_999, ("front", "back"), note="")
    return replace(whole, **changes)


def all_snapshots(*snapshots: Snapshot) -> Snapshots:
    """The snapshots of a lab."""
    return Snapshots("hello", "docker", snapshots)
