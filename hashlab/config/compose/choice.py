"""Decide which Compose files a lab has, and which variables they see."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hashlab.config.artifacts import absolute
from hashlab.config.dotenv import read_dotenv
from hashlab.config.report import Report
from hashlab.config.sources import is_file
from hashlab.state.labfolder import COMPOSE_FILES

OVERRIDE_FILES = tuple(
    f"{name}.override.{suffix}"
    for name in ("compose", "docker-compose")
    for suffix in ("yml", "yaml")
)
FILES_VARIABLE = "COMPOSE_FILE"
NAME_VARIABLE = "COMPOSE_PROJECT_NAME"
_SEPARATOR_VARIABLE = "COMPOSE_PATH_SEPARATOR"


class Choice(NamedTuple):
    """The Compose files of a lab; each overrides those before it.

    ``folder``: the start of relative paths, the folder of the first file. ``variable``: the files
    come from the environment.
    """

    paths: tuple[Path, ...]
    environ: Mapping[str, str]
    variable: bool = False

    @property
    def folder(self) -> Path:
        return self.paths[0].parent


def chosen(
    folder: Path, written: Sequence[str], environ: Mapping[str, str], report: Report
) -> Choice:
    """Return the files that the environment names, else those of hashlab.toml (``written``), else
    the first of Compose's own names that exists and its override.

    Paths are relative to ``folder``, the lab folder. The variables are those of ``environ``, then
    those of .env in the lab folder, then those of .env beside the first Compose file.
    """
    environ = _with_dotenv(folder, folder, environ, report)
    separator = environ.get(_SEPARATOR_VARIABLE) or os.pathsep
    named = [name for name in environ.get(FILES_VARIABLE, "").split(separator) if name.strip()]
    names = named or written or _found(folder, report)
    choice = Choice(tuple(absolute(folder, name) for name in names), environ, bool(named))
    if choice.folder == folder:
        return choice
    return choice._replace(environ=_with_dotenv(choice.folder, folder, environ, report))


def _with_dotenv(
    folder: Path, lab: Path, environ: Mapping[str, str], report: Report
) -> Mapping[str, str]:
    path = folder / ".env"
    report.add_source(path)
    if not is_file(path):
        return environ
    own_report = report.for_file(os.path.relpath(path, lab))
    return {**read_dotenv(path, environ=environ, report=own_report), **environ}


def _found(folder: Path, report: Report) -> list[str]:
    """Return the file and the override that Compose takes; compose.yaml if there is no file."""
    chosen: list[str] = []
    for names in (COMPOSE_FILES, OVERRIDE_FILES):
        for name in names:
            report.add_source(folder / name)
        existing = [name for name in names if is_file(folder / name)]
        for other in existing[1:]:
            report.for_file(other).note(0, f"this file is not read, because {existing[0]} exists")
        chosen += existing[:1]
        if not existing and names is COMPOSE_FILES:
            return [COMPOSE_FILES[0]]
    return chosen
