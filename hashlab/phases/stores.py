"""Phase ``stores``: the programs of the log store and the metrics store, found on the laptop or
brought there once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hashlab.errors import HashlabError, LabError, LaptopError
from hashlab.hashing import short
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import make_folder, temporary_folder

BUILD_SECONDS = 1800.0


@dataclass(frozen=True)
class StoreProgram:
    """A program that stores what is observed. ``names``: as Go builds it, and in the image and the
    project's archives; ``module``: the Go module with its version.
    """

    title: str
    stores: str
    version: str
    names: tuple[str, str]
    module: str
    image: str

    @property
    def in_image(self) -> str:
        """Its path in the image."""
        return f"/{self.names[1]}"

    @property
    def next_step(self) -> str:
        """The advice if it can be had from nowhere."""
        return f"install Go, or put the program {self.names[0]} {self.version} in a folder of PATH"

    def cached(self, environ: Mapping[str, str]) -> Path:
        """Return where all labs find it once it was brought."""
        folder = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/")) / ".cache"
        name = f"{self.names[0]}-{self.version}"
        return Path(folder).expanduser().absolute() / "hashlab" / name


# By what they store, as in [observe] and `dev --with`. The versions are the newest that Go 1.26 can
# build.
PROGRAMS = {
    "logs": StoreProgram(
        title="VictoriaLogs",
        stores="log store",
        version="v1.52.1",
        names=("victoria-logs", "victoria-logs-prod"),
        module="github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1",
        image="victoriametrics/victoria-logs:v1.52.1",
    ),
    "metrics": StoreProgram(
        title="VictoriaMetrics",
        stores="metrics store",
        version="v1.136.23",
        names=("victoria-metrics", "victoria-metrics-prod"),
        module="github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@v1.136.23",
        image="victoriametrics/victoria-metrics:v1.136.23",
    ),
}


def get_stores(world: World, track: Track, _: str) -> None:
    """Promise: the programs of the stores that the lab asks for are on the laptop. They are built
    by Go, or copied from their images, the first time that any lab needs them.
    """
    missing = [
        program
        for name in sorted(world.observed)
        if find_store(program := PROGRAMS[name], world.environ) is None
    ]
    if not missing:
        found = [find_store(PROGRAMS[name], world.environ) for name in sorted(world.observed)]
        track.skip(f"{', '.join(map(str, found))} {'is' if len(found) == 1 else 'are'} there")
        return
    for program in missing:
        _get(world, track, program)


def _get(world: World, track: Track, program: StoreProgram) -> None:
    if _go(world.environ):
        _build(world, track, program)
    elif _runs_images(sys.platform):
        _copy_from_image(world, track, program)
    else:
        raise _missing(program)


def store_program(name: str, environ: Mapping[str, str]) -> Path:
    """Return the program of a store, by what it stores. Raises LaptopError."""
    found = find_store(PROGRAMS[name], environ)
    if found is None:
        raise _missing(PROGRAMS[name])
    return found


def find_store(program: StoreProgram, environ: Mapping[str, str]) -> Path | None:
    """Return the program if it is on PATH, or in the cache."""
    for name in program.names:
        if found := shutil.which(name, path=environ.get("PATH")):
            return Path(found)
    cached = program.cached(environ)
    return cached if os.access(cached, os.X_OK) else None


def source_of_store(program: StoreProgram, environ: Mapping[str, str]) -> str:
    """Describe where the program is, or will come from; "" if from nowhere."""
    if found := find_store(program, environ):
        return f"{program.title} is {found}"
    if _go(environ):
        return f"{program.title} {program.version} is built by Go when a lab first needs it"
    if _runs_images(sys.platform):
        return f"{program.title} is copied from the image {program.image} when a lab first needs it"
    return ""


def _missing(program: StoreProgram) -> LaptopError:
    return LaptopError(
        f"the {program.stores} {program.title} is not installed", next_step=program.next_step
    )


def _go(environ: Mapping[str, str]) -> str | None:
    return shutil.which("go", path=environ.get("PATH"))


def _runs_images(platform: str) -> bool:
    """Return whether programs of images, which are for Linux, run on the laptop itself."""
    return platform == "linux"


def _build(world: World, track: Track, program: StoreProgram) -> None:
    target = program.cached(world.environ)
    track.detail(f"building {program.title} {program.version}, once")
    with temporary_folder(_beside(target)) as folder:
        done = world.runner.run(
            ["go", "install", "-trimpath", "-ldflags=-s -w", program.module],
            env={"GOBIN": str(folder), "CGO_ENABLED": "0"},
            cwd=folder,
            timeout=BUILD_SECONDS,
            cancel=track.cancel,
            on_line=track.output,
            users=True,
        )
        if done.code != 0:
            raise LabError(
                f"Go cannot build {program.title} {program.version}",
                output=done.stdout + done.stderr,
                next_step=program.next_step,
            )
        (folder / program.names[0]).replace(target)
    track.detail(f"{program.title} {program.version} built by Go")


def _copy_from_image(world: World, track: Track, program: StoreProgram) -> None:
    target, engine = program.cached(world.environ), world.laptop_engine()
    container = f"hashlab-store-{short(f'{program.title} {os.getpid()}')}"
    try:
        if program.image not in engine.image_ids([program.image]):
            engine.pull(program.image, track=track)
        engine.create(container, {"Image": program.image})
        try:
            content = engine.read_file(container, program.in_image)
        finally:
            engine.remove(container)
    except HashlabError as error:
        raise LaptopError(
            f"{_missing(program).what}, and {error.what}", next_step=program.next_step
        ) from error
    with temporary_folder(_beside(target)) as folder:
        made = folder / program.names[0]
        made.write_bytes(content)
        made.chmod(0o755)
        made.replace(target)
    track.detail(f"copied from the image {program.image}")


def _beside(target: Path) -> Path:
    """Return a folder for unfinished programs, another one for each process."""
    make_folder(target.parent)
    return target.with_name(f"{target.name}.{os.getpid()}")
