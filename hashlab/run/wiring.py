"""Picks the real drivers: the one place where phases, providers and drivers meet.

Drivers use large libraries. Each is imported when it is first used, so that a command does not pay
for unused ones, and the rest is loaded while a build tool runs.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from hashlab.config.model import Lab
from hashlab.config.providers import HOSTS
from hashlab.drivers.environment import engine_address
from hashlab.drivers.keptlinks import KeptLinks
from hashlab.drivers.laptop import free_port, interfaces, port_is_free, routes
from hashlab.drivers.observing import ObserverProcess
from hashlab.drivers.process import ProcessRunner
from hashlab.drivers.workers import ProcessWorkers
from hashlab.hashing import Digests
from hashlab.inputs.contexts import read_context
from hashlab.phases.selfcontained.images import lab_of_images
from hashlab.phases.world import World
from hashlab.pipeline import CancelToken, Track
from hashlab.protocols import (
    Connector,
    Engine,
    HostAccess,
    ImageBuilder,
    KvmProbe,
    Locate,
    Provider,
    Registry,
    Runner,
    Shell,
    Shells,
    StreamingRunner,
    Swarm,
    Vagrant,
    Watcher,
    Workers,
)
from hashlab.providers.vagrant import LabVagrant
from hashlab.run.events import Publish
from hashlab.state.files import StateFolder, is_file

# Hosts may be far away.
HOSTS_TIME_FACTOR = 2.0


@dataclass(frozen=True)
class Equipment:
    """The objects that a provider may need. Nothing is contacted or probed before it is used."""

    lab: Lab
    state: StateFolder
    vagrant: LabVagrant
    engine: Callable[[], Engine]
    runner: StreamingRunner
    environ: Mapping[str, str]
    kvm: Callable[[], KvmProbe]
    locate: Locate
    shells: Callable[[], Shells]


def _docker(given: Equipment) -> Provider:
    from hashlab.providers.docker import DockerProvider  # noqa: PLC0415 - only its users pay

    return DockerProvider(vagrant=given.vagrant, engine=given.engine, cache=given.state.engine)


def _libvirt(given: Equipment) -> Provider:
    from hashlab.providers.libvirt import LibvirtProvider  # noqa: PLC0415 - only its users pay

    return LibvirtProvider(
        vagrant=given.vagrant,
        engine=given.engine,
        runner=given.runner,
        kvm=given.kvm,
        environ=given.environ,
        cache=given.state.engine,
        work=given.state.own,
        cores=os.cpu_count() or 1,
    )


def _virtualbox(given: Equipment) -> Provider:
    from hashlab.providers.virtualbox import VirtualBoxProvider  # noqa: PLC0415 - only its users pay

    return VirtualBoxProvider(
        vagrant=given.vagrant,
        runner=given.runner,
        download=_download,
        base=given.lab.box.virtualbox,
        work=given.state.own / "box",
        platform=sys.platform,
    )


def _hosts(given: Equipment) -> Provider:
    from hashlab.providers.hosts import HostsProvider  # noqa: PLC0415 - only its users pay

    return HostsProvider(given.lab, locate=given.locate, shells=given.shells, engine=given.engine)


PROVIDERS: Mapping[str, Callable[[Equipment], Provider]] = {
    "docker": _docker,
    "virtualbox": _virtualbox,
    "libvirt": _libvirt,
    HOSTS: _hosts,
}


def equip(lab: Lab) -> Equipment:
    """Return the real equipment of the lab's provider."""
    state = StateFolder(lab.state_folder, lab.provider)
    runner = ProcessRunner(children=state.children)
    kvm = _once(lambda: _probe_kvm(state, runner))
    late = cast(Vagrant, _Late(lambda: _vagrant(lab, state, runner)))
    vagrant = LabVagrant(late, state, _render)
    locate = cache(lambda endpoint: _locate(runner, endpoint))
    shells = cache(lambda: cast(Shells, _hosts_connector(lab, state, runner, locate)))
    return Equipment(
        lab, state, vagrant, cache(_local_engine), runner, os.environ, kvm, locate, shells
    )


class Warm:
    """Kept by one process for the runs that follow each other in it: file hashes, build workers,
    open links.

    ``publish`` takes the events of its runs; None: each run searches for a background process that
    does.
    """

    def __init__(self, publish: Publish | None = None) -> None:
        self.publish = publish
        self.digests = Digests()
        self._workers = ProcessWorkers()
        self._links = KeptLinks()

    @property
    def workers(self) -> Workers:
        """Return the build workers, for a run that leaves them alive."""
        return cast(Workers, _Staying(self._workers))

    def connector(self, connector: Connector) -> Connector:
        """Return the same connector, but its links stay open."""
        return self._links.through(connector)

    def close(self) -> None:
        """End the workers, close the links."""
        self._workers.close()
        self._links.close()


class _Staying:
    """Build workers that outlive a run."""

    def __init__(self, workers: Workers) -> None:
        self.ask = workers.ask

    def close(self) -> None:
        """Nothing: they are wanted again."""


def make_world(lab: Lab, *, warm: Warm | None = None, images: bool | None = None) -> World:
    """Make a world with the real drivers. Nothing is contacted before it is needed.

    ``warm``: kept by earlier runs of this process; ``images``: the lab runs from self-contained
    images, by default as `dev` started it.
    """
    equipment = equip(lab)
    if warm and lab.provider == HOSTS:
        # The lab's lock is taken over a connection that is open already.
        open_ = warm.connector(cast(Connector, equipment.shells()))
        equipment = replace(equipment, shells=lambda: cast(Shells, open_))
    if images is None:
        images = lab.built_from is not None or is_file(equipment.state.runs_images)
    lab = lab.built_from or lab
    lab = lab_of_images(lab) if images else lab
    state, runner = equipment.state, equipment.runner
    digests = warm.digests if warm else Digests()
    provider = PROVIDERS[lab.provider](equipment)

    def connector() -> object:
        if lab.provider == HOSTS:
            return equipment.shells()
        made = _connector(state, runner, provider)
        return warm.connector(cast(Connector, made)) if warm else made

    return World(
        lab=lab,
        state=state,
        provider=provider,
        connector=cast(Connector, _Late(connector)),
        engine_name=_engine_name,
        laptop_engine=equipment.engine,
        image_builder=cast(ImageBuilder, _Late(lambda: _image_builder(equipment))),
        runner=runner,
        workers=warm.workers if warm else ProcessWorkers(),
        digests=digests,
        download=_download,
        open_registry=_open_registry,
        serve_layout=_serve_layout,
        open_swarm=lambda place, cancel: _open_swarm(place, runner, cancel),
        build_context=lambda build: read_context(
            build.context,
            build.dockerfile,
            boundary=lab.boundary,
            digests=digests,
            inline=build.dockerfile_inline,
        ),
        interfaces=interfaces,
        routes=routes,
        port_is_free=port_is_free,
        free_port=free_port,
        environ=os.environ,
        python=sys.executable,
        observer=ObserverProcess(lab.folder, provider=lab.provider, observe=state.observe),
    )


# Concurrent phases may need drivers that share a library whose modules import each other. Without
# a lock, Python could give one of them a module that is only partly imported.
_IMPORTING = threading.Lock()


def _driver(name: str) -> Any:
    """Return a driver's module, imported by one thread at a time."""
    with _IMPORTING:
        return import_module(name)


def open_watcher() -> Watcher:
    """Return the watcher that notices saved files."""
    return cast(Watcher, _driver("hashlab.drivers.watching").FileWatcher())


class _Late:
    """Stands for an object that is made when it is first used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._made = cache(make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made(), name)


def _once(find: Callable[[], KvmProbe]) -> Callable[[], KvmProbe]:
    """Return the same function, but concurrent phases wait for one answer."""
    lock, found = threading.Lock(), cache(find)

    def ask() -> KvmProbe:
        with lock:
            return found()

    return ask


def _probe_kvm(state: StateFolder, runner: Runner) -> KvmProbe:
    probe = _driver("hashlab.drivers.kvm").probe_kvm
    architecture = os.uname().machine
    return cast(
        KvmProbe,
        probe(
            runner=runner,
            cache=state.kvm,
            environ=os.environ,
            system=sys.platform,
            architecture=architecture,
        ),
    )


def _vagrant(lab: Lab, state: StateFolder, runner: Runner) -> object:
    driver = _driver("hashlab.drivers.vagrant").VagrantDriver
    return driver(folder=state.own, provider=lab.provider, runner=runner)


def _connector(state: StateFolder, runner: Runner, provider: Provider) -> object:
    driver = _driver("hashlab.drivers.ssh").SshConnector
    return driver(
        login=_driver("hashlab.drivers.login").LabKey(state.key),
        config=state.ssh_config,
        runner=runner,
        time_factor=lambda: provider.time_factor,
    )


def _locate(runner: Runner, endpoint: str) -> HostAccess:
    reader = _driver("hashlab.drivers.personssh").PersonSsh(runner, os.environ)
    return cast(HostAccess, reader.locate(endpoint))


def _hosts_connector(lab: Lab, state: StateFolder, runner: Runner, locate: Locate) -> object:
    keys = _driver("hashlab.drivers.login").PersonsKeys(
        lambda machine: locate(lab.machine(machine).endpoint)
    )
    driver = _driver("hashlab.drivers.ssh").SshConnector
    return driver(
        login=keys, config=state.ssh_config, runner=runner, time_factor=lambda: HOSTS_TIME_FACTOR
    )


def _image_builder(given: Equipment) -> object:
    builder = _driver("hashlab.drivers.imagebuilder").ImageBuilder
    return builder(engine=given.engine, runner=given.runner, environ=given.environ)


def _local_engine() -> Engine:
    return cast(Engine, _driver("hashlab.drivers.engine").local_engine(os.environ))


def _engine_name() -> str:
    address = engine_address(os.environ)
    return f"{address.host or 'nowhere'} ({address.source})"


def _download(url: str, target: Path, *, limit: int, track: Track) -> None:
    _driver("hashlab.drivers.download").download(url, target, limit=limit, track=track)


def _open_registry(host: str) -> Registry:
    return cast(Registry, _driver("hashlab.drivers.registry").open_registry(host, os.environ))


def _serve_layout(folder: Path) -> AbstractContextManager[Path]:
    served = _driver("hashlab.drivers.layoutserver").serve_layout(folder)
    return cast(AbstractContextManager[Path], served)


def _open_swarm(place: str | Shell, runner: Runner, cancel: CancelToken) -> Swarm:
    return cast(Swarm, _driver("hashlab.drivers.swarm").open_swarm(place, runner, cancel))


def _render(values: Mapping[str, Any]) -> str:
    return str(_driver("hashlab.drivers.rendering").render_vagrantfile(values))
