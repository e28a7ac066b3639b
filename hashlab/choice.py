"""Which provider a lab takes where it says "auto": the best that really works, and why."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hashlab.errors import LaptopError, Problem
from hashlab.protocols import Probe, Provider, Tool


@dataclass(frozen=True)
class Choice:
    """The provider that was taken. ``reasons``: one line for each provider, the best first."""

    provider: str
    reasons: tuple[str, ...]

    @property
    def note(self) -> str:
        """The choice and its reasons as one sentence."""
        return f'provider "auto" took {"; ".join(self.reasons)}'


def choose(probes: Mapping[str, Probe]) -> Choice:
    """Take the best provider that works; of two alike, the first.

    Raises LaptopError that names what to install when none works.
    """
    works = [name for name, probe in probes.items() if probe.works]
    if not works:
        raise LaptopError(
            f"none of the providers works here: {', '.join(probes)}",
            output="\n".join(f"{name}: {probe.detail}" for name, probe in probes.items()),
            next_step=remedies(probes),
        )
    works.sort(key=lambda name: -probes[name].rank)
    order = [*works, *(name for name in probes if name not in works)]
    taken = works[0]
    return Choice(taken, tuple(_reason(name, probes[name], name == taken) for name in order))


def remedies(probes: Mapping[str, Probe]) -> str:
    """What to do to have one of the providers work."""
    steps = [f"for {name}: {probe.next_step}" for name, probe in probes.items() if probe.next_step]
    return "; or ".join(steps)


def _reason(name: str, probe: Probe, taken: bool) -> str:
    if taken:
        return f"{name}: {probe.detail}"
    return f"{name} {'works less well' if probe.works else 'does not work'}: {probe.detail}"


def look_at(provider: Provider, *, path: str | None, problems: Sequence[Problem]) -> Probe:
    """Whether a lab could take this provider, with its tools looked for in ``path``.

    ``problems``: what in the lab's files does not go with this provider.
    """
    missing = missing_tools(provider.tools(building=True), path)
    if missing:
        commands = ", ".join(tool.command for tool in missing)
        return Probe(False, 0, f"not found: {commands}", how_to_install(missing))
    for problem in problems:
        return Probe(False, 0, f"{problem.file}: {problem.message}", problem.hint)
    return provider.probe()


def missing_tools(tools: Sequence[Tool], path: str | None) -> list[Tool]:
    """Those of the tools that are in no folder of ``path``."""
    return [tool for tool in tools if shutil.which(tool.command, path=path) is None]


def how_to_install(missing: Sequence[Tool]) -> str:
    """What to type to have these tools."""
    packages = " ".join(sorted({tool.package for tool in missing}))
    return f"install {packages} (Debian, Ubuntu: apt-get install {packages})"
