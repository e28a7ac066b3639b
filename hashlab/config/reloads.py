"""Check the reloads of hashlab.toml against the services of the Compose file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from hashlab.config.artifacts import absolute
from hashlab.config.compose.service import replicas
from hashlab.config.model import BindMount, Reload
from hashlab.config.readers import Draft
from hashlab.config.report import Report, suggestion


def check_reloads(toml: Draft, services: Mapping[str, Draft], folder: Path, report: Report) -> None:
    """Report reloads of services that do not exist or have several replicas, and of files that no
    bind mount contains.
    """
    for name, reload in toml.get("reload", {}).items():
        service = services.get(name)
        if service is None:
            hint = suggestion(name, list(services), otherwise="Remove it, or write the service.")
            report.add(reload.line, f"unknown service '{name}'", hint)
            continue
        if replicas(service) > 1:
            message = (
                f"service '{name}' has {replicas(service)} replicas, but a reload reaches only one"
            )
            report.add(reload.line, message, "Write replicas: 1, or remove the reload.")
        sources = [
            at.value.source for at in service.get("volumes", ()) if isinstance(at.value, BindMount)
        ]
        for item in reload.get("paths", ()):
            path = absolute(folder, item.value)
            if not any(path == source or source in path.parents for source in sources):
                message = f"'{item.value}' is not in any bind mount of service '{name}'"
                report.add(item.line, message, "Write a folder that the service mounts.")


def reloads_of(toml: Draft, active: Collection[str], folder: Path) -> tuple[Reload, ...]:
    """Return the reloads of the active services of a draft without problems."""
    return tuple(
        Reload(
            service=name,
            command=reload.get("command").value,
            paths=tuple(absolute(folder, item.value) for item in reload.get("paths")),
        )
        for name, reload in toml.get("reload", {}).items()
        if name in active
    )
