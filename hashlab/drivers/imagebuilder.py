"""Builds images on the laptop's engine: by BuildKit if Docker's client has it, else by the engine's
classic builder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

from hashlab.config.model import Content
from hashlab.drivers.buildcontext import unpacked
from hashlab.drivers.environment import docker_folder
from hashlab.errors import LabError, LaptopError
from hashlab.inputs.contexts import BuildContext
from hashlab.pipeline import CancelToken, Track
from hashlab.protocols import BuildSettings, Engine, Runner

CLIENT = ("docker", "buildx")
# The engine's own builder, whatever builder the user has chosen for other builds.
BUILDER = "default"
VERSION_SECONDS = 20.0
BUILD_SECONDS = 1800.0
INSTALL = "apt install docker-buildx, or see https://docs.docker.com/go/buildx"
# A step of a build in BuildKit's output: "#7 [site 2/5] RUN make".
STEP = re.compile(r"#\d+ \[(?:\S+ )?(\d+)/(\d+)\]")
VARIABLE = "HASHLAB_SECRET_"
AGENT_VARIABLE = "SSH_AUTH_SOCK"
# The error of BuildKit in an engine that knows no further contexts.
NEEDS_ENGINE = "moby.buildkit.frontend.contexts"
# Errors of the classic builder about what only BuildKit can do.
NEEDS_BUILDKIT = ("requires BuildKit", "unknown flag: link", "Unknown flag: link")


class ImageBuilder:
    """protocols.ImageBuilder. The client is asked once, when an image is built first."""

    def __init__(
        self, *, engine: Callable[[], Engine], runner: Runner, environ: Mapping[str, str]
    ) -> None:
        self._engine = engine
        self._runner = runner
        self._environ = {"DOCKER_CONFIG": str(docker_folder(environ))}
        self._agent = environ.get(AGENT_VARIABLE, "")

    @cached_property
    def buildkit(self) -> str:
        """See protocols.ImageBuilder."""
        try:
            done = self._runner.run(
                [*CLIENT, "version"],
                env=self._environ,
                timeout=VERSION_SECONDS,
                cancel=CancelToken(),
            )
        except (LaptopError, LabError):
            return ""
        return done.stdout.strip() if done.code == 0 else ""

    def build(
        self,
        name: str,
        *,
        context: BuildContext,
        settings: BuildSettings,
        labels: Mapping[str, str],
        owner: str,
        track: Track,
    ) -> None:
        """See protocols.ImageBuilder."""
        if self.buildkit:
            self._build(name, context, settings, labels, track)
            return
        if settings.contexts or settings.secrets or settings.ssh:
            raise LabError(
                f"cannot build image {name}: additional_contexts, secrets and ssh of a build need "
                "BuildKit",
                where=os.fspath(context.root),
                next_step=f"install its client: {INSTALL}",
            )
        try:
            self._engine().build_image(
                name, context=context, settings=settings, labels=labels, owner=owner, track=track
            )
        except LabError as error:
            if any(sign in error.what for sign in NEEDS_BUILDKIT):
                error.next_step = f"install BuildKit's client: {INSTALL}"
            raise

    def _keys(self, name: str, settings: BuildSettings) -> dict[str, str]:
        """Return the variable of the person's SSH agent, if a build uses it. Raises LaptopError."""
        if "" not in settings.ssh.values():
            return {}
        if not self._agent:
            raise LaptopError(
                f"image {name} is built with your SSH agent, but none runs: {AGENT_VARIABLE} is "
                "not set",
                next_step='start one: eval "$(ssh-agent)", then ssh-add',
            )
        return {AGENT_VARIABLE: self._agent}

    def _build(
        self,
        name: str,
        context: BuildContext,
        settings: BuildSettings,
        labels: Mapping[str, str],
        track: Track,
    ) -> None:
        def show(line: str) -> None:
            track.output(line)
            if step := STEP.match(line):
                track.progress(int(step[1]), int(step[2]), "steps")

        listed = {n: c for n, c in settings.contexts.items() if isinstance(c, BuildContext)}
        images = {n: c for n, c in settings.contexts.items() if isinstance(c, str)}
        own = {**self._environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", **self._keys(name, settings)}
        with unpacked(context, listed) as (folder, dockerfile, others):
            done = self._runner.run(
                command(name, folder, dockerfile, settings, labels, contexts={**images, **others}),
                env={**own, **variables(settings)},
                timeout=BUILD_SECONDS,
                cancel=track.cancel,
                on_line=show,
            )
        if done.code != 0:
            older = NEEDS_ENGINE in done.stderr
            raise LabError(
                f"cannot build image {name}",
                where=os.fspath(context.root),
                output=done.stderr,
                next_step="additional_contexts need Docker Engine 23 or later" if older else "",
            )


def command(
    name: str,
    folder: Path,
    dockerfile: Path,
    settings: BuildSettings,
    labels: Mapping[str, str],
    *,
    contexts: Mapping[str, str] = {},
) -> Sequence[str]:
    """Return the command that builds an image by BuildKit. ``contexts``: folders and images by
    name. A secret that is not a file is in one of ``variables``.
    """
    options = {
        "--label": [f"{key}={value}" for key, value in labels.items()],
        "--build-arg": [f"{key}={value}" for key, value in settings.args.items()],
        "--target": [settings.target] if settings.target else [],
        "--network": [settings.network] if settings.network else [],
        "--shm-size": [str(settings.shm_size)] if settings.shm_size else [],
        "--add-host": settings.extra_hosts,
        "--build-context": [f"{key}={value}" for key, value in contexts.items()],
        "--secret": [
            f"id={key},src={source}" if isinstance(source, Path) else f"id={key},env={VARIABLE}{n}"
            for n, (key, source) in enumerate(settings.secrets.items())
        ],
        "--ssh": [f"{key}={path}" if path else key for key, path in settings.ssh.items()],
    }
    pairs = [(option, value) for option, values in options.items() for value in values]
    return [
        *(*CLIENT, "build", "--builder", BUILDER, "--progress", "plain"),
        *(("--no-cache",) if settings.fresh else ()),
        *("--tag", name, "--file", str(dockerfile)),
        *chain.from_iterable(pairs),
        str(folder),
    ]


def variables(settings: BuildSettings) -> dict[str, str]:
    """Return the variables with the secrets of a build that are not files."""
    return {
        f"{VARIABLE}{number}": source.text
        for number, source in enumerate(settings.secrets.values())
        if isinstance(source, Content)
    }
