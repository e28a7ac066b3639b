"""Finds the lab of a command line, and reads its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hashlab.config.load import find_lab_folder, load_lab
from hashlab.config.model import Lab
from hashlab.errors import LaptopError, UsageError
from hashlab.run.services import services_of
from hashlab.state.files import (
    StateFolder,
    explained,
    read_json,
    remove,
    replacing,
    write_json,
)
from hashlab.state.labfolder import example, is_lab
from hashlab.state.ownership import distrusted
from hashlab.state.private import STATE


def read_lab(lab: Path | None, provider: str | None) -> Lab:
    """Read the files of the lab in folder ``lab``, or of the nearest one.

    ``provider`` replaces that of hashlab.toml; the result's may be "auto". Raises ConfigError,
    UsageError, LaptopError.
    """
    return read_folder(lab_folder(lab), provider)


def read_folder(folder: Path, provider: str | None) -> Lab:
    """Read the files of the lab in ``folder``; see ``read_lab``."""
    state = StateFolder(folder / STATE, provider="")
    return _load(folder, provider, state, known_scale(state))


def _load(folder: Path, provider: str | None, state: StateFolder, scaled: Mapping[str, int]) -> Lab:
    return load_lab(
        folder, environ=os.environ, provider=provider, ran=known_places(state), scaled=scaled
    )


def known_places(state: StateFolder) -> dict[str, str]:
    """Return the machine on which each service of the lab ran last."""
    saved = read_json(state.places)
    pairs = saved.items() if isinstance(saved, dict) else ()
    return {name: machine for name, machine in pairs if isinstance(machine, str)}


def known_scale(state: StateFolder) -> dict[str, int]:
    """Return the number of replicas of each service that `hashlab scale` named."""
    saved = read_json(state.scale)
    pairs = saved.items() if isinstance(saved, dict) else ()
    return {name: count for name, count in pairs if type(count) is int and count > 0}


def save_scale(lab: Path | None, provider: str | None, numbers: Mapping[str, int]) -> None:
    """Save how often services run, once the lab's files allow it. Raises ConfigError, UsageError,
    LaptopError.
    """
    folder = lab_folder(lab)
    state = StateFolder(folder / STATE, provider="")
    current = read_folder(folder, provider)
    chosen = {name: services_of(current, [name])[0] for name in numbers}
    for name, service in chosen.items():
        if service.front_of:
            raise UsageError(
                f"{name} is the front of {service.front_of}, and runs once",
                next_step=f"hashlab scale {service.front_of}={numbers[name]}",
            )
    families = {name: service.family for name, service in chosen.items()}
    named = {families[name]: count for name, count in numbers.items()}
    scaled = {**known_scale(state), **named}
    _load(folder, provider, state, scaled)
    write_json(state.scale, scaled, lasting=True)


def forget_scale(lab: Path | None) -> None:
    """Let services run as often as the Compose file says. Raises UsageError, LaptopError."""
    remove(state_of(lab).scale)


def state_of(lab: Path | None) -> StateFolder:
    """Return the state folder of the lab in folder ``lab``, or of the nearest one, for no provider.

    The lab's files are not read and nothing is probed, so this works while they are broken. Raises
    UsageError if there is no lab.
    """
    folder = lab_folder(lab)
    if not is_lab(str(folder)):
        raise UsageError(
            f"cannot find hashlab.toml or a Compose file in {lab}",
            next_step=f"perhaps you meant: --lab {find_lab_folder(folder)}",
        )
    return StateFolder(folder / STATE, provider="")


def save_typed(lab: Path | None, content: bytes) -> None:
    """Save the Compose file that was read from standard input, where ``-`` is read from. Raises
    UsageError, LaptopError.
    """
    path = StateFolder(lab_folder(lab) / STATE, provider="").typed
    with explained(path), replacing(path) as stream:
        stream.write(content)


def lab_folder(lab: Path | None) -> Path:
    """Return the folder of the lab that ``lab`` names, without links, or of the nearest one.

    Raises UsageError if there is none; LaptopError if somebody other than the caller could have
    written it (``hashlab.state.ownership``); none of its files was read then.
    """
    folder = _nearest() if lab is None else _resolved(lab)
    wrong = distrusted(str(folder))
    if wrong is not None:
        raise LaptopError(wrong.what, where=wrong.where, next_step=wrong.next_step)
    return folder


def _nearest() -> Path:
    try:
        here = Path.cwd()
        return Path(example(str(here)) or find_lab_folder(here))
    except OSError as error:
        raise UsageError(
            "the current folder was removed", next_step="cd to the folder of your lab"
        ) from error


def _resolved(lab: Path) -> Path:
    try:
        folder = lab.resolve()
        exists = folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a name with a NUL
        raise UsageError(f"--lab {str(lab)!r} cannot be a folder: {error}") from error
    if not exists:
        raise UsageError(
            f"--lab {lab}: this folder does not exist", next_step="name the folder of a lab"
        )
    return folder
