"""The document of `hashlab debug`: the port of a service's debugger, and attach configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DebugSession:
    """The debugger's port of a service, at ``address`` of the laptop. ``vscode``: the entry of
    launch.json; ``intellij``: text of a run configuration, "" if the debugger has none.
    """

    lab: str
    service: str
    container: str
    machine: str
    debugger: str
    port: int
    address: str
    vscode: Mapping[str, object]
    intellij: str
