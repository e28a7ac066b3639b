"""Which files of a folder `docker build` sends: .dockerignore as Docker itself reads it."""

from __future__ import annotations

from collections.abc import Sequence

from docker.utils.build import exclude_paths

from hashlab.config.model import Build


def context_files(build: Build) -> Sequence[str]:
    """Names of the files of a build context, relative to it, sorted."""
    ignore = build.context / ".dockerignore"
    patterns = []
    if ignore.is_file():
        lines = (line.strip() for line in ignore.read_text(encoding="utf-8").splitlines())
        patterns = [line for line in lines if line and not line.startswith("#")]
    names = exclude_paths(str(build.context), patterns)
    return sorted(name for name in names if (build.context / name).is_file())
