"""Opens labs: finds the folder, reads its files, and settles which provider it takes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hashlab import wiring
from hashlab.choice import choose, look_at, missing_tools
from hashlab.config import AUTO, find_lab_folder, load_lab
from hashlab.config.model import Lab
from hashlab.errors import ConfigError, HashlabError, Interrupted, LaptopError, Problem, UsageError
from hashlab.ownership import distrusted
from hashlab.private import STATE
from hashlab.protocols import KvmProbe, Probe
from hashlab.statefiles import StateFolder, is_file


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
        choice = choose(_probes(found, there or wiring.PROVIDERS))
        taken = _load(found.folder, choice.provider)
        return replace(taken, notes=(*taken.notes, choice.note))


def state_of(lab: Path | None) -> StateFolder:
    """What runs have left in folder ``lab``, or in that of the nearest lab; of no provider.

    The lab's files are not read and nothing is probed, so that it works while they are broken.
    Raises UsageError where there is no lab.
    """
    folder = lab_folder(lab)
    if find_lab_folder(folder) != folder:
        raise UsageError(
            f"there is no hashlab.toml in {lab}",
            next_step=f"perhaps you meant: --lab {find_lab_folder(folder)}",
        )
    return StateFolder(folder / STATE, provider="")


def survey(lab: Path | None, *, provider: str | None = None) -> Survey:
    """Probe every provider, and tell which one the lab takes and why."""
    found = _load(lab, provider)
    with _interruptible():
        kvm = wiring.equip(found).kvm()
        if found.provider != AUTO:
            why = "hashlab.toml says so" if provider in (None, AUTO) else "--provider says so"
            return Survey(_probes(found, wiring.PROVIDERS), kvm, found, why)
        there = _with_machines(found)
        if len(there) == 1:
            found = _load(found.folder, there[0])
            probes = _probes(found, wiring.PROVIDERS)
            return Survey(probes, kvm, found, "its machines are there already")
        probes = _probes(found, wiring.PROVIDERS)
        try:
            taken = choose({name: probes[name] for name in there or probes}).provider
        except LaptopError:
            return Survey(probes, kvm, None, "")
        return Survey(probes, kvm, _load(found.folder, taken), "the best of those that work")


def lab_folder(lab: Path | None) -> Path:
    """Return the folder of the lab that ``lab`` names, without links, or of the nearest one.

    Raises UsageError where there is none, LaptopError for one that somebody else than the caller
    could have written (``hashlab.ownership``); nothing of it was read.
    """
    folder = find_lab_folder(_here()) if lab is None else _resolved(lab)
    wrong = distrusted(str(folder))
    if wrong is not None:
        raise LaptopError(wrong.what, where=wrong.where, next_step=wrong.next_step)
    return folder


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            "the current folder was removed", next_step="cd to the folder of your lab"
        ) from error


def _resolved(lab: Path) -> Path:
    try:
        return lab.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a name with a NUL
        raise UsageError(f"--lab {str(lab)!r} cannot be a folder: {error}") from error


def _load(lab: Path | None, provider: str | None) -> Lab:
    folder = lab_folder(lab)
    found = load_lab(folder, environ=os.environ, provider=provider)
    if found.provider not in (AUTO, *wiring.PROVIDERS):
        raise UsageError(
            f"provider {found.provider!r} is not there yet",
            where=str(folder),
            next_step=f"use one of: {', '.join([AUTO, *wiring.PROVIDERS])}",
        )
    return found


def _with_machines(lab: Lab) -> list[str]:
    """Providers that have machines of this lab: known by its state, or asked where that is gone."""
    names = list(wiring.PROVIDERS)
    known = [name for name in names if is_file(StateFolder(lab.state_folder, name).vagrantfile)]
    return known or [name for name in names if _has_machines(replace(lab, provider=name))]


def _has_machines(lab: Lab) -> bool:
    provider = wiring.PROVIDERS[lab.provider](wiring.equip(lab))
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
        provider = wiring.PROVIDERS[name](wiring.equip(replace(lab, provider=name)))
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
