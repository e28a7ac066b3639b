"""Picks the real drivers: the one place where phases, providers and drivers meet."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from hashlab.config import find_lab_folder, load_lab
from hashlab.config.model import Lab
from hashlab.drivers.buildcontext import context_files
from hashlab.drivers.engine import local_engine
from hashlab.drivers.laptop import free_port, port_is_free, routes
from hashlab.drivers.process import ProcessRunner
from hashlab.drivers.rendering import render_vagrantfile
from hashlab.drivers.ssh import SshConnector
from hashlab.drivers.vagrant import VagrantDriver
from hashlab.phases.world import World
from hashlab.protocols import Engine, Provider
from hashlab.providers.docker import DockerProvider
from hashlab.statefiles import StateFolder

PROVIDERS: Mapping[str, Callable[[Callable[[], Engine], StateFolder], Provider]] = {
    "docker": lambda engine, state: DockerProvider(engine=engine, cache=state.engine),
}


def open_lab(lab: Path | None, *, provider: str | None = None) -> Lab:
    """Read the lab in folder ``lab``, or the nearest one from the current folder upwards."""
    folder = lab if lab is not None else find_lab_folder(Path.cwd())
    return load_lab(folder, environ=os.environ, provider=provider)


def make_world(lab: Lab) -> World:
    """A world with the real drivers. Nothing is contacted before it is needed."""
    state = StateFolder(lab.state_folder)
    runner = ProcessRunner(children=state.children)
    engine = cache(local_engine)
    return World(
        lab=lab,
        state=state,
        provider=PROVIDERS[lab.provider](engine, state),
        vagrant=VagrantDriver(folder=state.root, provider=lab.provider, runner=runner),
        connector=SshConnector(key=state.key, config=state.ssh_config, runner=runner),
        laptop_engine=engine,
        runner=runner,
        context_files=context_files,
        render=render_vagrantfile,
        routes=routes,
        port_is_free=port_is_free,
        free_port=free_port,
        environ=os.environ,
        python=sys.executable,
    )
