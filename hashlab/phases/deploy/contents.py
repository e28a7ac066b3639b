"""Reads the secrets and configs of a deployment on the laptop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hashlab.config.fronts.making import without_fronts
from hashlab.config.model import Content
from hashlab.errors import LabError, UsageError
from hashlab.hashing import open_regular, settled
from hashlab.phases.deploy.target import Target
from hashlab.phases.deploy.versions import Version, version
from hashlab.phases.world import World


def read_versions(world: World, target: Target) -> Sequence[Version]:
    """Return the secrets and configs that services of the lab use. Raises HashlabError for a secret
    that is missing.
    """
    services = without_fronts(world.lab).services
    used = {(file.secret, file.name): file.source for s in services for file in s.files}
    secrets = {name: source for (secret, name), source in used.items() if secret}
    _check(world, target, secrets)
    stack = target.stack_of(world)
    return [
        version(stack, name, "secret" if secret else "config", _data(target, name, source, secret))
        for (secret, name), source in sorted(used.items(), key=lambda item: item[0])
    ]


def _check(world: World, target: Target, secrets: Mapping[str, Path | Content]) -> None:
    """Refuse secrets that hashlab generated for the lab: `destroy` forgets them, and the cluster's
    data must outlive the lab.
    """
    own = [
        name
        for name, source in secrets.items()
        if isinstance(source, Path) and source.parent == world.state.secrets
    ]
    missing = [name for name in own if not _given(target, name)]
    if missing and not target.machines:
        raise UsageError(
            f"hashlab generated {', '.join(sorted(missing))} for this lab only, and `destroy` "
            "forgets them",
            next_step="write them into a folder, one file for each, and name it: "
            f"{target.again} --secrets FOLDER",
        )


def _given(target: Target, name: str) -> Path | None:
    path = target.secrets / name if target.secrets else None
    return path if path is not None and path.is_file() else None


def _data(target: Target, name: str, source: Path | Content, secret: bool) -> bytes:
    path = (_given(target, name) if secret else None) or source
    if isinstance(path, Content):
        return path.data
    if not path.exists():
        raise LabError(
            f"the secret {name} does not exist", where=str(path), next_step="hashlab dev"
        )

    def read() -> bytes:
        with open_regular(path) as stream:
            return stream.read()

    return settled(read)
