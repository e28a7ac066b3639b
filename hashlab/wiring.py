"""Picks the real drivers: the one place where phases, providers and drivers meet.

Drivers stand on large libraries. Each is imported when it is first used, so that what a command
does not need costs nothing, and the rest is loaded while a build tool is at work.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from hashlab.choice import choose, look_at, missing_tools
from hashlab.config import AUTO, find_lab_folder, load_lab
from hashlab.config.model import STATE_FOLDER, Build, Lab
from hashlab.drivers.keptlinks import KeptLinks
from hashlab.drivers.laptop import free_port, port_is_free, routes
from hashlab.drivers.process import ProcessRunner
from hashlab.drivers.workers import ProcessWorkers
from hashlab.errors import ConfigError, HashlabError, Interrupted, LaptopError, Problem, UsageError
from hashlab.hashing import Digests
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.protocols import (
    Connector,
    Engine,
    KvmProbe,
    Probe,
    Provider,
    Runner,
    Vagrant,
    Watcher,
    Workers,
)
from hashlab.statefiles import StateFolder


@dataclass(frozen=True)
class Equipment:
    """What a provider may need. Nothing is contacted or probed before it is used."""

    lab: Lab
    state: StateFolder
    engine: Callable[[], Engine]
    runner: Runner
    environ: Mapping[str, str]
    kvm: Callable[[], KvmProbe]


def _docker(given: Equipment) -> Provider:
    from hashlab.providers.docker import DockerProvider  # noqa: PLC0415 - only its users pay

    return DockerProvider(engine=given.engine, cache=given.state.engine)


def _libvirt(given: Equipment) -> Provider:
    from hashlab.providers.libvirt import LibvirtProvider  # noqa: PLC0415 - only its users pay

    return LibvirtProvider(
        engine=given.engine,
        runner=given.runner,
        kvm=given.kvm,
        environ=given.environ,
        cache=given.state.engine,
        work=given.state.own,
    )


def _virtualbox(given: Equipment) -> Provider:
    from hashlab.providers.virtualbox import VirtualBoxProvider  # noqa: PLC0415 - only its users pay

    return VirtualBoxProvider(
        runner=given.runner,
        download=_download,
        base=given.lab.box.virtualbox,
        work=given.state.own / "box",
        platform=sys.platform,
    )


PROVIDERS: Mapping[str, Callable[[Equipment], Provider]] = {
    "docker": _docker,
    "virtualbox": _virtualbox,
    "libvirt": _libvirt,
}


@dataclass(frozen=True)
class Survey:
    """What was found of every provider. ``lab``: with the provider that it takes, None when any
    would do and none works; ``why``: the reason for it.
    """

    probes: Mapping[str, Probe]
    kvm: KvmProbe
    lab: Lab | None
    why: str


def open_lab(lab: Path | None, *, provider: str | None = None) -> Lab:
    """Read the lab in folder ``lab``, or the nearest one from the current folder upwards.

    Its provider is a real one: for "auto" that of the machines that are there, or else the best
    that works, which is probed then (for seconds) and noted. Raises LaptopError when none does.
    """
    found = _load(lab, provider)
    if found.provider != AUTO:
        return found
    with _interruptible():
        there = _with_machines(found)
        if len(there) == 1:
            return _load(found.folder, there[0])
        choice = choose(_probes(found, there or PROVIDERS))
        taken = _load(found.folder, choice.provider)
        return replace(taken, notes=(*taken.notes, choice.note))


def state_of(lab: Path | None) -> StateFolder:
    """What runs have left in folder ``lab``, or in that of the nearest lab; of no provider.

    The lab's files are not read and nothing is probed, so that it works while they are broken.
    Raises UsageError where there is no lab.
    """
    folder = find_lab_folder(Path.cwd() if lab is None else lab)
    if lab is not None and folder != lab.absolute():
        raise UsageError(
            f"there is no hashlab.toml in {lab}", next_step=f"perhaps you meant: --lab {folder}"
        )
    return StateFolder(folder / STATE_FOLDER, provider="")


def survey(lab: Path | None, *, provider: str | None = None) -> Survey:
    """Probe every provider, and tell which one the lab takes and why."""
    found = _load(lab, provider)
    with _interruptible():
        kvm = equip(found).kvm()
        if found.provider != AUTO:
            why = "hashlab.toml says so" if provider in (None, AUTO) else "--provider says so"
            return Survey(_probes(found, PROVIDERS), kvm, found, why)
        there = _with_machines(found)
        if len(there) == 1:
            found = _load(found.folder, there[0])
            return Survey(_probes(found, PROVIDERS), kvm, found, "its machines are there already")
        probes = _probes(found, PROVIDERS)
        try:
            taken = choose({name: probes[name] for name in there or probes}).provider
        except LaptopError:
            return Survey(probes, kvm, None, "")
        return Survey(probes, kvm, _load(found.folder, taken), "the best of those that work")


def _load(lab: Path | None, provider: str | None) -> Lab:
    folder = lab if lab is not None else find_lab_folder(Path.cwd())
    found = load_lab(folder, environ=os.environ, provider=provider)
    if found.provider not in (AUTO, *PROVIDERS):
        raise UsageError(
            f"provider {found.provider!r} is not there yet",
            where=str(folder),
            next_step=f"use one of: {', '.join([AUTO, *PROVIDERS])}",
        )
    return found


def _with_machines(lab: Lab) -> list[str]:
    """Providers that have machines of this lab: known by its state, or asked where that is gone."""
    known = [n for n in PROVIDERS if StateFolder(lab.state_folder, n).vagrantfile.exists()]
    return known or [name for name in PROVIDERS if _has_machines(replace(lab, provider=name))]


def _has_machines(lab: Lab) -> bool:
    provider = PROVIDERS[lab.provider](equip(lab))
    if missing_tools(provider.tools(building=False), os.environ.get("PATH")):
        return False
    try:
        provider.check()
    except HashlabError:
        return False  # nothing can be asked of it; why is told where it is probed
    return bool(provider.machines.all(lab))


def _probes(lab: Lab, names: Iterable[str]) -> dict[str, Probe]:
    """Probe providers. The tools of the lab's own are not looked for: that is doctor's."""
    probes = {}
    for name in names:
        provider = PROVIDERS[name](equip(replace(lab, provider=name)))
        if name == lab.provider:
            probes[name] = provider.probe()
        else:
            problems, path = _problems(lab, name), os.environ.get("PATH")
            probes[name] = look_at(provider, path=path, problems=problems)
    return probes


def _problems(lab: Lab, provider: str) -> Sequence[Problem]:
    """What in the lab's files, which are good otherwise, does not go with this provider."""
    try:
        _load(lab.folder, provider)
    except ConfigError as error:
        return error.problems
    return ()


@contextmanager
def terminating() -> Iterator[None]:
    """A polite kill is a Ctrl-C: what runs is ended in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        with terminating():
            yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted while providers were probed. Half done: nothing") from None


def equip(lab: Lab) -> Equipment:
    """The real equipment of the lab's provider."""
    state = StateFolder(lab.state_folder, lab.provider)
    runner = ProcessRunner(children=state.children)
    kvm = _once(lambda: _probe_kvm(state, runner))
    return Equipment(lab, state, cache(_local_engine), runner, os.environ, kvm)


class Warm:
    """What one process keeps for the runs that follow each other in it: file hashes, build workers,
    open links.
    """

    def __init__(self) -> None:
        self.digests = Digests()
        self._workers = ProcessWorkers()
        self._links = KeptLinks()

    @property
    def workers(self) -> Workers:
        """The build workers, for a run that leaves them alive."""
        return cast(Workers, _Staying(self._workers))

    def connector(self, connector: Connector) -> Connector:
        """The same connector, but its links stay open."""
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


def make_world(lab: Lab, *, warm: Warm | None = None) -> World:
    """A world with the real drivers. Nothing is contacted before it is needed.

    ``warm``: what earlier runs of this process have kept.
    """
    equipment = equip(lab)
    state, runner = equipment.state, equipment.runner
    provider = PROVIDERS[lab.provider](equipment)

    def connector() -> object:
        made = _connector(state, runner, provider)
        return warm.connector(cast(Connector, made)) if warm else made

    return World(
        lab=lab,
        state=state,
        provider=provider,
        vagrant=cast(Vagrant, _Late(lambda: _vagrant(lab, state, runner))),
        connector=cast(Connector, _Late(connector)),
        laptop_engine=equipment.engine,
        runner=runner,
        workers=warm.workers if warm else ProcessWorkers(),
        digests=warm.digests if warm else Digests(),
        download=_download,
        context_files=_context_files,
        render=_render,
        routes=routes,
        port_is_free=port_is_free,
        free_port=free_port,
        environ=os.environ,
        python=sys.executable,
    )


# Phases that run at once may need drivers that share a library whose modules import each other:
# Python would let one of them see it half made.
_IMPORTING = threading.Lock()


def _driver(name: str) -> Any:
    """A driver's module, imported by one thread at a time."""
    with _IMPORTING:
        return import_module(name)


def open_watcher() -> Watcher:
    """What notices that files are saved."""
    return cast(Watcher, _driver("hashlab.drivers.watching").FileWatcher())


class _Late:
    """Stands for an object that is made when it is first used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._made = cache(make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made(), name)


def _once(find: Callable[[], KvmProbe]) -> Callable[[], KvmProbe]:
    """The same, but phases that run at once wait for one answer."""
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
        key=state.key,
        config=state.ssh_config,
        runner=runner,
        patience=lambda: provider.patience,
    )


def _local_engine() -> Engine:
    return cast(Engine, _driver("hashlab.drivers.engine").local_engine())


def _download(url: str, target: Path, *, limit: int, track: Track) -> None:
    _driver("hashlab.drivers.download").download(url, target, limit=limit, track=track)


def _context_files(build: Build) -> Sequence[str]:
    return cast(Sequence[str], _driver("hashlab.drivers.buildcontext").context_files(build))


def _render(values: Mapping[str, Any]) -> str:
    return str(_driver("hashlab.drivers.rendering").render_vagrantfile(values))
