"""Phase ``log store``: the program VictoriaLogs, found on the laptop or brought there once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from hashlab.errors import HashlabError, LabError, LaptopError
from hashlab.hashing import short
from hashlab.phases.world import World
from hashlab.pipeline import Track
from hashlab.state.files import make_folder, temporary_folder

VERSION = "v1.52.1"
MODULE = "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"
IMAGE = f"victoriametrics/victoria-logs:{VERSION}"
# Names of the program: as Go builds it, and in the image and the project's archives.
NAMES = ("victoria-logs", "victoria-logs-prod")
IN_IMAGE = "/victoria-logs-prod"
BUILD_SECONDS = 1800.0
NEXT = f"install Go, or put the program {NAMES[0]} {VERSION} in a folder of PATH"


def get_log_store(world: World, track: Track, _: str) -> None:
    """Promise: the program of the log store is on the laptop. It is built by Go, or copied from its
    image, the first time that any lab needs it.
    """
    found = find_log_store(world.environ)
    if found is not None:
        track.skip(f"{found} is there")
        return
    if _go(world.environ):
        _build(world, track)
    elif _runs_images(sys.platform):
        _copy_from_image(world, track)
    else:
        raise _missing()


def log_store(environ: Mapping[str, str]) -> Path:
    """Return the program of the log store. Raises LaptopError."""
    found = find_log_store(environ)
    if found is None:
        raise _missing()
    return found


def find_log_store(environ: Mapping[str, str]) -> Path | None:
    """Return the program if it is on PATH, or in the cache."""
    for name in NAMES:
        if found := shutil.which(name, path=environ.get("PATH")):
            return Path(found)
    cached = _cached(environ)
    return cached if os.access(cached, os.X_OK) else None


def source_of_log_store(environ: Mapping[str, str]) -> str:
    """Describe where the program is, or will come from; "" if from nowhere."""
    if found := find_log_store(environ):
        return f"VictoriaLogs is {found}"
    if _go(environ):
        return f"VictoriaLogs {VERSION} is built by Go when a lab first needs it"
    if _runs_images(sys.platform):
        return f"VictoriaLogs is copied from the image {IMAGE} when a lab first needs it"
    return ""


def _missing() -> LaptopError:
    return LaptopError("the log store VictoriaLogs is not installed", next_step=NEXT)


def _go(environ: Mapping[str, str]) -> str | None:
    return shutil.which("go", path=environ.get("PATH"))


def _runs_images(platform: str) -> bool:
    """Return whether programs of images, which are for Linux, run on the laptop itself."""
    return platform == "linux"


def _cached(environ: Mapping[str, str]) -> Path:
    folder = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/")) / ".cache"
    return Path(folder).expanduser().absolute() / "hashlab" / f"victoria-logs-{VERSION}"


def _build(world: World, track: Track) -> None:
    target = _cached(world.environ)
    track.detail(f"building VictoriaLogs {VERSION}, once")
    with temporary_folder(_beside(target)) as folder:
        done = world.runner.run(
            ["go", "install", "-trimpath", "-ldflags=-s -w", f"{MODULE}@{VERSION}"],
            env={"GOBIN": str(folder), "CGO_ENABLED": "0"},
            cwd=folder,
            timeout=BUILD_SECONDS,
            cancel=track.cancel,
            on_line=track.output,
            users=True,
        )
        if done.code != 0:
            raise LabError(
                f"Go cannot build VictoriaLogs {VERSION}",
                output=done.stdout + done.stderr,
                next_step=NEXT,
            )
        (folder / NAMES[0]).replace(target)
    track.detail(f"VictoriaLogs {VERSION} built by Go")


def _copy_from_image(world: World, track: Track) -> None:
    target, engine = _cached(world.environ), world.laptop_engine()
    container = f"hashlab-log-store-{short(str(os.getpid()))}"
    try:
        if IMAGE not in engine.image_ids([IMAGE]):
            engine.pull(IMAGE, track=track)
        engine.create(container, {"Image": IMAGE})
        try:
            program = engine.read_file(container, IN_IMAGE)
        finally:
            engine.remove(container)
    except HashlabError as error:
        raise LaptopError(
            f"the log store VictoriaLogs is not installed, and {error.what}", next_step=NEXT
        ) from error
    with temporary_folder(_beside(target)) as folder:
        made = folder / NAMES[0]
        made.write_bytes(program)
        made.chmod(0o755)
        made.replace(target)
    track.detail(f"copied from the image {IMAGE}")


def _beside(target: Path) -> Path:
    """Return a folder for unfinished programs, another one for each process."""
    make_folder(target.parent)
    return target.with_name(f"{target.name}.{os.getpid()}")
