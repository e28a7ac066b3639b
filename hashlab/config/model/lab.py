"""The lab: everything that its files describe, and what follows from that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path

from hashlab.config.model.builds import Artifact, Builder, Image, OwnImages, Reload, Step
from hashlab.config.model.machines import BoxSettings, Machine
from hashlab.config.model.mounts import Content, Volume
from hashlab.config.model.networks import Network
from hashlab.config.model.observing import Observe
from hashlab.config.model.service import Service
from hashlab.config.providers import HOSTS
from hashlab.inputs.boundary import Boundary
from hashlab.inputs.patterns import is_editor_file
from hashlab.state.private import STATE


@dataclass(frozen=True)
class RootAccess:
    """A service that would get root on its machine, or keys of the laptop in its build; why ("is
    privileged"), and the place in its file.
    """

    service: str
    reason: str
    file: str
    line: int


@dataclass(frozen=True)
class Lab:
    """Everything that the files of a lab describe.

    ``services`` are those of the active profiles, ``networks`` those that they are on, ``images``
    those of all services, so that the box can contain them all. ``sources``: the files this was
    read from, and those that would have been read if they existed. ``declared``: the files of all
    secrets and configs of the Compose file. ``root_access``: the services that would get root on
    their machine, except those that hashlab.toml allows it; ``agent_access``: those whose build
    would get keys of the laptop.
    ``secrets``: what each secret of the top level consists of, for builds.
    ``own_machines``: hashlab.toml names the machines; otherwise hashlab chose them.
    ``profiles``: the active profiles; ``inactive``: the services of others, each with its own.
    ``built_from``: the lab of the files, if this is that lab with services that run from
    self-contained images. ``own_images``: the settings of self-contained images. ``observe``: what
    of it is stored.
    """

    folder: Path
    name: str
    provider: str
    subnet: IPv4Network
    machines: tuple[Machine, ...]
    services: tuple[Service, ...]
    images: tuple[Image, ...]
    networks: tuple[Network, ...] = ()
    box: BoxSettings = field(default_factory=BoxSettings)
    builders: tuple[Builder, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    reloads: tuple[Reload, ...] = ()
    generated_secrets: tuple[str, ...] = ()
    seed: Step | None = None
    verify: Step | None = None
    test: Step | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    declared: tuple[Path, ...] = ()
    root_access: tuple[RootAccess, ...] = ()
    agent_access: tuple[RootAccess, ...] = ()
    own_machines: bool = True
    volumes: tuple[Volume, ...] = ()
    secrets: tuple[tuple[str, Path | Content], ...] = ()
    profiles: tuple[str, ...] = ()
    inactive: tuple[tuple[str, tuple[str, ...]], ...] = ()
    own_images: OwnImages = field(default_factory=OwnImages)
    built_from: Lab | None = field(default=None, repr=False)
    observe: Observe = field(default_factory=Observe)

    @cached_property
    def boundary(self) -> Boundary:
        """The rule which files may leave the lab folder other than as a secret or config."""
        return Boundary(frozenset(self.declared))

    def uploads(self, source: Path) -> Callable[[str], bool]:
        """Return a test for names below the source of a bind mount: True if a file is synchronised.

        Names are relative to the source. A file is synchronised if it may leave the lab folder, is
        not an editor's temporary file, and at least one service that mounts it does not ignore it.
        """
        allows = self.boundary.below(source)
        mounting = [s for s in self.services if any(_overlap(b.source, source) for b in s.binds)]
        ignoring = any(rule.ignore for service in mounting for rule in service.watch)

        def uploaded(name: str) -> bool:
            if not allows(name) or any(map(is_editor_file, name.split("/"))):
                return False
            return not (ignoring and self._all_ignore(mounting, source / name))

        return uploaded

    def _all_ignore(self, services: Sequence[Service], path: Path) -> bool:
        mounting = [s for s in services if any(path.is_relative_to(b.source) for b in s.binds)]
        return bool(mounting) and all(service.ignores(path) for service in mounting)

    @property
    def state_folder(self) -> Path:
        """``.hashlab`` of this lab. Everything in it can be deleted."""
        return self.folder / STATE

    @property
    def id(self) -> str:
        """Name of this lab among all labs of the laptop. Two folders never share one. A lab on
        hosts is the same lab from every folder and laptop; its first host identifies it.
        """
        if self.provider == HOSTS:
            return _with_digest(self.name, f"host {self.machines[0].endpoint}")
        return lab_id(self.name, self.folder)

    def network(self, key: str) -> Network:
        """Return the network that the Compose file calls ``key``. Raises KeyError."""
        return {network.key: network for network in self.networks}[key]

    def reload(self, service: str) -> Reload | None:
        """Return the reload of a service, or None if it has none."""
        return next((reload for reload in self.reloads if reload.service == service), None)

    def volume(self, key: str) -> Volume:
        """Return the volume with this key in the Compose file."""
        found = (volume for volume in self.volumes if volume.key == key)
        return next(found, Volume(key, f"{self.name}_{key}"))

    def service(self, name: str) -> Service:
        """Return the service called ``name``. Raises KeyError."""
        return {service.name: service for service in self.services}[name]

    def machine(self, name: str) -> Machine:
        """Return the machine called ``name``. Raises KeyError."""
        return {machine.name: machine for machine in self.machines}[name]


def _overlap(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def lab_id(name: str, folder: Path) -> str:
    """Return ``Lab.id`` for a lab of this name in a folder."""
    return _with_digest(name, str(folder.resolve()))


def _with_digest(name: str, text: str) -> str:
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
