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
from hashlab.state.labfolder import COMPOSE_FILES, STDIN, named_files
from hashlab.state.private import STATE

OVERRIDE_FILES = tuple(
    f"{name}.override.{suffix}"
    for name in ("compose", "docker-compose")
    for suffix in ("yml", "yaml")
)
NAME_VARIABLE = "COMPOSE_PROJECT_NAME"
_ENV_FILES_VARIABLE = "COMPOSE_ENV_FILES"
_NO_ENV_FILE_VARIABLE = "COMPOSE_DISABLE_ENV_FILE"
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
# The Compose file that was read from standard input is kept here, below the lab folder.
TYPED = f"{STATE}/stdin.yaml"


class Choice(NamedTuple):
    """The Compose files of a lab; each overrides those before it.

    ``folder``: the start of relative paths, the folder of the first file; the lab folder for one
    from standard input. ``variable``: the files come from the environment.
    """

    paths: tuple[Path, ...]
    folder: Path
    environ: Mapping[str, str]
    variable: bool = False


def chosen(
    folder: Path, written: Sequence[str], environ: Mapping[str, str], report: Report
) -> Choice:
    """Return the files that the environment names, else those of hashlab.toml (``written``), else
    the first of Compose's own names that exists and its override.

    Paths are relative to ``folder``, the lab folder. The variables are those of ``environ``, then
    those of .env in the lab folder, then those of .env beside the first Compose file; if the
    environment names other files, those of these instead.
    """
    env_files = [name for name in environ.get(_ENV_FILES_VARIABLE, "").split(",") if name.strip()]
    default = not env_files and environ.get(_NO_ENV_FILE_VARIABLE) not in _TRUE
    if env_files:
        environ = _with_env_files(env_files, folder, environ, report)
    elif default:
        environ = _with_dotenv(folder, folder, environ, report)
    named = named_files(environ)
    names = named or written or _found(folder, report)
    paths = tuple(absolute(folder, TYPED if name == STDIN else name) for name in names)
    base = folder if names[0] == STDIN else paths[0].parent
    if default and base != folder:
        environ = _with_dotenv(base, folder, environ, report)
    return Choice(paths, base, environ, bool(named))


def _with_env_files(
    names: Sequence[str], lab: Path, environ: Mapping[str, str], report: Report
) -> Mapping[str, str]:
    """Return the variables with those of these files, of which a later one wins."""
    variables: dict[str, str] = {}
    for name in names:
        path = absolute(lab, name)
        own_report = report.for_file(os.path.relpath(path, lab))
        variables |= read_dotenv(path, environ=environ, report=own_report, earlier=variables)
    return {**variables, **environ}


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
