"""The last end of each container, and what it logged last before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hashlab.documents.status import LastExit
from hashlab.errors import LabError
from hashlab.phases.changes import ended_at
from hashlab.phases.programs import LAST_LINES
from hashlab.phases.world import World
from hashlab.pipeline import Track, parallel
from hashlab.protocols import ContainerState

# The end of a line is enough to recognise it.
LINE_LENGTH = 500
# The journal has a container's last line a moment after the engine has noticed its end.
LATER_SECONDS = 1.0

Place = tuple[str, str]


def last_exits(
    world: World, containers: Mapping[str, Sequence[ContainerState]], track: Track
) -> dict[Place, LastExit]:
    """Return the last end of each container that has ended since it was made, by machine and name.

    Each machine that has such a container is asked once. One that cannot be asked has no lines.
    """
    ended = {
        machine: [container for container in found if ended_at(container) is not None]
        for machine, found in containers.items()
    }
    asked = [machine for machine, found in ended.items() if found]
    answers = parallel(asked, lambda machine: _lines(world, machine, ended[machine]), track.cancel)
    lines = dict(zip(asked, answers, strict=True))
    return {
        (machine, container.name): LastExit(
            time=ended_at(container) or 0.0,
            code=None if container.state == "running" else container.exit_code,
            line=lines[machine].get(container.name),
        )
        for machine in asked
        for container in ended[machine]
    }


def _lines(world: World, machine: str, ended: Sequence[ContainerState]) -> dict[str, str]:
    words = [
        word
        for container in ended
        for word in (container.name, f"{(ended_at(container) or 0.0) + LATER_SECONDS:.6f}")
    ]
    try:
        done = world.link(machine).shell.run(["sudo", "sh", "-c", LAST_LINES, "sh", *words])
    except LabError:
        return {}
    return dict(_line(text) for text in done.stdout.splitlines() if text.startswith("{"))


def _line(text: str) -> tuple[str, str]:
    fields: dict[str, Any] = json.loads(text)
    message = fields.get("MESSAGE")
    if isinstance(message, list):  # bytes, because it is not plain text
        message = bytes(message).decode(errors="replace")
    return str(fields.get("CONTAINER_NAME", "")), str(message or "")[-LINE_LENGTH:]
