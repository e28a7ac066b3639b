"""The debugger of a service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DebuggerKind = Literal["jdwp", "debugpy", "inspector", "delve"]


@dataclass(frozen=True)
class Debugger:
    """The debugger of a service, which listens on this port of the container's own loopback.

    ``sources``: the folder of the laptop (absolute) with its sources; ``inside``: the same folder
    in the container, "" if the debugger needs none.
    """

    kind: DebuggerKind
    port: int
    sources: Path
    inside: str = ""
