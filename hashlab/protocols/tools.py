"""Programs that a provider needs on the laptop: which are missing, and how to install them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from hashlab.protocols.provider import Probe, Tool


def missing_tools(tools: Sequence[Tool], path: str | None) -> list[Tool]:
    """Those of the tools that are in no folder of ``path``."""
    return [tool for tool in tools if shutil.which(tool.command, path=path) is None]


def how_to_install(missing: Sequence[Tool]) -> str:
    """What to type to have these tools."""
    packages = " ".join(sorted({tool.package for tool in missing}))
    return f"install {packages} (Debian, Ubuntu: apt-get install {packages})"


def remedies(probes: Mapping[str, Probe]) -> str:
    """What to do to have one of the providers work."""
    steps = [f"for {name}: {probe.next_step}" for name, probe in probes.items() if probe.next_step]
    return "; or ".join(steps)
