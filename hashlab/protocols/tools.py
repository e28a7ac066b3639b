"""Programs that a provider needs on the laptop: find the missing ones, explain how to install
them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from hashlab.protocols.provider import Probe, Tool


def missing_tools(tools: Sequence[Tool], path: str | None) -> list[Tool]:
    """Return the tools that are not in any folder of ``path``."""
    return [tool for tool in tools if shutil.which(tool.command, path=path) is None]


def how_to_install(missing: Sequence[Tool]) -> str:
    """Return the command that installs these tools."""
    packages = " ".join(sorted({tool.package for tool in missing}))
    return f"install {packages} (Debian, Ubuntu: apt-get install {packages})"


def remedies(probes: Mapping[str, Probe]) -> str:
    """Return how to make one of the providers work."""
    steps = [f"for {name}: {probe.next_step}" for name, probe in probes.items() if probe.next_step]
    return "; or ".join(steps)
