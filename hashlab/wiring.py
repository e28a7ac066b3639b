"""Picks the real drivers: the one place where phases, providers and drivers meet.

Drivers stand on large libraries. Each is imported when it is first used, so that what a command
does not need costs nothing, and the rest is loaded while a build tool is at work.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from hashlab.config import find_lab_folder, load_lab
from hashlab.config.model import Build, Lab
from hashlab.drivers.laptop import free_port, port_is_free, routes
from hashlab.drivers.process import ProcessRunner
from hashlab.errors import UsageError
from hashlab.phases.world import World
from hashlab.protocols import Connector, Engine, Provider, Vagrant
from hashlab.providers.docker import DockerProvider
from hashlab.statefiles import StateFolder

PROVIDERS: Mapping[str, Callable[[Callable[[], Engine], StateFolder], Provider]] = {
    "docker": lambda engine, state: DockerProvider(engine=engine, cache=state.engine),
}


def open_lab(lab: Path | None, *, provider: str | None = None) -> Lab:
    """Read the lab in folder ``lab``, or the nearest one from the current folder upwards."""
    folder = lab if lab is not None else find_lab_folder(Path.cwd())
    found = load_lab(folder, environ=os.environ, provider=provider)
    if found.provider not in PROVIDERS:
        raise UsageError(
            f"provider {found.provider!r} is not there yet",
            where=str(folder),
            next_step=f"use one of: {', '.join(PROVIDERS)}",
        )
    return found


def make_world(lab: Lab) -> World:
    """A world with the real drivers. Nothing is contacted before it is needed."""
    state = StateFolder(lab.state_folder)
    runner = ProcessRunner(children=state.children)
    engine = cache(_local_engine)
    return World(
        lab=lab,
        state=state,
        provider=PROVIDERS[lab.provider](engine, state),
        vagrant=cast(Vagrant, _Late(lambda: _vagrant(lab, state, runner))),
        connector=cast(Connector, _Late(lambda: _connector(state, runner))),
        laptop_engine=engine,
        runner=runner,
        context_files=_context_files,
        render=_render,
        routes=routes,
        port_is_free=port_is_free,
        free_port=free_port,
        environ=os.environ,
        python=sys.executable,
    )


class _Late:
    """Stands for an object that is made when it is first used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._made = cache(make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made(), name)


def _vagrant(lab: Lab, state: StateFolder, runner: ProcessRunner) -> object:
    driver = import_module("hashlab.drivers.vagrant").VagrantDriver
    return driver(folder=state.root, provider=lab.provider, runner=runner)


def _connector(state: StateFolder, runner: ProcessRunner) -> object:
    driver = import_module("hashlab.drivers.ssh").SshConnector
    return driver(key=state.key, config=state.ssh_config, runner=runner)


def _local_engine() -> Engine:
    return cast(Engine, import_module("hashlab.drivers.engine").local_engine())


def _context_files(build: Build) -> Sequence[str]:
    return cast(Sequence[str], import_module("hashlab.drivers.buildcontext").context_files(build))


def _render(values: Mapping[str, Any]) -> str:
    return str(import_module("hashlab.drivers.rendering").render_vagrantfile(values))
