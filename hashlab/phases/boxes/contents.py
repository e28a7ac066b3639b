"""What a box says of itself when it is registered: when and where it was made, what is in it."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest


def described(world: World, manifest: BoxManifest, work: Path, track: Track) -> BoxManifest:
    """The manifest of a box that was just built, with its contents (``data``: docs/json.md)."""
    names = list(manifest.images)
    inside = world.provider.boxes.contents(manifest, work, track=track)
    data = {
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "folder": str(world.lab.folder.resolve()),
        **asdict(inside),
        "images": world.laptop_engine().image_sizes(names) if names else {},
    }
    return replace(manifest, data=data)


def size(manifest: BoxManifest) -> int:
    """Bytes that a box takes; 0 for one that does not say it."""
    return sum(manifest.data.get("parts", {}).values())
