"""The description in a registered box: when and where it was made, and its contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import BoxManifest


def described(world: World, manifest: BoxManifest, work: Path, track: Track) -> BoxManifest:
    """Return the manifest of a box that was just built, with ``data`` of docs/reference/json.md."""
    names = list(manifest.images)
    inside = world.boxes.contents(manifest, work, track=track)
    data = {
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "folder": str(world.lab.folder.resolve()),
        **asdict(inside),
        "images": world.laptop_engine().image_sizes(names) if names else {},
    }
    return replace(manifest, data=data)


TEXTS = ("created", "os", "docker", "kernel")
SIZES = ("parts", "packages", "images")
TEXT_LIMIT = 500


def travelling(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a box's ``data`` that is exported, and imported from other laptops: no
    path of its builder's laptop, and no value of a wrong type.
    """
    texts = {
        key: data[key]
        for key in TEXTS
        if isinstance(data.get(key), str) and len(data[key]) <= TEXT_LIMIT
    }
    sizes = {key: data[key] for key in SIZES if _are_sizes(data.get(key))}
    return {**texts, **sizes}


def _are_sizes(value: object) -> bool:
    return isinstance(value, dict) and all(
        len(name) <= TEXT_LIMIT and type(count) is int and 0 <= count < 1 << 60
        for name, count in value.items()
    )


def size(manifest: BoxManifest) -> int:
    """Return the bytes that a box takes; 0 if its description does not say."""
    return sum(manifest.data.get("parts", {}).values())
